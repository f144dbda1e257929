"""Planning a redemption: the same run as a validation, written down as postings for the ledger.

A plan is never refused for want of uses, credits or budget: only the ledger knows. What the engine does
refuse (unknown code, expired, rule violated) is passed on too, so that the failure is recorded.
"""

from datetime import datetime

from contracts.errors import ErrorBody, JsonObject
from contracts.ledger import Plan, PlannedRedemption, Posting
from engine.domain.claims import Claim
from engine.domain.definition import snapshot_json
from engine.domain.order import order_json
from engine.domain.refusals import SKIPPED
from engine.domain.snapshot import DrawnIds, Snapshot
from engine.domain.stack import Outcome, Step, apply_stack
from engine.domain.validate import steps_json


def plan(
    snapshot: Snapshot, drawn: DrawnIds, *, attempt: int, planned_at: datetime, turn: int = 1
) -> Plan:
    """Return the plan. Raises ``InvalidPayload`` for what cannot be read."""
    outcome = apply_stack(snapshot, must_suffice=False)
    customer = snapshot.customer
    common = Plan(
        stack=snapshot.request,
        attempt=attempt,
        turn=turn,
        planned_at=planned_at,
        customer=customer.shown if customer else None,
        sent_order=_sent(outcome.sent_order, drawn, snapshot),
        failed_redemption_id=drawn.failed_redemption_id,
        inapplicable_redeemables=steps_json(outcome.refused, snapshot),
        skipped_redeemables=steps_json(outcome.skipped, snapshot),
        stacking_rules=snapshot.stacking_rules,
        metadata=snapshot.request.metadata,
        api_key_id=snapshot.api_key_id,
    )
    if not outcome.is_valid:
        return _refused(common, outcome)
    return _granted(common, snapshot, outcome, drawn)


def _refused(common: Plan, outcome: Outcome) -> Plan:
    step = next((step for step in outcome.steps if step.error is not None), outcome.steps[0])
    return common.model_copy(
        update={
            "refusal": step.error.body() if step.error else _skipped(step),
            "refused": _named(step),
        }
    )


def _skipped(step: Step) -> ErrorBody:
    """Nothing was refused, but nothing applies either."""
    assert step.skipped is not None, "nothing applied and nothing was refused"
    return ErrorBody(
        code=400, key=step.skipped, message=SKIPPED[step.skipped], details=step.redeemable.id
    )


def _named(step: Step) -> JsonObject:
    named: JsonObject = {"object": step.redeemable.object, "id": step.redeemable.id}
    if step.code is not None:
        named[step.code.object] = snapshot_json(step.code)
    return named


def _granted(common: Plan, snapshot: Snapshot, outcome: Outcome, drawn: DrawnIds) -> Plan:
    customer = snapshot.customer
    order: JsonObject | None = None
    if outcome.cart is not None:
        final = order_json(outcome.cart)
        order = _paid(final, drawn, snapshot)
    contra = contra_of(order["id"] if order else None, customer.id if customer else None)
    applied = outcome.applied
    return common.model_copy(
        update={
            "parent_id": drawn.parent_id if len(applied) > 1 else None,
            "customer_changes": customer.changes if customer else None,
            "order": order,
            "order_version": snapshot.order_version if order is not None else None,
            "redemptions": [_redemption(step, snapshot, drawn, contra) for step in applied],
        }
    )


def contra_of(order_id: str | None, customer_id: str | None) -> str:
    """Return the account that receives what the redemption takes."""
    if order_id is not None:
        return f"order/{order_id}"
    return f"customer/{customer_id}" if customer_id is not None else "world"


def _paid(order: JsonObject, drawn: DrawnIds, snapshot: Snapshot) -> JsonObject:
    customer = snapshot.customer
    shown: JsonObject = {**order, "id": drawn.order_id, "status": "PAID"}
    if customer is not None:
        shown["customer"] = {"id": customer.id, "object": "customer"}
    return shown


def _sent(order: JsonObject | None, drawn: DrawnIds, snapshot: Snapshot) -> JsonObject | None:
    """Return the order that a refused redemption shows; one that nobody has stored has no id."""
    stored = snapshot.stored_order
    if order is None or stored is None:
        return order
    return {**order, "id": drawn.order_id, "status": stored.get("status", "CREATED")}


def _redemption(step: Step, snapshot: Snapshot, drawn: DrawnIds, contra: str) -> PlannedRedemption:
    assert step.code is not None, "only codes that are there apply"
    assert step.priced is not None, "only steps that apply become redemptions"
    return PlannedRedemption.model_construct(
        redemption_id=drawn.redemption_ids[step.place],
        redeemable=_asked(step),
        related_object_type=step.code.object,
        related_object_id=step.code.id,
        voucher=None if step.code.is_tier else snapshot_json(step.code),
        promotion_tier=snapshot_json(step.code) if step.code.is_tier else None,
        promotion_stack=_stack(step),
        campaign_id=step.code.campaign_id,
        campaign_name=step.code.definition.campaign_name,
        amount=step.priced.credits,
        discount_amount=step.taken,
        result=step.priced.result,
        order=_paid(step.order.to_json(), drawn, snapshot) if step.order is not None else None,
        postings=[posting_of(claim, contra) for claim in step.claims],
    )


def _stack(step: Step) -> JsonObject | None:
    if step.stack is None:
        return None
    return {"id": step.stack.id, "name": step.stack.name, "object": "promotion_stack"}


def _asked(step: Step) -> JsonObject:
    """Return the redeemable as it was asked for, without what nobody reads."""
    names = ("object", "id", "gift", "reward")
    return {name: step.redeemable.sent[name] for name in names if name in step.redeemable.sent}


def posting_of(claim: Claim, contra: str, holder: str | None = None) -> Posting:
    """Return a claim as the ledger takes it."""
    assert claim.amount > 0, "a posting moves something"
    return Posting.model_construct(
        account=claim.account,
        contra=contra,
        unit=claim.unit,
        amount=claim.amount,
        limit=claim.limit,
        limit_version=claim.limit_version,
        error=claim.error.body(),
        is_adjustable=claim.is_adjustable,
        holder=holder,
    )


def contention_key(snapshot: Snapshot, made: Plan) -> str:
    """Return the key under which the ledger orders this plan: the campaign, or the code."""
    if made.redemptions:
        first = made.redemptions[0]
        return first.campaign_id or first.related_object_id
    named = snapshot.request.redeemables[0].get("id")
    code = snapshot.codes.get(str(named)) or snapshot.tiers.get(str(named))
    return (code.campaign_id or code.id) if code is not None else str(named)
