"""Faults put into the real code, one at a time: the simulation is worth what it finds of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import customers.handlers
import engine.domain.stack
import engine.projections
import gateway.read_models.orders
import gateway.views
import ledger.domain.redeem
import ledger.queries
import runtime.consumer
import runtime.inbox
import runtime.relay
import runtime.requests
import webhooks.handlers
from engine.domain.definition import account_of_credits
from ledger.domain.accounts import Account
from runtime import event_store
from runtime.consumer import CommandConsumer, ReactionConsumer
from runtime.inbox import Consumer
from runtime.positions import Positions
from runtime.relay import Relay
from runtime.unit import Batch
from tests.sim import statements, store

Place = tuple[Any, str]
"""An attribute of the real code: its owner and its name."""


async def _nothing(*_: Any) -> None:
    return None


async def _no_replies(*_: Any) -> dict[Any, Any]:
    return {}


def _takes_all(_: Consumer, reads: Any, stored: Any) -> list[Any]:
    del stored
    return list(reads)


def _skips_the_third(read_after: Any) -> Any:
    async def skipping(connection: Any, position: int, limit: int) -> list[Any]:
        rows = await read_after(connection, position, limit)
        return [row for row in rows if row["position"] % 7 != 3] or rows

    return skipping


async def _saves_first(relay: Relay, connection: Any, cursor: Any) -> Any:
    rows = await event_store.read_after(connection, cursor.position, 100)
    if rows:
        _, after = runtime.relay.chained(rows, cursor)
        await connection.execute("UPDATE relay_cursor SET position = $1, published = $2", *after)
    return await _PUBLISH_NEXT(relay, connection, cursor)


_PUBLISH_NEXT = Relay.publish_next


async def _does_not_lock(tx: store.Transaction, *name: Any) -> None:
    if name[0] == "accounts":
        tx.locks.add(name)
        return
    await _LOCK(tx, *name)


_LOCK = store.Transaction.lock


def _unlimited(account: Account, limit: int | None) -> int | None:
    left = _LEFT_UNDER(account, limit)
    return left if left is None or account.used == 0 else left + 1


_LEFT_UNDER = Account.left_under


def _keyless(forward: Any) -> Any:
    def forwarding(request: Any, message: Any, source: str) -> Any:
        return forward(request, message, source)._replace(idempotency_key="")

    return forwarding


def _believes_its_view(stack: Any, code: Any) -> int:
    left = stack.claimed.left(account_of_credits(code.id), (code.definition.gift or {})["amount"])
    return max(0, left)


def _takes_any_balance(rows: Any, items: Any, meta: Any) -> None:
    for item in items:
        for posted in item.posted:
            key = (meta.project_id, posted.account)
            row = rows.get(engine.projections.ACCOUNTS, *key) or {}
            changes = {"used": posted.used, "used_position": meta.position}
            rows.put(engine.projections.ACCOUNTS, key, {**row, **changes})


def _by_its_own_clock(row: Any) -> bool:
    moment = row["doc"].get("updated_at") or row["doc"]["created_at"]
    return bool(datetime.fromisoformat(moment) >= row["ledger_at"])


def _with_what_the_owner_has(row: Any) -> Any:
    told = gateway.read_models.orders.shown(row)
    return {**(row.get("doc") or {}), **told}


def _forgets_later_ones(flush: Any) -> Any:
    async def flushing(connection: Any, context: Any) -> None:
        if context.hooks:
            first = context.hooks[0].event_id
            context.hooks = [one for one in context.hooks if one.event_id == first]
            kept = {one.hook_id for one in context.hooks}
            context.deliveries = [one for one in context.deliveries if one.hook_id in kept]
        await flush(connection, context)

    return flushing


def _flushes_less(initialize: Any) -> Any:
    def initializing(consumer: Any, *arguments: Any, **named: Any) -> None:
        if named.get("flush") is webhooks.handlers.flush:
            named["flush"] = _forgets_later_ones(webhooks.handlers.flush)
        initialize(consumer, *arguments, **named)

    return initializing


def _takes_any_fact(decide: Any) -> Any:
    def deciding(state: Any, *rest: Any) -> Any:
        if state is not None:
            state = state.model_copy(update={"caused_at": None, "caused_by": None})
        return decide(state, *rest)

    return deciding


MUTANTS: dict[str, tuple[Place, Callable[[Any], Any]]] = {
    "records that were taken before are taken again": (
        (Consumer, "_fresh"),
        lambda _: _takes_all,
    ),
    "the reply is not stored under its key": (
        (runtime.consumer, "_store_replies"),
        lambda _: _nothing,
    ),
    "known keys are not looked up": (
        (CommandConsumer, "_known_replies"),
        lambda _: _no_replies,
    ),
    "the relay skips one event in seven": ((event_store, "read_after"), _skips_the_third),
    "the relay saves its cursor before it sends": (
        (Relay, "publish_next"),
        lambda _: _saves_first,
    ),
    "accounts are read without a lock": ((store.Transaction, "lock"), lambda _: _does_not_lock),
    "a session is not locked by its name": (
        (ledger.queries, "lock_session_names"),
        lambda _: _nothing,
    ),
    "an order's version is not checked": (
        (ledger.domain.redeem, "_is_order_changed"),
        lambda _: lambda *_: False,
    ),
    "the engine passes a request on without its key": (
        (runtime.requests, "forward_envelope"),
        _keyless,
    ),
    "the engine believes that a card is empty": (
        (engine.domain.stack.Run, "balance"),
        lambda _: _believes_its_view,
    ),
    "the engine takes an older balance for a newer one": (
        (engine.projections, "_apply_posted"),
        lambda _: _takes_any_balance,
    ),
    "the engine does not wait for what its caller wrote": (
        (Positions, "has"),
        lambda _: lambda *_: True,
    ),
    "the engine answers 500 when its session ends": (
        (runtime.requests, "is_passing"),
        lambda _: lambda error: isinstance(error, OSError),
    ),
    "customers let an older fact replace a newer one": (
        (customers.handlers, "decide_apply_fact"),
        _takes_any_fact,
    ),
    "an order's owner counts by its own clock": (
        (gateway.read_models.orders, "_has_taken_over"),
        lambda _: _by_its_own_clock,
    ),
    "an order that was given back shows what its owner still has": (
        (gateway.views, "shown"),
        lambda _: _with_what_the_owner_has,
    ),
    "a reaction says that a read model is there": (
        (ReactionConsumer, "feeds_read_models"),
        lambda _: True,
    ),
    "whoever changes nothing is told of no position": ((Batch, "find"), lambda _: _nothing),
    "webhooks of a batch's later events are forgotten": (
        (ReactionConsumer, "__init__"),
        _flushes_less,
    ),
    "one more than the limit is given": ((Account, "left_under"), lambda _: _unlimited),
}


@contextmanager
def mutant(name: str) -> Iterator[None]:
    """Let the real code be wrong in this way."""
    (owner, attribute), change = MUTANTS[name]
    before = getattr(owner, attribute)
    setattr(owner, attribute, change(before))
    try:
        yield
    finally:
        setattr(owner, attribute, before)


assert statements, "its module registers what a store understands"
