"""What callers read at the gateway, by its real operations, and whether it showed what they had been told of.

A reader asks the gateway that took its request, which remembers what it has written, or another one, which
is told by the positions that came with the answer.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from contracts import public
from contracts.errors import JsonObject
from contracts.ledger import (
    RedemptionFailed,
    RedemptionRolledBack,
    RedemptionSucceeded,
    RollbackFailed,
)
from contracts.messages import Envelope, Event, Position, Reply
from gateway import limits
from gateway.app import Gateway
from gateway.auth import ApiKey
from gateway.http import Call
from gateway.operations.orders import get_order
from gateway.operations.redemptions import get_redemption
from gateway.operations.vouchers import get_voucher
from gateway.own_writes import OwnWrites
from runtime.service import Service
from runtime.settings import Settings
from tests.sim.judge import Version
from tests.sim.shop import CHANGES, Operation, code_of

READ = {"order": get_order, "redemption": get_redemption, "voucher": get_voucher}
PARAMETER = {"order": "orderId", "redemption": "redemptionId", "voucher": "code"}
AMOUNTS = ("amount", "total_discount_amount", "total_amount")
Told = tuple[Event, Envelope]


class Thing(NamedTuple):
    """What is read: its kind and its name."""

    kind: str
    name: str


class Reading(NamedTuple):
    """What was shown; ``had_to_show`` are facts that this gateway had told of, or was told of."""

    operation: str
    project: str
    thing: Thing
    shown: JsonObject
    had_to_show: frozenset[str]
    at_position: int
    """Of the ledger's newest event when it had been read."""


class Front:
    """A gateway's process, as callers meet it."""

    def __init__(self, service: Service, now: Callable[[], float]) -> None:
        settings: Settings = service.settings
        self.gateway = Gateway(settings)
        self.gateway.service = service
        self.gateway.writes = OwnWrites(now)
        self._now = now
        self._answered: list[tuple[float, str, str]] = []

    def answer(self, operation: Operation, reply: Reply, things: Iterable[Thing]) -> None:
        """Remember what an operation has written, as its own would."""
        call = self._call(operation.project, {}, ())
        call.positions = list(reply.positions)
        call.remember(_owner_of(operation), [f"{kind}/{name}" for kind, name in things])
        self._answered.append((self._now(), operation.project, fact_of(operation, reply)))

    def answered(self, project: str) -> set[str]:
        """Return the facts of a project that this process has told of, and still remembers."""
        since = self._now() - limits.REMEMBERED_WRITES_S
        return {fact for at, its, fact in self._answered if at > since and its == project}

    async def read(self, project: str, thing: Thing, after: Sequence[Position]) -> JsonObject:
        """Show a thing, not as it was before these positions."""
        call = self._call(project, {PARAMETER[thing.kind]: thing.name}, after)
        shown: JsonObject = await READ[thing.kind](call)
        return shown

    def _call(self, project: str, parameters: dict[str, str], after: Sequence[Position]) -> Call:
        operation: Any = None
        return Call(
            gateway=self.gateway,
            operation=operation,
            request_id="",
            key=ApiKey("", "", "server", project, "", {}),
            params=parameters,
            query=[],
            body={},
            idempotency_key="",
            fingerprint="",
            has_client_key=False,
            after=tuple(after),
        )


def _owner_of(operation: Operation) -> str:
    if operation.kind in CHANGES:
        return "campaigns"
    return "customers" if operation.kind == "cancel" else "ledger"


def fact_of(operation: Operation, reply: Reply) -> str:
    """Return the name of what the operation made happen."""
    rolled_back = (reply.body or {}).get("rollback")
    return f"rollback of {rolled_back['redemption_id']}" if rolled_back else operation.name


def things_of(operation: Operation, reply: Reply) -> list[Thing]:
    """Return what the operation has written; the first of each kind is read."""
    if operation.kind in CHANGES:
        return [Thing("voucher", code_of(operation.takes[0].account))]
    if operation.kind == "cancel":
        return [Thing("order", operation.order or "")]
    if operation.kind not in {"redeem", "roll_back"}:
        return []
    if reply.error is not None:
        # What is not there names what was asked for; other refusals name what is kept of them.
        refused = None if reply.error.key == "not_found" else reply.error.resource_id
        return [Thing("redemption", refused)] if refused else []
    body = reply.body or {}
    event = body.get("rollback") or body.get("redemption")
    if event is None:
        return []
    parent = event.get("redemption_id") or event.get("parent_id")
    things = [Thing("redemption", parent)] if parent else []
    things += [Thing("redemption", item["redemption_id"]) for item in event["items"]]
    things += [
        Thing("voucher", item["voucher"]["id"]) for item in event["items"] if item.get("voucher")
    ]
    if (event.get("order") or {}).get("id"):
        things.append(Thing("order", event["order"]["id"]))
    return things


