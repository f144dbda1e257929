"""Whether a run was right: the oracle goes through the log in commit order, then looks at the answers.

Whatever happened at once in whatever processes, it must be as if it had happened one after the other in
the order of the log, and every caller must have been told what stands there. A refusal
must be what the oracle says at its own place in the log: what it was decided on was locked until then. Only
an account that nothing had happened to had no row to lock; it may be looked at as it was before.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from typing import NamedTuple

from contracts.ledger import (
    BalanceAdjusted,
    HoldPlaced,
    HoldReleased,
    Plan,
    RedemptionFailed,
    RedemptionRolledBack,
    RedemptionSucceeded,
    RollbackFailed,
)
from contracts.messages import Envelope, Event, Reply
from tests.oracle.machine import PROJECTS, START
from tests.oracle.redemptions import Oracle, Take
from tests.sim.shop import SAID, Operation


class Answered(NamedTuple):
    """An operation's definitive answers, and between which positions of the log it was open."""

    replies: list[Reply]
    from_position: int
    to_position: int


class Judge:
    """Judges one run; ``findings`` are sentences. ``plans`` are all that were sent to the ledger."""

    def __init__(
        self,
        operations: Sequence[Operation],
        answered: Mapping[str, Answered],
        plans: Mapping[str, Sequence[Plan]],
    ) -> None:
        self.findings: list[str] = []
        self._operations = {one.name: one for one in operations}
        self._answered = answered
        self._plans = plans
        self._oracles = {project: Oracle() for project in PROJECTS}
        self._told: dict[str, list[Event]] = defaultdict(list)
        """What the log says of each operation."""
        self._since: dict[str, dict[str, int]] = {project: {} for project in PROJECTS}
        """Where in the log something first happened to an account."""
        self._position = 0
        waiting = sorted(answered.items(), key=lambda one: one[1].from_position)
        self._to_come = [name for name, one in reversed(waiting) if one.replies]
        self._open: set[str] = set()
        self._fitting: set[str] = set()
        """Operations that answered without an event as the oracle would have at some moment."""

    def judge(self, log: Sequence[tuple[Event, Envelope]]) -> list[str]:
        """Go through the log, then through the answers."""
        self._look_for_eventless()
        for event, envelope in log:
            self._position = envelope.position
            project = envelope.project_id
            try:
                wrong = self._event(event, project)
            except NotImplementedError as error:
                wrong = str(error)
            if wrong:
                self.findings.append(f"position {envelope.position}, {envelope.stream}: {wrong}")
            oracle = self._oracles[project]
            for account in (*oracle.heard, *(f"order/{one}" for one in oracle.orders)):
                self._since[project].setdefault(account, envelope.position)
            self._look_for_eventless()
        for name, operation in self._operations.items():
            if operation.kind != "cancel":
                self._answer(operation, self._answered.get(name))
        return self.findings

    # -- the log -----------------------------------------------------------------------------------

    def _event(self, event: Event, project: str) -> str:
        oracle = self._oracles[project]
        if isinstance(event, RedemptionSucceeded):
            return self._redeemed(oracle, event)
        if isinstance(event, RedemptionFailed):
            return self._refused(oracle, event, project)
        if isinstance(event, RedemptionRolledBack):
            self._told_of_rollback(event.redemption_id, event)
            verdict = oracle.roll_back(event.redemption_id, is_single=False)
            return "" if verdict == "ok" else f"given back, the oracle says {verdict}"
        if isinstance(event, RollbackFailed):
            self._told[event.rollback_id.removeprefix("rrf-")].append(event)
            verdict = oracle.roll_back(event.redemption_id, is_single=False)
            return "" if verdict == event.error.key else f"{event.error.key}, not {verdict}"
        if isinstance(event, BalanceAdjusted):
            self._told[event.transaction_id].append(event)
            verdict = oracle.top_up(event.account, event.amount, SAID[event.account])
            return "" if verdict == "ok" else f"adjusted, the oracle says {verdict}"
        if isinstance(event, HoldPlaced):
            return self._held(oracle, event)
        assert isinstance(event, HoldReleased), event
        return self._released(oracle, event)

    def _told_of_rollback(self, redemption: str, event: Event) -> None:
        for operation in self._operations.values():
            if operation.kind == "roll_back" and operation.of == redemption:
                self._told[operation.name].append(event)

    def _redeemed(self, oracle: Oracle, event: RedemptionSucceeded) -> str:
        name = event.parent_id or event.items[0].redemption_id
        operation = self._operations[name]
        self._told[name].append(event)
        takes = [
            Take(posted.account, posted.amount) for one in event.items for posted in one.posted
        ]
        for asked, took in zip(operation.takes, takes, strict=True):
            if took.account != asked.account or took.amount > asked.amount:
                return f"took {took}, asked was {asked}"
            if not asked.is_flexible and took.amount != asked.amount:
                return f"took {took}, asked was {asked}"
        order = None
        if operation.order is not None:
            order = (operation.order, event.metadata["planned_on"])
        verdict = oracle.redeem(name, takes, SAID, session=operation.session, order=order)
        if verdict != "ok":
            return f"redeemed, the oracle says {verdict}"
        for posted in (posted for one in event.items[-1:] for posted in one.posted):
            if posted.used != oracle.used(posted.account):
                return f"says {posted.used} of {posted.account}, not {oracle.used(posted.account)}"
        return ""

    def _refused(self, oracle: Oracle, event: RedemptionFailed, project: str) -> str:
        name = event.redemption_id.removeprefix("failed-")
        operation = self._operations[name]
        self._told[name].append(event)
        oracle.refused.add(f"failed-{name}")
        wanted = event.error.message
        verdicts = {
            verdict
            for plan in self._plans[name]
            for verdict in self._verdicts(oracle, plan, operation.session, project, name)
        }
        return "" if wanted in verdicts else f"refused because of {wanted}, the oracle: {verdicts}"

    def _verdicts(
        self, oracle: Oracle, plan: Plan, session: str | None, project: str, name: str
    ) -> Iterator[str]:
        """Yield what may be said of a plan: of each account as it is, or as it was when it had no row."""
        takes = [
            Take(posting.account, posting.amount, posting.is_adjustable)
            for planned in plan.redemptions
            for posting in planned.postings
        ]
        if plan.order is not None and plan.order_version is not None:
            order_id = plan.order["id"]
            facts = {len(oracle.orders.get(order_id, []))}
            if self._is_new(project, f"order/{order_id}", name):
                facts.add(0)
            if plan.order_version not in facts:
                yield "again"
                return
        new = {take.account for take in takes if self._is_new(project, take.account, name)}
        for untouched in _subsets(new):
            yield oracle.fits(takes, SAID, session, untouched)

    def _is_new(self, project: str, account: str, name: str) -> bool:
        """Whether the account may have had no row when the operation was decided."""
        asked_at = self._answered[name].from_position if name in self._answered else 0
        since = self._since[project].get(account)
        return since is None or since > asked_at

    def _held(self, oracle: Oracle, event: HoldPlaced) -> str:
        takes = [Take(one.account, one.amount) for one in event.held]
        verdict = oracle.hold(event.session_key, takes, SAID, 0, order=event.order_id)
        if verdict != "ok":
            return f"held, the oracle says {verdict}"
        oracle.sessions[event.session_key].until = _ms(event.expires_at)
        return ""

    def _released(self, oracle: Oracle, event: HoldReleased) -> str:
        if event.reason == "redeemed":
            kept = oracle.sessions.get(event.session_key)
            return "" if kept is None else "redeemed, the oracle says it is still held"
        session = oracle.sessions.get(event.session_key)
        if session is None:
            return f"{event.reason}, the oracle knows no such session"
        at = _ms(event.released_at)
        if event.reason == "expired" and at < session.until:
            return f"expired {session.until - at} ms too early"
        if event.reason == "canceled" and session.order is None:
            return "canceled without an order"
        del oracle.sessions[event.session_key]
        return ""

    # -- the answers -------------------------------------------------------------------------------

    def _look_for_eventless(self) -> None:
        while self._to_come and self._from(self._to_come[-1]) <= self._position:
            self._open.add(self._to_come.pop())
        for name in sorted(self._open):
            answered = self._answered[name]
            if answered.to_position < self._position:
                self._open.remove(name)
                continue
            operation, reply = self._operations[name], answered.replies[0]
            if self._fits(self._oracles[operation.project], operation, reply):
                self._fitting.add(name)
                self._open.remove(name)

    def _from(self, name: str) -> int:
        return self._answered[name].from_position

    def _fits(self, oracle: Oracle, operation: Operation, reply: Reply) -> bool:
        key = reply.error.key if reply.error is not None else "ok"
        if operation.kind == "roll_back":
            return oracle.may_roll_back(operation.of, is_single=False) == key
        if operation.kind == "top_up":
            takes = oracle.may_top_up("credits/g", operation.amount, SAID["credits/g"])
            return (takes == "invalid") == (key == "invalid_payload")
        if operation.kind == "release":
            return key == ("ok" if operation.session in oracle.sessions else "not_found")
        return operation.kind == "hold"

    def _answer(self, operation: Operation, answered: Answered | None) -> None:
        if answered is None or not answered.replies:
            self.findings.append(f"{operation.name} ({operation.kind}) was never answered")
            return
        replies = {(one.status, _without_positions(one)) for one in answered.replies}
        if len(replies) > 1:
            self.findings.append(
                f"{operation.name} got {len(replies)} different answers: {replies}"
            )
        reply = answered.replies[0]
        if reply.status >= 500:
            self.findings.append(f"{operation.name} was answered {reply.status}")
        told = self._told[operation.name]
        if operation.kind == "redeem":
            wanted = RedemptionFailed if reply.error is not None else RedemptionSucceeded
            if [type(one) for one in told] != [wanted]:
                self.findings.append(
                    f"{operation.name} was answered {reply.status},"
                    f" the log has {[type(one).__name__ for one in told]}"
                )
        elif operation.kind == "top_up" and (reply.error is None) != (len(told) == 1):
            self.findings.append(
                f"{operation.name} was answered {reply.status}, {len(told)} events"
            )
        elif operation.name not in self._fitting:
            key = reply.error.key if reply.error else "ok"
            self.findings.append(
                f"{operation.name} ({operation.kind}) was answered {key}: never so"
            )


def _ms(moment: datetime) -> int:
    return (moment - START) // timedelta(milliseconds=1)


def _without_positions(reply: Reply) -> str:
    return reply.model_copy(update={"positions": [], "replayed": False}).to_json().decode()


def _subsets(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    ordered = sorted(names)
    for count in range(len(ordered) + 1):
        yield from combinations(ordered, count)
