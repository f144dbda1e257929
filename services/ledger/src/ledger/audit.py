"""Proof that the ledger's balances are the fold of its log, and that nothing ever went over."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from contracts.ledger import (
    BalanceAdjusted,
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


class Balance(NamedTuple):
    """What the log says of an account."""

    adjusted: int = 0
    used: int = 0
    held: int = 0


async def audit(connection: Connection) -> list[str]:
    """Fold the log and compare every balance; returns what differs. Inside a transaction."""
    events = await all_events(connection, ["ledger"])
    balances, findings = fold_accounts(events)
    findings += trial_balance(events)
    rows = await connection.fetch("SELECT project_id, account, adjusted, used, held FROM accounts")
    stored = {(row[0], row[1]): Balance(row[2], row[3], row[4]) for row in rows}
    for key in sorted(balances.keys() | stored.keys()):
        told, kept = balances.get(key, Balance()), stored.get(key, Balance())
        if told != kept:
            findings.append(f"ledger: account {key[1]} in {key[0]} is {kept}, the log says {told}")
    return findings[:FINDINGS_MAX]


def fold_accounts(
    events: Iterable[tuple[Event, Envelope]],
) -> tuple[dict[tuple[str, str], Balance], list[str]]:
    """Return every account's balance, and findings: over a limit, back twice, balances misstated."""
    balances: dict[tuple[str, str], Balance] = defaultdict(Balance)
    holds: dict[tuple[str, str], dict[str, int]] = {}
    given_back: set[tuple[str, str]] = set()
    findings: list[str] = []
    for event, meta in events:
        project_id = meta.project_id
        if isinstance(event, RedemptionSucceeded | RedemptionRolledBack):
            for item in event.items:
                if isinstance(event, RedemptionRolledBack):
                    if (project_id, item.redemption_id) in given_back:
                        findings.append(f"ledger: {item.redemption_id} was given back twice")
                    given_back.add((project_id, item.redemption_id))
                for posted in item.posted:
                    findings += _post(balances, project_id, posted, meta.stream)
        elif isinstance(event, BalanceAdjusted):
            key = (project_id, event.account)
            balances[key] = balances[key]._replace(adjusted=balances[key].adjusted + event.amount)
        elif isinstance(event, HoldPlaced | HoldReleased):
            _hold(balances, holds, project_id, event)
    return balances, findings


def _post(
    balances: dict[tuple[str, str], Balance], project_id: str, posted: Posted, stream: str
) -> list[str]:
    key = (project_id, posted.account)
    balance = balances[key]._replace(used=balances[key].used + posted.amount)
    balances[key] = balance
    findings = []
    if balance.used < 0:
        findings.append(f"ledger: {posted.account} in {project_id} fell below zero at {stream}")
    if posted.available is not None and posted.available < 0:
        findings.append(f"ledger: {posted.account} in {project_id} went over its limit at {stream}")
    if posted.used != balance.used:
        findings.append(
            f"ledger: {stream} says {posted.account} had {posted.used}, the log before it {balance.used}"
        )
    return findings


def _hold(
    balances: dict[tuple[str, str], Balance],
    holds: dict[tuple[str, str], dict[str, int]],
    project_id: str,
    event: HoldPlaced | HoldReleased,
) -> None:
    key = (project_id, event.session_key)
    postings = event.held if isinstance(event, HoldPlaced) else event.remaining
    now: dict[str, int] = defaultdict(int)
    for posting in postings:
        now[posting.account] += posting.amount
    before = holds.get(key, {})
    for account in before.keys() | now.keys():
        at = (project_id, account)
        change = now.get(account, 0) - before.get(account, 0)
        balances[at] = balances[at]._replace(held=balances[at].held + change)
    holds[key] = dict(now)


def trial_balance(events: Iterable[tuple[Event, Envelope]]) -> list[str]:
    """Check that postings sum to zero: per project and unit, accounts against contra accounts."""
    sides: dict[tuple[str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for event, meta in events:
        for posted in _postings(event):
            ledger = sides[meta.project_id, posted.unit]
            ledger[posted.account] -= posted.amount
            ledger[posted.contra] += posted.amount
    return [
        f"ledger: postings of {unit} in {project_id} sum to {sum(accounts.values())}, not zero"
        for (project_id, unit), accounts in sides.items()
        if sum(accounts.values()) != 0
    ] + _outstanding(sides)


def _outstanding(sides: Mapping[tuple[str, str], Mapping[str, int]]) -> list[str]:
    """What contra accounts received is what accounts gave: no account is its own contra."""
    return [
        f"ledger: account {name} in {project_id} gave a negative amount of {unit}"
        for (project_id, unit), accounts in sides.items()
        for name, amount in accounts.items()
        if amount < 0 and not _is_limited(name)
    ]


def _is_limited(name: str) -> bool:
    return not name.startswith(("order/", "customer/", "world"))


def _postings(event: Event) -> Iterable[Any]:
    if isinstance(event, RedemptionSucceeded | RedemptionRolledBack):
        for item in event.items:
            yield from item.posted
