"""Whether a run was right: the oracle goes through the log in commit order, then looks at the answers.

Whatever happened at once in whatever processes, it must be as if it had happened one after the other in
the order of the log, and every caller must have been told what stands there. A refusal of the ledger
must be what the oracle says at its own place in the log: what it was decided on was locked until then. Only
an account that nothing had happened to had no row to lock; it may be looked at as it was before. What the
engine refuses of a redemption must have been so at some moment since it was asked for; what it says of a
validation, whose view may lag behind, at some moment at all.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import combinations
from typing import NamedTuple

from contracts.errors import ErrorBody, JsonObject
from contracts.ledger import (
    BalanceAdjusted,
    HoldPlaced,
    HoldReleased,
    PlaceHold,
    Plan,
    Posting,
    RedemptionFailed,
    RedemptionRolledBack,
    RedemptionSucceeded,
    RollbackFailed,
)
from contracts.messages import Envelope, Event, Reply
from tests.oracle.machine import PROJECTS, START
from tests.oracle.redemptions import Definition, Oracle, Take
from tests.sim.shop import (
    CARD,
    CHANGES,
    ORDER_AMOUNT,
    SAID_OF_CARD,
    Operation,
    account_of,
    accounts_asked,
)

SHORT = {"quantity_exceeded": "uses", "gift_amount_exceeded": "credits"}
"""What the engine says of an account of which too little is left by its view."""


class Answered(NamedTuple):
    """An operation's definitive answers, and between which positions of the log it was open."""

    replies: list[Reply]
    from_position: int
    to_position: int


class Version(NamedTuple):
    """A version of a code's definition."""

    number: int
    limit: int | None
    is_active: bool
    operation: str
    """That made it so."""


class Sent(NamedTuple):
    """What was sent to the ledger."""

    plans: Mapping[str, Plan]
    """By the redemption that each would make, and by the one that it would fail as."""
    holds: Mapping[str, Sequence[PlaceHold]]
    """By operation."""
    rolled_back: Mapping[str, str]
    """The redemption that each operation gives back."""
    versions: Mapping[str, Sequence[Version]]
    """Of each voucher, in order."""
    seen: Mapping[str, Collection[str]]
    """The changes of definitions that each operation had to see: its caller had been told of them."""


