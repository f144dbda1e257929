"""The answer of ``POST /v1/validations``."""

from collections.abc import Sequence

from contracts import public
from contracts.errors import JsonObject
from engine.domain.customer import tracking_id
from engine.domain.definition import Code
from engine.domain.order import order_json
from engine.domain.pricing import applicable_to
from engine.domain.refusals import SKIPPED, Refusal
from engine.domain.snapshot import Snapshot
from engine.domain.stack import Outcome, Step, apply_stack
from engine.domain.stacking import shown_rules


def validate(snapshot: Snapshot, validation_id: str) -> JsonObject:
    """Check and price the stack; nothing changes. Raises ``InvalidPayload``."""
    return shown(snapshot, apply_stack(snapshot, must_suffice=True), validation_id)


def shown(snapshot: Snapshot, outcome: Outcome, validation_id: str) -> JsonObject:
    """Return the outcome as the answer's body."""
    body: JsonObject = {"id": validation_id, "valid": outcome.is_valid, **_lists(outcome, snapshot)}
    customer = snapshot.customer
    if outcome.is_valid and outcome.cart is not None:
        body["order"] = order_json(outcome.cart)
    tracked = tracking_id(snapshot.project_id, customer.shown if customer else None)
    if tracked is not None:
        body["tracking_id"] = tracked
    body["stacking_rules"] = shown_rules(snapshot.stacking_rules, outcome.search)
    return body


def _lists(outcome: Outcome, snapshot: Snapshot) -> JsonObject:
    """Return the lists of redeemables: the two others are left out when empty."""
    steps = outcome.applied if outcome.is_valid else outcome.steps
    lists: JsonObject = {"redeemables": steps_json(steps, snapshot)}
    if outcome.refused:
        lists["inapplicable_redeemables"] = steps_json(outcome.refused, snapshot)
    if outcome.skipped:
        lists["skipped_redeemables"] = steps_json(outcome.skipped, snapshot)
    return lists


def steps_json(steps: Sequence[Step], snapshot: Snapshot) -> list[JsonObject]:
    """Return redeemables as the answer shows them, with their categories where they are asked for."""
    expand = snapshot.request.options.get("expand")
    has_categories = isinstance(expand, list) and "category" in expand
    return [step_json(step, snapshot if has_categories else None) for step in steps]


def _categories(code: Code, snapshot: Snapshot | None) -> list[JsonObject]:
    category = snapshot and snapshot.categories.get(code.definition.category_id or "")
    if snapshot is None or category is None:
        return []
    return [public.category(category, snapshot.stacking_rules)]


def step_json(step: Step, snapshot: Snapshot | None = None) -> JsonObject:
    """Return a redeemable as the answer shows it; with the snapshot also its category."""
    shown: JsonObject = {"id": step.redeemable.id, "object": step.redeemable.object}
    if step.code is not None:
        shown["metadata"] = step.code.definition.metadata
        shown["categories"] = _categories(step.code, snapshot)
        if step.code.is_tier:
            shown["name"] = step.code.definition.shown["name"]
            shown["banner"] = step.code.definition.shown.get("banner")
        if step.code.campaign_id is not None:
            shown["campaign_id"] = step.code.campaign_id
            shown["campaign_name"] = step.code.definition.campaign_name
    if step.explanation is not None:
        shown["explanation"] = step.explanation
    if step.error is not None:
        result = error_json(step.error)
        if step.bundle is not None:
            result["bundle"] = step.bundle
        return {"status": "INAPPLICABLE", **shown, "result": result}
    if step.skipped is not None:
        details = {"key": step.skipped, "message": SKIPPED[step.skipped]}
        return {"status": "SKIPPED", **shown, "result": {"details": details}}
    assert step.priced is not None, "a step is applied, refused or skipped"
    assert step.code is not None, "only codes that are there apply"
    included, excluded = applicable_to(step.code.rules, step.priced)
    shown |= {"applicable_to": included, "inapplicable_to": excluded, "result": step.priced.result}
    if step.order is not None:
        shown["order"] = step.order.to_json()
    return {"status": "APPLICABLE", **shown}


def error_json(error: Refusal) -> JsonObject:
    """Return the ``result`` of a redeemable that was refused."""
    return {
        "error": error.body().model_dump(exclude_none=True),
        "details": {"key": error.key, "message": error.message},
    }
