"""Load, decide, append. The table ``COMMANDS`` at the end is the table of contents."""

from contracts import topics
from contracts.customers import OrderCreated, OrderUpdated
from contracts.engine import PlanRedemption
from contracts.errors import JsonObject, Unavailable
from contracts.ledger import (
    AdjustBalance,
    PlaceHold,
    Plan,
    Redeem,
    ReleaseHold,
    RollBack,
    RollbackFailed,
)
from contracts.messages import Command, Event, Reply
from ledger.book import Batch
from ledger.domain.balance import decide_adjust_balance
from ledger.domain.holds import (
    decide_place_hold,
    decide_release_hold,
    release,
    released_by_redemption,
)
from ledger.domain.redeem import HandBack, Redeemed, Refused, decide_redeem, root_id
from ledger.domain.rollback import Redemption, decide_roll_back
from ledger.limits import ORDER_TURNS_MAX, PLAN_ATTEMPTS_MAX
from runtime.consumer import Handler
from runtime.unit import Unit


async def redeem(unit: Unit, command: Redeem) -> JsonObject | Reply | None:
    batch: Batch = unit.context
    plan = command.plan
    session_key = (plan.stack.session or {}).get("key")
    held = batch.held(unit.project_id, session_key)
    decision = decide_redeem(plan, batch.of(unit.project_id), held, unit.now)
    if isinstance(decision, HandBack):
        _hand_back(unit, batch, plan, decision)
        return None
    if isinstance(decision, Refused):
        event = decision.event
        unit.publish_event(f"redemption-{event.redemption_id}", event)
        batch.redemptions[unit.project_id, event.redemption_id] = Redemption(None, is_failed=True)
        return Reply(status=event.error.code, error=event.error, body={"redemption": _json(event)})
    return _redeemed(unit, batch, decision, session_key if held else None)


def _redeemed(unit: Unit, batch: Batch, decision: Redeemed, session_key: str | None) -> JsonObject:
    event = decision.event
    root = root_id(event)
    batch.change(unit.project_id, decision.accounts)
    batch.keep_order(unit.project_id, event.order)
    staged = unit.publish_event(f"redemption-{root}", event)
    batch.redemptions[unit.project_id, root] = Redemption(event, staged.hash)
    if event.parent_id is not None:
        for item in event.items:
            batch.children.append((unit.project_id, item.redemption_id, root))
            batch.redemptions[unit.project_id, item.redemption_id] = Redemption(
                None, parent_id=root
            )
    if session_key is not None:
        held = batch.held(unit.project_id, session_key)
        assert held, "the decision has released it"
        released = released_by_redemption(session_key, held, decision.accounts, unit.now)
        batch.stage_hold(unit, released)
    return {"redemption": _json(event)}


def _hand_back(unit: Unit, batch: Batch, plan: Plan, decision: HandBack) -> None:
    """Let the engine plan again with what the accounts really have, or after who was first."""
    again = PlanRedemption(
        stack=plan.stack,
        now=plan.planned_at,
        api_key_id=plan.api_key_id,
        attempt=plan.attempt + (not decision.is_order_changed),
        available=decision.available,
        turn=plan.turn + decision.is_order_changed,
    )
    if again.attempt > PLAN_ATTEMPTS_MAX or again.turn > ORDER_TURNS_MAX:
        message = "what this redemption depends on keeps changing"
        raise Unavailable(message)
    if plan.order is not None and plan.order_version is not None:
        version, known = batch.order(unit.project_id, plan.order["id"])
        again = again.model_copy(update={"order_version": version, "known_order": known})
    unit.forward(topics.ENGINE_REQUESTS, unit.project_id, again)


async def roll_back(unit: Unit, command: RollBack) -> JsonObject | Reply:
    batch: Batch = unit.context
    key = (unit.project_id, command.redemption_id)
    redemption = batch.redemptions[key]
    decision = decide_roll_back(command, redemption, batch.of(unit.project_id), unit.now)
    if isinstance(decision, RollbackFailed):
        unit.publish_event(f"rollback-{decision.rollback_id}", decision)
        return Reply(status=decision.error.code, error=decision.error)
    batch.change(unit.project_id, decision.accounts)
    batch.keep_order(unit.project_id, decision.event.order)
    unit.publish_event(
        f"redemption-{command.redemption_id}",
        decision.event,
        version=2,
        previous_hash=redemption.hash,
    )
    batch.redemptions[key] = redemption._replace(is_rolled_back=True)
    assert redemption.event is not None, "what is not there cannot be given back"
    return {"rollback": _json(decision.event), "redemption": _json(redemption.event)}


async def adjust_balance(unit: Unit, command: AdjustBalance) -> JsonObject:
    batch: Batch = unit.context
    event, changed = decide_adjust_balance(command, batch.of(unit.project_id), unit.now)
    batch.change(unit.project_id, changed)
    unit.publish_event(f"adjustment-{command.transaction_id}", event)
    return {"adjustment": _json(event)}


async def place_hold(unit: Unit, command: PlaceHold) -> JsonObject | None:
    if not command.postings:
        return command.answer
    batch: Batch = unit.context
    held = batch.held(unit.project_id, command.session_key)
    decision = decide_place_hold(command, held, batch.of(unit.project_id), unit.now)
    if isinstance(decision, HandBack):
        _validate_again(unit, command, decision)
        return None
    batch.change(unit.project_id, decision.accounts)
    batch.stage_hold(unit, decision.event)
    return command.answer


def _validate_again(unit: Unit, command: PlaceHold, decision: HandBack) -> None:
    """Let the engine answer again with what the accounts really have."""
    validation = command.validation
    if validation.attempt >= PLAN_ATTEMPTS_MAX:
        message = "what this session would hold keeps changing"
        raise Unavailable(message)
    changes = {"attempt": validation.attempt + 1, "available": decision.available}
    unit.forward(topics.ENGINE_REQUESTS, unit.project_id, validation.model_copy(update=changes))


async def release_hold(unit: Unit, command: ReleaseHold) -> JsonObject:
    batch: Batch = unit.context
    held = batch.held(unit.project_id, command.session_key)
    event, changed = decide_release_hold(command, held, batch.of(unit.project_id), unit.now)
    batch.change(unit.project_id, changed)
    batch.stage_hold(unit, event)
    return {"hold": _json(event)}


async def on_order(unit: Unit, event: OrderCreated | OrderUpdated) -> None:
    """Give back what is held for an order that was canceled: nobody will pay for it."""
    batch: Batch = unit.context
    for session_key in batch.sessions_of_order(unit.project_id, event.order):
        held = batch.held(unit.project_id, session_key)
        accounts = batch.of(unit.project_id)
        released, changed = release(session_key, held, [], accounts, unit.now, "canceled")
        batch.change(unit.project_id, changed)
        batch.stage_hold(unit, released)


def _json(event: Event) -> JsonObject:
    return event.model_dump(mode="json", exclude_none=True)


COMMANDS: dict[type[Command], Handler] = {
    Redeem: Handler(redeem),
    RollBack: Handler(roll_back),
    AdjustBalance: Handler(adjust_balance),
    PlaceHold: Handler(place_hold),
    ReleaseHold: Handler(release_hold),
}

REACTIONS: dict[type[Event], Handler] = {
    OrderCreated: Handler(on_order),
    OrderUpdated: Handler(on_order),
}
