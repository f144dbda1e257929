"""An assignment: a validation rule holds for an incentive."""

from datetime import datetime

from contracts.campaigns import Assignment, ValidationRuleAssigned
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


def evolve(state: Assignment | None, event: ValidationRuleAssigned) -> Assignment:
    """Return the assignment."""
    assert state is None, "an assignment is made once"
    return event.assignment
