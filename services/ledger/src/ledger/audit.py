"""Proof that the ledger's tables are the fold of its log, and that nothing ever went over.

The fold here is written for the audit alone: it shares neither SQL nor decisions with the service. Hash
chains and versions are checked by ``runtime.audit`` for every service.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from contracts.errors import JsonObject
from contracts.ledger import (
    BalanceAdjusted,
    HeldBalance,
    HoldPlaced,
    HoldReleased,
    Posted,
    RedemptionRolledBack,
    RedemptionSucceeded,
)
from contracts.messages import Envelope, Event
from runtime.audit import all_events
from runtime.database import Connection

FINDINGS_MAX = 100
Key = tuple[str, str]
"""Project and the name of the thing."""


@dataclass
class Balance:
    """What the log says of an account. ``is_limit_told``: the last event about it says its limit."""

    unit: str = ""
    limit: int | None = None
    is_limit_told: bool = False
    adjusted: int = 0
    used: int = 0
    held: int = 0
    last_fact: str | None = None


class Held(NamedTuple):
    """What the log says of a session."""

    amounts: dict[str, int]
    expires_at: datetime | None
    order_id: str | None
    version: int


@dataclass
class Folded:
    """The log, folded from zero; ``findings`` are sentences about what cannot be so."""

    balances: dict[Key, Balance] = field(default_factory=lambda: defaultdict(Balance))
    holds: dict[Key, Held] = field(default_factory=dict)
    taken: dict[Key, list[Posted]] = field(default_factory=dict)
    """What each redemption took; emptied when it is given back."""
    given_back: set[Key] = field(default_factory=set)
    children: dict[Key, str] = field(default_factory=dict)
    contras: dict[Key, int] = field(default_factory=lambda: defaultdict(int))
    """Received per project and unit."""
    findings: list[str] = field(default_factory=list)

    def find(self, project_id: str, stream: str, what: str) -> None:
        """Keep a finding."""
        self.findings.append(f"ledger: {stream} in {project_id}: {what}")


async def audit(connection: Connection) -> list[str]:
    """Fold the log and compare every row; returns what differs. Inside a transaction."""
    events = await all_events(connection, ["ledger"])
    folded = fold_accounts(events)
    findings = folded.findings + trial_balance(folded)
    findings += _compare_accounts(folded, await connection.fetch("SELECT * FROM accounts"))
    findings += _compare_holds(folded, await connection.fetch("SELECT * FROM holds"))
    children = await connection.fetch("SELECT * FROM redemption_children")
    findings += _compare_children(folded, children)
    return findings[:FINDINGS_MAX]


def fold_accounts(events: Iterable[tuple[Event, Envelope]]) -> Folded:
    """Fold the log from zero."""
    folded = Folded()
    for event, meta in events:
        if isinstance(event, RedemptionSucceeded):
            _redeem(folded, event, meta)
        elif isinstance(event, RedemptionRolledBack):
            _roll_back(folded, event, meta)
        elif isinstance(event, BalanceAdjusted):
            _adjust(folded, event, meta)
        elif isinstance(event, HoldPlaced | HoldReleased):
            _hold(folded, event, meta)
    return folded


def _redeem(folded: Folded, event: RedemptionSucceeded, meta: Envelope) -> None:
    project_id = meta.project_id
    session = folded.holds.get((project_id, event.session_key or ""))
    if session is not None:
        _change_held(folded, project_id, session.amounts, {})
        folded.holds[project_id, event.session_key or ""] = session._replace(amounts={})
    _count_fact(folded, event.order, event.order_version, meta)
    for item in event.items:
        key = (project_id, item.redemption_id)
        if key in folded.taken:
            folded.find(project_id, meta.stream, f"{item.redemption_id} was redeemed before")
        folded.taken[key] = item.posted
        if event.parent_id is not None:
            folded.children[key] = event.parent_id
        for posted in item.posted:
            if posted.amount <= 0:
                folded.find(project_id, meta.stream, f"{posted.account} took {posted.amount}")
            _post(folded, posted, meta)


def _count_fact(folded: Folded, order: JsonObject | None, version: int, meta: Envelope) -> None:
    """An order's redemptions and rollbacks are numbered without gaps."""
    if order is None or version == 0:
        return
    name = f"order/{order['id']}"
    balance = folded.balances[meta.project_id, name]
    balance.unit = "fact"
    balance.is_limit_told = True
    balance.used += 1
    balance.last_fact = f"{meta.stream}@{meta.stream_version}"
    folded.contras[meta.project_id, "fact"] += 1
    if balance.used != version:
        what = f"is fact {version} of {name}, the log up to it has {balance.used}"
        folded.find(meta.project_id, meta.stream, what)