class Judge:
    """Judges one run; ``findings`` are sentences."""

    def __init__(
        self, operations: Sequence[Operation], answered: Mapping[str, Answered], sent: Sent
    ) -> None:
        self.findings: list[str] = []
        self._operations = {one.name: one for one in operations}
        self._answered = answered
        self._sent = sent
        self._oracles = {project: Oracle() for project in PROJECTS}
        self._told: dict[str, list[Event]] = defaultdict(list)
        """What the log says of each operation."""
        self._holds: dict[tuple[str, str], list[HoldPlaced]] = defaultdict(list)
        self._most: dict[str, tuple[int, ...]] = {}
        """The most that was ever used of an account, held of it, taken off it: the engine hears of each in a
        topic's partition of its own, and may see one that is new beside another that is old."""
        self._since: dict[str, dict[str, int]] = {project: {} for project in PROJECTS}
        """Where in the log something first happened to an account."""
        self._gone: dict[str, list[tuple[int, int]]] = defaultdict(list)
        """What was used or held of an account, less what was added, and from which position on."""
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
            try:
                wrong = self._event(event, envelope.project_id)
            except NotImplementedError as error:
                wrong = str(error)
            if wrong:
                self.findings.append(f"position {envelope.position}, {envelope.stream}: {wrong}")
            if not isinstance(event, RedemptionFailed | RollbackFailed):
                self._look_at_accounts(envelope.project_id)
            self._look_for_eventless()
        for name, operation in self._operations.items():
            self._answer(operation, self._answered.get(name))
        return self.findings

    def _look_at_accounts(self, project: str) -> None:
        oracle = self._oracles[project]
        for account, (used, held, added) in oracle.totals().items():
            facts = (used, held, -added)
            known_most = self._most.get(account, (0, 0, 0))
            self._most[account] = tuple(map(max, known_most, facts))
            gone = sum(facts)
            known = self._gone[account]
            if not known or known[-1][1] != gone:
                known.append((self._position, gone))
        for account in (*oracle.heard, *(f"order/{one}" for one in oracle.orders)):
            self._since[project].setdefault(account, self._position)

    # -- the log -----------------------------------------------------------------------------------

    def _event(self, event: Event, project: str) -> str:
        oracle = self._oracles[project]
        if isinstance(event, RedemptionSucceeded):
            return self._redeemed(oracle, event)
        if isinstance(event, RedemptionFailed):
            return self._refused(oracle, event, project)
        if isinstance(event, RedemptionRolledBack):
            self._tell_of_rollback(event)
            verdict = oracle.roll_back(event.redemption_id, is_single=False)
            return "" if verdict == "ok" else f"given back, the oracle says {verdict}"
        if isinstance(event, RollbackFailed):
            self._told[event.rollback_id.removeprefix("rrf-")].append(event)
            verdict = oracle.may_roll_back(event.redemption_id, is_single=False)
            return "" if verdict == event.error.key else f"{event.error.key}, not {verdict}"
        if isinstance(event, BalanceAdjusted):
            self._told[event.transaction_id].append(event)
            verdict = oracle.top_up(event.account, event.amount, SAID_OF_CARD)
            return "" if verdict == "ok" else f"adjusted, the oracle says {verdict}"
        if isinstance(event, HoldPlaced):
            self._holds[project, event.session_key].append(event)
            return self._held(oracle, event)
        assert isinstance(event, HoldReleased), event
        return self._released(oracle, event)

    def _tell_of_rollback(self, event: RedemptionRolledBack) -> None:
        for name, redemption in self._sent.rolled_back.items():
            if redemption == event.redemption_id:
                self._told[name].append(event)

    def _redeemed(self, oracle: Oracle, event: RedemptionSucceeded) -> str:
        root = event.parent_id or event.items[0].redemption_id
        operation = self._operations[event.metadata["operation"]]
        self._told[operation.name].append(event)
        plan = self._sent.plans[root]
        postings = postings_of(plan)
        took = [(one.account, one.amount) for item in event.items for one in item.posted]
        if took != [(one.account, one.amount) for one in postings]:
            return f"took {took}, planned was {postings}"
        wrong = _not_as_asked(operation, postings) or self._not_as_defined(operation, postings)
        if wrong:
            return wrong
        order = None
        if plan.order is not None and plan.order_version is not None:
            order = (plan.order["id"], plan.order_version)
        verdict = oracle.redeem(
            root, takes_of(postings), said_of(postings), session=operation.session, order=order
        )
        if verdict != "ok":
            return f"redeemed, the oracle says {verdict}"
        for posted in event.items[-1].posted:
            if posted.used != oracle.used(posted.account):
                return f"says {posted.used} of {posted.account}, not {oracle.used(posted.account)}"
        return ""

    def _refused(self, oracle: Oracle, event: RedemptionFailed, project: str) -> str:
        operation = self._operations[event.metadata["operation"]]
        self._told[operation.name].append(event)
        oracle.refused.add(event.redemption_id)
        plan = self._sent.plans[event.redemption_id]
        if plan.refusal is not None:
            since = self._answered[operation.name].from_position
            return self._refused_by_engine(operation, plan.refusal, since)
        wrong = self._not_as_defined(operation, postings_of(plan))
        if wrong:
            return wrong
        verdicts = set(self._verdicts(oracle, plan, operation, project))
        wanted = {
            one.account
            for one in postings_of(plan)
            if (one.error.key, one.error.details) == (event.error.key, event.error.details)
        }
        if wanted & verdicts:
            return ""
        return f"{event.error.key} {event.error.details}, the oracle: {verdicts}"

    def _refused_by_engine(self, operation: Operation, error: ErrorBody, since: int = 0) -> str:
        """Return what is wrong if it was never so from the position on; empty if it was."""
        kind = SHORT.get(error.key)
        for account, take in accounts_asked(operation).items():
            versions = self._may_see(operation, account)
            if error.key == "voucher_disabled" and not all(one.is_active for one in versions):
                return ""
            # What fits even when least is left is not refused, however old the view.
            wanted = 1 if take.is_flexible else take.amount
            limits = [one.limit for one in versions if one.limit is not None]
            if account.startswith("credits/"):
                limits = [SAID_OF_CARD.limit or 0]
            left = min(limits, default=math.inf) - self._most_gone(account, since)
            if kind and account.startswith(kind) and left < wanted:
                return ""
        return (
            f"the engine refused {operation.name} with {error.key} {error.details}: it was not so"
        )

    def _most_gone(self, account: str, since: int) -> int:
        """Return the most that was gone of the account since the position, or by any view of it."""
        if since == 0:
            return sum(self._most.get(account, ()))
        gone = 0
        for position, then in reversed(self._gone[account]):
            gone = max(gone, then)
            if position <= since:
                break
        return gone

    def _may_see(self, operation: Operation, account: str) -> list[Version]:
        """Return the versions of a code that the operation may be planned on."""
        versions = self._sent.versions[account.partition("/")[2]]
        told = self._sent.seen.get(operation.name, ())
        newest = max((one.number for one in versions if one.operation in told), default=0)
        return [one for one in versions if one.number >= newest]

    def _not_as_defined(self, operation: Operation, postings: Iterable[Posting]) -> str:
        """Return which posting is of a definition that never was or is too old; empty if none."""
        for posting in postings:
            if posting.account.startswith("credits/"):
                continue
            said = {(one.number, one.limit) for one in self._may_see(operation, posting.account)}
            if (posting.limit_version, posting.limit) not in said:
                what = f"{posting.limit} by version {posting.limit_version}"
                return f"planned with limit {what} of {posting.account}, it may be {said}"
        return ""

    def _verdicts(
        self, oracle: Oracle, plan: Plan, operation: Operation, project: str
    ) -> Iterator[str]:
        """Yield what may be said of a plan: of each account as it is, or as it was when it had no row."""
        if plan.order is not None and plan.order_version is not None:
            order_id = plan.order["id"]
            facts = {len(oracle.orders.get(order_id, []))}
            if self._is_new(project, f"order/{order_id}", operation.name):
                facts.add(0)
            if plan.order_version not in facts:
                yield "again"
                return
        postings = postings_of(plan)
        takes, said = takes_of(postings), said_of(postings)
        new = {one.account for one in takes if self._is_new(project, one.account, operation.name)}
        for untouched in _subsets(new):
            yield oracle.fits(takes, said, operation.session, untouched)

    def _is_new(self, project: str, account: str, name: str) -> bool:
        """Whether the account may have had no row when the operation was decided."""
        asked_at = self._answered[name].from_position if name in self._answered else 0
        since = self._since[project].get(account)
        return since is None or since > asked_at

    def _held(self, oracle: Oracle, event: HoldPlaced) -> str:
        takes, said = takes_of(event.held), said_of(event.held)
        verdict = oracle.hold(event.session_key, takes, said, 0, order=event.order_id)
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
            redemption = self._sent.rolled_back[operation.name]
            return oracle.may_roll_back(redemption, is_single=False) == key
        if operation.kind == "top_up":
            account = account_of(operation.project, CARD)
            takes = oracle.may_top_up(account, operation.amount, SAID_OF_CARD)
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
                    f"{operation.name} was answered {reply.status} {reply.error},"
                    f" the log has {[type(one).__name__ for one in told]}"
                )
        elif operation.kind == "top_up" and (reply.error is None) != (len(told) == 1):
            self.findings.append(
                f"{operation.name} was answered {reply.status}, {len(told)} events"
            )
        elif operation.kind == "hold":
            self._answer_to_hold(operation, reply)
        elif operation.kind in {*CHANGES, "cancel"}:
            if reply.error is not None:
                self.findings.append(f"{operation.name} was answered {reply.error.key}")
        elif operation.name not in self._fitting:
            key = reply.error.key if reply.error else "ok"
            self.findings.append(
                f"{operation.name} ({operation.kind}) was answered {key}: never so"
            )

    def _answer_to_hold(self, operation: Operation, reply: Reply) -> None:
        body = reply.body or {}
        if reply.error is not None:
            self.findings.append(f"{operation.name} (hold) was answered {reply.error.key}")
        elif body["valid"]:
            placed = [one.held for one in self._holds[operation.project, operation.session or ""]]
            sent = [one for one in self._sent.holds[operation.name] if one.answer == body]
            if not any(one.postings in placed for one in sent):
                self.findings.append(f"{operation.name} holds by its answer, not by the log")
            for one in sent:
                wrong = _not_as_asked(operation, one.postings)
                wrong = wrong or self._not_as_defined(operation, one.postings)
                self.findings += [f"{operation.name}: {wrong}"] if wrong else []
        else:
            for refused in _errors(body):
                wrong = self._refused_by_engine(operation, refused)
                self.findings += [wrong] if wrong else []


