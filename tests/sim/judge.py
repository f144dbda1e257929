"""Whether a run was right: the oracle goes through the log in commit order, then looks at the answers.

Whatever happened at once in whatever processes, it must be as if it had happened one after the other in
the order of the log, and every caller must have been told what stands there.
"""

import copy
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from contracts.ledger import (
    BalanceAdjusted,
    HoldPlaced,
    HoldReleased,
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
    """Judges one run; ``findings`` are sentences."""

    def __init__(self, operations: Sequence[Operation], answered: Mapping[str, Answered]) -> None:
        self.findings: list[str] = []
        self._operations = {one.name: one for one in operations}
        self._answered = answered
        self._oracles = {project: Oracle() for project in PROJECTS}
        self._told: dict[str, list[Event]] = defaultdict(list)
        """What the log says of each operation."""
        self._history: list[tuple[int, dict[str, Oracle]]] = [(0, copy.deepcopy(self._oracles))]
        self.late_refusals = 0
        """Refusals that were decided before what stands before them in the log."""
        self._fitting: set[str] = set()
        """Operations that answered without an event as the oracle would have at some moment."""

    def judge(self, log: Sequence[tuple[Event, Envelope]]) -> list[str]:
        """Go through the log, then through the answers."""
        self._look_for_eventless(0)
        for event, envelope in log:
            try:
                wrong = self._event(event, envelope.project_id)
            except NotImplementedError as error:
                wrong = str(error)
            if wrong:
                self.findings.append(f"position {envelope.position}, {envelope.stream}: {wrong}")
            self._look_for_eventless(envelope.position)
            self._history.append((envelope.position, copy.deepcopy(self._oracles)))
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

    def _refused(self, oracle: Oracle, event: RedemptionFailed, event_project: str) -> str:
        name = event.redemption_id.removeprefix("failed-")
        operation = self._operations[name]
        self._told[name].append(event)
        # Where an amount was flexible the plan that was refused is not in the log; but it cannot be that
        # all of what was asked fitted.
        is_known = not any(take.is_flexible for take in operation.takes)
        firm = [take._replace(is_flexible=False) for take in operation.takes]
        # A refusal changes nothing and locks no account that is not there yet: it may have been decided
        # a little before what stands before it in the log, though not before it was asked for.
        earliest = self._answered[name].from_position if name in self._answered else 0
        moments = [oracle]
        for position, oracles in reversed(self._history):
            moments += [oracles[event_project]] if position >= earliest else []
        verdicts = [copy.deepcopy(one)._fit(firm, SAID, operation.session) for one in moments]
        wanted = event.error.message
        if any(one == wanted if is_known else one != "ok" for one in verdicts):
            self.late_refusals += verdicts[0] == "ok"
            oracle.refused.add(f"failed-{name}")
            return ""
        return f"refused because of {wanted}, the oracle says {verdicts[0]}"

    def _held(self, oracle: Oracle, event: HoldPlaced) -> str:
        takes = [Take(one.account, one.amount) for one in event.held]
        seconds = (event.expires_at - event.placed_at).total_seconds()
        verdict = oracle.hold(event.session_key, takes, SAID, 0, order=event.order_id)
        if verdict != "ok":
            return f"held, the oracle says {verdict}"
        since = (event.placed_at - START).total_seconds()
        oracle.sessions[event.session_key].until = since + seconds  # type: ignore[assignment]
        return ""

    def _released(self, oracle: Oracle, event: HoldReleased) -> str:
        if event.reason == "redeemed":
            kept = oracle.sessions.get(event.session_key)
            return "" if kept is None else "redeemed, the oracle says it is still held"
        session = oracle.sessions.get(event.session_key)
        if session is None:
            return f"{event.reason}, the oracle knows no such session"
        at = (event.released_at - START).total_seconds()
        if event.reason == "expired" and at < session.until:
            return f"expired at {at}, before {session.until}"
        if event.reason == "canceled" and session.order is None:
            return "canceled without an order"
        del oracle.sessions[event.session_key]
        return ""

    # -- the answers -------------------------------------------------------------------------------

    def _look_for_eventless(self, position: int) -> None:
        for name, answered in self._answered.items():
            is_open = answered.from_position <= position <= answered.to_position
            if is_open and name not in self._fitting and answered.replies:
                operation, reply = self._operations[name], answered.replies[0]
                if self._fits(copy.deepcopy(self._oracles[operation.project]), operation, reply):
                    self._fitting.add(name)

    def _fits(self, oracle: Oracle, operation: Operation, reply: Reply) -> bool:
        key = reply.error.key if reply.error is not None else "ok"
        if operation.kind == "roll_back":
            return oracle.roll_back(operation.of, is_single=False) == key
        if operation.kind == "top_up":
            takes = oracle.top_up("credits/g", operation.amount, SAID["credits/g"])
            return (takes == "invalid") == (key == "invalid_payload")
        if operation.kind == "release":
            return oracle.release(operation.session or "") == key
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


def _without_positions(reply: Reply) -> str:
    return reply.model_copy(update={"positions": [], "replayed": False}).to_json().decode()