def _roll_back(folded: Folded, event: RedemptionRolledBack, meta: Envelope) -> None:
    _count_fact(folded, event.order, event.order_version, meta)
    for item in event.items:
        key = (meta.project_id, item.redemption_id)
        if key in folded.given_back:
            folded.find(meta.project_id, meta.stream, f"{item.redemption_id} was given back twice")
        folded.given_back.add(key)
        took = [_gist(posted) for posted in folded.taken.get(key, [])]
        gave = [_gist(posted, -1) for posted in item.posted]
        if took != gave:
            folded.find(
                meta.project_id,
                meta.stream,
                f"{item.redemption_id} gave back {gave}, but it took {took}",
            )
        for posted in item.posted:
            _post(folded, posted, meta)


def _gist(posted: Posted, sign: int = 1) -> tuple[str, str, str, int]:
    return posted.account, posted.contra, posted.unit, sign * posted.amount


def _post(folded: Folded, posted: Posted, meta: Envelope) -> None:
    balance = folded.balances[meta.project_id, posted.account]
    balance.unit = balance.unit or posted.unit
    balance.used += posted.amount
    folded.contras[meta.project_id, posted.unit] += posted.amount
    if balance.used < 0:
        folded.find(meta.project_id, meta.stream, f"{posted.account} fell below zero")
    if balance.unit != posted.unit:
        folded.find(meta.project_id, meta.stream, f"{posted.account} is not in {posted.unit}")
    if posted.available is not None and posted.available < 0:
        folded.find(meta.project_id, meta.stream, f"{posted.account} went over its limit")
    if posted.used != balance.used:
        folded.find(
            meta.project_id,
            meta.stream,
            f"says {posted.account} had {posted.used} used, the log up to it says {balance.used}",
        )
    told = _limit_of(balance, posted.available)
    if posted.amount < 0 and balance.is_limit_told and told != balance.limit:
        folded.find(meta.project_id, meta.stream, f"{posted.account} has another limit than before")
    balance.limit, balance.is_limit_told = told, True


def _limit_of(balance: Balance, available: int | None) -> int | None:
    """Return the limit that follows from what an event says is left."""
    if available is None:
        return None
    return available + balance.used + balance.held - balance.adjusted


def _adjust(folded: Folded, event: BalanceAdjusted, meta: Envelope) -> None:
    balance = folded.balances[meta.project_id, event.account]
    balance.unit = balance.unit or event.unit
    balance.adjusted += event.amount
    balance.limit, balance.is_limit_told = event.limit, True
    available = event.limit + balance.adjusted - balance.used - balance.held
    if (event.used, event.available) != (balance.used, available):
        folded.find(
            meta.project_id,
            meta.stream,
            f"says {event.account} had {event.used} used and {event.available} left,"
            f" the log up to it says {balance.used} and {available}",
        )
    if available < 0:
        folded.find(meta.project_id, meta.stream, f"{event.account} fell below zero")


def _hold(folded: Folded, event: HoldPlaced | HoldReleased, meta: Envelope) -> None:
    project_id, key = meta.project_id, (meta.project_id, event.session_key)
    before = folded.holds.get(key) or Held({}, None, None, 0)
    amounts: dict[str, int] = defaultdict(int)
    for posting in event.held if isinstance(event, HoldPlaced) else event.remaining:
        amounts[posting.account] += posting.amount
        folded.balances[project_id, posting.account].unit = posting.unit
    _change_held(folded, project_id, before.amounts, amounts)
    until: tuple[datetime | None, str | None]
    if isinstance(event, HoldPlaced):
        until = event.expires_at, event.order_id
    else:
        _check_released(folded, before, amounts, meta)
        until = (before.expires_at, before.order_id) if amounts else (None, None)
    folded.holds[key] = Held(dict(amounts), *until, meta.stream_version)
    for told in event.balances:
        is_placed = isinstance(event, HoldPlaced)
        _check_balance(folded, told, meta, may_change_limit=is_placed)


