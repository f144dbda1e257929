"""An assignment: a validation rule holds for an incentive."""

from datetime import datetime

from campaigns.domain.errors import not_found
from contracts.campaigns import Assignment, ValidationRuleAssigned, ValidationRuleUnassigned
from contracts.payload import one_of, refuse

RELATED_OBJECT_TYPES = (
    "voucher",
    "promotion_tier",
    "campaign",
    "earning_rule",
    "distribution",
    "reward_assignment",
)
ASSIGNABLE = ("campaign", "voucher", "promotion_tier")
"""What rules can be assigned to so far."""


def check_target_type(related_object_type: str) -> None:
    """Refuse targets that are unknown, or not built yet."""
    one_of(*RELATED_OBJECT_TYPES)("related_object_type", related_object_type)
    if related_object_type not in ASSIGNABLE:
        raise refuse("related_object_type", f"must be one of {', '.join(ASSIGNABLE)} for now")


class StoredAssignment(Assignment):
    """An assignment, and whether it was removed."""

    is_deleted: bool = False


def decide_assign(
    assignment_id: str, rule_id: str, target_type: str, target_id: str, now: datetime
) -> ValidationRuleAssigned:
    """Return the assignment of a rule to a target; both are there, and not assigned yet."""
    assignment = Assignment(
        id=assignment_id,
        rule_id=rule_id,
        related_object_type=target_type,
        related_object_id=target_id,
        created_at=now,
    )
    return ValidationRuleAssigned(assignment=assignment)


def decide_unassign(
    state: StoredAssignment | None, rule_id: str, assignment_id: str
) -> ValidationRuleUnassigned:
    """Return the removal; an assignment of another rule is not found."""
    if state is None or state.is_deleted or state.rule_id != rule_id:
        raise not_found("validation_rules_assignment", assignment_id)
    kept = state.model_dump(exclude={"is_deleted"})
    return ValidationRuleUnassigned(assignment=Assignment.model_validate(kept))


def evolve(
    state: StoredAssignment | None, event: ValidationRuleAssigned | ValidationRuleUnassigned
) -> StoredAssignment:
    """Return the assignment; one that was removed stays, marked."""
    is_deleted = isinstance(event, ValidationRuleUnassigned)
    assert (state is None) is not is_deleted, "an assignment is made once, and then removed"
    return StoredAssignment(**event.assignment.model_dump(), is_deleted=is_deleted)