# -- judging ---------------------------------------------------------------------------------------


class Fact(NamedTuple):
    """What happened to an order, by the ledger."""

    position: int
    name: str
    amounts: JsonObject


class Readings:
    """Judges what was read by the logs of the ledger and of campaigns."""

    def __init__(self, log: Sequence[Told], versions: Mapping[str, Sequence[Version]]) -> None:
        self._versions = versions
        self._facts: dict[tuple[str, str], list[Fact]] = defaultdict(list)
        self._given_back: dict[tuple[str, str], int] = {}
        """Where each redemption was given back."""
        self._refused: set[str] = set()
        for event, envelope in log:
            if isinstance(event, RedemptionFailed):
                self._refused.add(event.redemption_id)
            if isinstance(event, RollbackFailed):
                self._refused.add(event.rollback_id)
            if isinstance(event, RedemptionSucceeded):
                self._hear(event.metadata["operation"], event.order, envelope)
            if isinstance(event, RedemptionRolledBack):
                self._given_back[envelope.project_id, event.redemption_id] = envelope.position
                self._hear(f"rollback of {event.redemption_id}", event.order, envelope)

    def _hear(self, name: str, order: JsonObject | None, envelope: Envelope) -> None:
        if order and order.get("id"):
            fact = Fact(envelope.position, name, _amounts(public.order(order)))
            self._facts[envelope.project_id, order["id"]].append(fact)

    def judge(self, reading: Reading) -> str:
        """Return what is wrong with what was shown; empty if nothing."""
        judge = {"order": self._order, "voucher": self._voucher, "redemption": self._redemption}
        return judge[reading.thing.kind](reading)

    def _redemption(self, reading: Reading) -> str:
        name, shown = reading.thing.name, reading.shown
        result = "FAILURE" if name in self._refused else "SUCCESS"
        if shown["result"] != result:
            return f"{name} is shown as {shown['result']}, it is {result}"
        given_back = self._given_back.get((reading.project, name), math.inf)
        is_shown = shown.get("status") == "ROLLED_BACK"
        if is_shown and given_back > reading.at_position:
            return f"{name} is shown as given back: it was not"
        if not is_shown and f"rollback of {name}" in reading.had_to_show:
            return f"{name} is not shown as given back, as somebody had been told"
        return ""

    def _voucher(self, reading: Reading) -> str:
        voucher_id, shown = reading.shown["id"], reading.shown
        versions = self._versions[voucher_id]
        newest = max(
            (one.number for one in versions if one.operation in reading.had_to_show), default=0
        )
        allowed = {(one.limit, one.is_active) for one in versions if one.number >= newest}
        told = (shown["redemption"].get("quantity"), shown["active"])
        return "" if told in allowed else f"{voucher_id} is shown as {told}, not of {allowed}"

    def _order(self, reading: Reading) -> str:
        facts = self._facts.get((reading.project, reading.thing.name), [])
        told = [number for number, fact in enumerate(facts) if fact.name in reading.had_to_show]
        if not told:
            return ""
        known = facts[told[-1] :]
        allowed = [fact.amounts for fact in known if fact.position <= reading.at_position]
        shown = _amounts(reading.shown)
        return "" if shown in allowed else f"the order is shown with {shown}, not of {allowed}"

    def at_the_end(self, project: str, order: str, shown: JsonObject) -> str:
        """Return what is wrong with an order when everything has been read."""
        last = self._facts[project, order][-1].amounts
        return "" if _amounts(shown) == last else f"{order} ends as {_amounts(shown)}, not {last}"

    def orders(self) -> Iterable[tuple[str, str]]:
        """Return all orders (project, id) that the ledger tells of."""
        return sorted(self._facts)


def _amounts(order: JsonObject) -> JsonObject:
    return {name: order.get(name) or 0 for name in AMOUNTS}