def _check_released(folded: Folded, before: Held, amounts: dict[str, int], meta: Envelope) -> None:
    for account, amount in amounts.items():
        if amount > before.amounts.get(account, 0):
            what = f"holds more of {account} after its release"
            folded.find(meta.project_id, meta.stream, what)


def _check_balance(
    folded: Folded, told: HeldBalance, meta: Envelope, *, may_change_limit: bool
) -> None:
    balance = folded.balances[meta.project_id, told.account]
    if (told.used, told.held) != (balance.used, balance.held):
        folded.find(
            meta.project_id,
            meta.stream,
            f"says {told.account} had {told.used} used and {told.held} held,"
            f" the log up to it says {balance.used} and {balance.held}",
        )
    if told.available is not None and told.available < 0:
        folded.find(meta.project_id, meta.stream, f"{told.account} went over its limit")
    limit = _limit_of(balance, told.available)
    if not may_change_limit and balance.is_limit_told and limit != balance.limit:
        folded.find(meta.project_id, meta.stream, f"{told.account} has another limit than before")
    balance.limit, balance.is_limit_told = limit, True


def _change_held(
    folded: Folded, project_id: str, before: dict[str, int], after: dict[str, int]
) -> None:
    for account in before.keys() | after.keys():
        change = after.get(account, 0) - before.get(account, 0)
        folded.balances[project_id, account].held += change


def trial_balance(folded: Folded) -> list[str]:
    """Check that postings sum to zero: what accounts gave is what contra accounts received."""
    sums: dict[Key, int] = defaultdict(int)
    for (project_id, _), balance in folded.balances.items():
        sums[project_id, balance.unit] -= balance.used
    for key, received in folded.contras.items():
        sums[key] += received
    return [
        f"ledger: postings of {unit} in {project_id} sum to {total}, not zero"
        for (project_id, unit), total in sorted(sums.items())
        if total != 0
    ]


def _compare_accounts(folded: Folded, rows: Iterable[Any]) -> Iterator[str]:
    stored = {(row["project_id"], row["account"]): row for row in rows}
    for key in sorted(folded.balances.keys() | stored.keys()):
        told, row = folded.balances.get(key), stored.get(key)
        where = f"ledger: account {key[1]} in {key[0]}"
        if row is None:
            yield f"{where} is missing"
            continue
        if told is None:
            yield f"{where}: the log does not know it"
            continue
        names = ["unit", "adjusted", "used", "held", "last_fact"]
        wanted: list[Any] = [told.unit, told.adjusted, told.used, told.held, told.last_fact]
        if told.is_limit_told:
            names.append("limit_amount")
            wanted.append(told.limit)
        for name, value in zip(names, wanted, strict=True):
            if row[name] != value:
                yield f"{where}: {name} is {row[name]}, the log says {value}"


def _compare_holds(folded: Folded, rows: Iterable[Any]) -> Iterator[str]:
    stored = {}
    for row in rows:
        amounts: dict[str, int] = defaultdict(int)
        for posting in row["postings"]:
            amounts[posting["account"]] += posting["amount"]
        key = (row["project_id"], row["session_key"])
        stored[key] = Held(dict(amounts), row["expires_at"], row["order_id"], row["stream_version"])
    for key in sorted(folded.holds.keys() | stored.keys()):
        told, kept = folded.holds.get(key), stored.get(key)
        if told != kept:
            yield f"ledger: hold {key[1]} in {key[0]} is {kept}, the log says {told}"


def _compare_children(folded: Folded, rows: Iterable[Any]) -> Iterator[str]:
    stored = {(row["project_id"], row["child_id"]): row["parent_id"] for row in rows}
    for key in sorted(folded.children.keys() | stored.keys()):
        told, kept = folded.children.get(key), stored.get(key)
        if told != kept:
            yield f"ledger: parent of {key[1]} in {key[0]} is {kept}, the log says {told}"