def _errors(body: JsonObject) -> list[ErrorBody]:
    listed = [*body.get("redeemables", []), *body.get("inapplicable_redeemables", [])]
    errors = [one["result"].get("error") for one in listed if one["status"] == "INAPPLICABLE"]
    return [ErrorBody.model_validate(one) for one in errors]


def _not_as_asked(operation: Operation, postings: Sequence[Posting]) -> str:
    """Return what is taken that was not asked for, or not as much of it; empty if nothing."""
    asked = accounts_asked(operation)
    if {one.account for one in postings} != set(asked):
        return f"takes of {[one.account for one in postings]}, asked was {sorted(asked)}"
    for posting in postings:
        take = asked[posting.account]
        is_right = (
            0 < posting.amount <= ORDER_AMOUNT
            if take.is_flexible
            else posting.amount == take.amount
        )
        if not is_right or posting.is_adjustable != take.is_flexible:
            return f"takes {posting.amount} of {posting.account}, asked was {take}"
    return ""


def postings_of(plan: Plan) -> list[Posting]:
    """Return all postings of a plan."""
    return [posting for planned in plan.redemptions for posting in planned.postings]


def takes_of(postings: Iterable[Posting]) -> list[Take]:
    """Return what the oracle calls postings."""
    return [Take(one.account, one.amount, one.is_adjustable) for one in postings]


def said_of(postings: Iterable[Posting]) -> dict[str, Definition]:
    """Return the definitions that the postings were made from."""
    return {one.account: Definition(one.limit, one.limit_version) for one in postings}


def _ms(moment: datetime) -> int:
    return (moment - START) // timedelta(milliseconds=1)


def _without_positions(reply: Reply) -> str:
    return reply.model_copy(update={"positions": [], "replayed": False}).to_json().decode()


def _subsets(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    ordered = sorted(names)
    for count in range(len(ordered) + 1):
        yield from combinations(ordered, count)
