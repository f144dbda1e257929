"""A state machine that drives a ledger and the oracle with the same commands and compares every answer.

What the ledger is, the pure domain or the running service, is up to the driver.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, Protocol, get_args

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from contracts.engine import StackRequest, ValidateStack
from contracts.errors import ErrorBody
from contracts.ledger import (
    AdjustBalance,
    BalanceAdjusted,
    HoldPlaced,
    HoldReleased,
    PlaceHold,
    Plan,
    PlannedRedemption,
    Posting,
    Redeem,
    RedemptionRolledBack,
    RedemptionSucceeded,
    ReleaseHold,
    RollBack,
)
from contracts.messages import Command, Event
from tests.oracle.redemptions import Definition, Oracle, Take, Taken

START = datetime(2030, 1, 1, tzinfo=UTC)
Unit = Literal["use", "credit"]
PROJECTS = ("p1", "p2")
LIMITS: dict[str, int | None] = {"uses/a": 3, "uses/b": 1, "credits/g": 50, "uses/free": None}
ORDER = {"amount": 1000, "total_amount": 900, "total_discount_amount": 100}
ORDERS = ("ord_a", "ord_b")
BATCH_MAX = 6

Mode = Literal["WITH_ORDER", "WITHOUT_ORDER"]
projects = st.sampled_from(PROJECTS)
sessions = st.sampled_from(("s", "t"))
takes = st.lists(
    st.builds(
        Take, st.sampled_from(sorted(LIMITS)), st.sampled_from((1, 1, 1, 2, 20)), st.booleans()
    ),
    min_size=1,
    max_size=4,
)


class Answer(NamedTuple):
    """What the ledger said: ``ok`` and an event, or a refusal, ``again`` or ``busy``."""

    verdict: str
    event: Event | None = None
    available: Mapping[str, int] = {}
    order: tuple[int, str] | None = None
    """Handed back because of it: how much happened to the order, and its name."""


class Row(NamedTuple):
    """An account as the ledger keeps it."""

    limit: int | None
    adjusted: int
    used: int
    held: int


class Driver(Protocol):
    """A ledger that takes commands, several at once as one batch."""

    def send(self, commands: Sequence[tuple[str, Command]]) -> list[Answer]:
        """Handle the commands in order."""

    def expire(self, now: datetime) -> None:
        """Let this be the time, and release what is due."""

    def cancel(self, project_id: str, order_id: str) -> None:
        """Say that the order was canceled."""

    def accounts(self, project_id: str) -> Mapping[str, Row]:
        """Return the accounts of a project."""

    def findings(self) -> list[str]:
        """Return what the audit has to say."""


def postings_of(wanted: Sequence[Take], said: Mapping[str, Definition]) -> list[Posting]:
    """Return the postings of a plan that was made from these definitions."""
    units = get_args(Unit)
    return [
        Posting(
            account=take.account,
            contra="world",
            unit=units[take.account.startswith("credits/")],
            amount=take.amount,
            limit=said[take.account].limit,
            limit_version=said[take.account].version,
            error=ErrorBody(code=400, key="too_little", message=take.account),
            is_adjustable=take.is_flexible,
            holder=take.account,
        )
        for take in wanted
    ]


def redeem_of(
    name: str,
    wanted: Sequence[Take],
    said: Mapping[str, Definition],
    session: str | None,
    attempt: int,
    mode: Mode,
    order: tuple[str, int] | None = None,
) -> Redeem:
    """Return the command: one redeemable for each amount."""
    redemptions = [
        PlannedRedemption(
            redemption_id=f"{name}-{number}" if len(wanted) > 1 else name,
            redeemable={"object": "voucher", "id": posting.account},
            related_object_type="voucher",
            related_object_id=posting.account,
            postings=[posting],
        )
        for number, posting in enumerate(postings_of(wanted, said))
    ]
    plan = Plan(
        stack=StackRequest(redeemables=[], session={"key": session} if session else None),
        attempt=attempt,
        planned_at=START,
        parent_id=name if len(wanted) > 1 else None,
        order={**ORDER, "id": order[0] if order else f"order of {name}"},
        order_version=order[1] if order else None,
        redemptions=redemptions,
        failed_redemption_id=f"failed-{name}",
        stacking_rules={"redeemables_rollback_order_mode": mode},
    )
    return Redeem(plan=plan)


def roll_back_of(name: str, parts: int, failed: str, *, is_single: bool = False) -> RollBack:
    """Return the command; ``failed`` names what a refusal is recorded under."""
    return RollBack(
        redemption_id=name,
        is_single=is_single,
        rollback_ids=[f"rr-{name}-{number}" for number in range(parts + 1)],
        failed_rollback_id=failed,
    )


class LedgerMachine(RuleBasedStateMachine):
    """Two projects, which know nothing of each other."""

    names: Bundle[str] = Bundle("names")
    """Of redemptions: roots, children, failed ones."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self.driver = driver
        self.oracles = {project: Oracle() for project in PROJECTS}
        self.definitions = {
            account: [Definition(limit, version=0)] for account, limit in LIMITS.items()
        }
        self.modes: dict[str, Mode] = {}
        self.homes: dict[str, str] = {}
        self.count = 0

    def said(self, age: int = 0) -> dict[str, Definition]:
        """Return definitions as a planner knows them who is ``age`` versions behind."""
        return {
            account: versions[max(len(versions) - 1 - age, 0)]
            for account, versions in self.definitions.items()
        }

    def one(self, project: str, command: Command) -> Answer:
        """Send one command."""
        return self.driver.send([(project, command)])[0]

    def new_name(self) -> str:
        """Return a name that no redemption had."""
        self.count += 1
        return f"r{self.count}"

    @rule(account=st.sampled_from(("uses/a", "uses/b")), limit=st.sampled_from((None, 0, 2, 9)))
    def redefine_uses(self, account: str, limit: int | None) -> None:
        self.definitions[account].append(Definition(limit, len(self.definitions[account])))

    @rule(limit=st.sampled_from((0, 40, 90)))
    def redefine_gift(self, limit: int) -> None:
        versions = self.definitions["credits/g"]
        versions.append(Definition(limit, len(versions)))

    @rule(
        target=names,
        project=projects,
        wanted=takes,
        session=st.none() | sessions,
        attempt=st.integers(1, 3),
        age=st.sampled_from((0, 0, 0, 1)),
        mode=st.sampled_from(get_args(Mode)),
        order=st.none() | st.sampled_from(ORDERS),
        behind=st.sampled_from((0, 0, 0, 1)),
    )
    def redeem(
        self,
        project: str,
        wanted: list[Take],
        session: str | None,
        attempt: int,
        age: int,
        mode: Mode,
        order: str | None,
        behind: int,
    ) -> Any:
        oracle, said, name = self.oracles[project], self.said(age), self.new_name()
        self.homes[name] = project
        told = oracle.available(wanted, said, session)
        facts = len(oracle.orders.get(order or "", []))
        known = (order, max(facts - behind, 0)) if order else None
        command = redeem_of(name, wanted, said, session, attempt, mode, known)
        answer = self.one(project, command)
        expected = oracle.redeem(name, wanted, said, session=session, attempt=attempt, order=known)
        assert answer.verdict == expected
        if known is not None and known[1] < facts:
            assert answer.order == (facts, order)
        elif expected == "again":
            assert answer.available == told
        if expected != "ok":
            return f"failed-{name}"
        self.modes[name] = mode
        self._check_redeemed(oracle, name, answer.event)
        return multiple(name, *oracle.redemptions[name].parts)

    @rule(project=projects, wanted=st.lists(takes, min_size=2, max_size=BATCH_MAX))
    def redeem_in_one_batch_and_give_the_first_back(
        self, project: str, wanted: list[list[Take]]
    ) -> None:
        oracle, said = self.oracles[project], self.said()
        commands: list[tuple[str, Command]] = []
        expected = []
        for number, some in enumerate(wanted):
            name = self.new_name()
            commands.append((project, redeem_of(name, some, said, None, 1, "WITH_ORDER")))
            expected.append(oracle.redeem(name, some, said))
            if number == 0:
                commands.append((project, self._roll_back_of(name, len(some))))
                expected.append(oracle.roll_back(name, is_single=False))
        answers = self.driver.send(commands)
        assert [answer.verdict for answer in answers] == expected

    @rule(
        project=projects,
        order=st.sampled_from(ORDERS),
        wanted=st.lists(takes, min_size=2, max_size=BATCH_MAX),
    )
    def redeem_one_order_several_times_at_once(
        self, project: str, order: str, wanted: list[list[Take]]
    ) -> None:
        oracle, said = self.oracles[project], self.said()
        known = (order, len(oracle.orders.get(order, [])))
        commands: list[tuple[str, Command]] = []
        expected = []
        for some in wanted:
            name = self.new_name()
            command = redeem_of(name, some, said, None, 1, "WITH_ORDER", known)
            commands.append((project, command))
            expected.append(oracle.redeem(name, some, said, order=known))
        answers = self.driver.send(commands)
        assert [answer.verdict for answer in answers] == expected
        assert expected.count("ok") <= 1

    @rule(name=names, is_single=st.booleans(), is_elsewhere=st.sampled_from((False, False, True)))
    def roll_back(self, name: str, is_single: bool, is_elsewhere: bool) -> None:
        home = self.homes[name.removeprefix("failed-").partition("-")[0]]
        project = PROJECTS[(PROJECTS.index(home) + is_elsewhere) % len(PROJECTS)]
        oracle = self.oracles[project]
        known = oracle.redemptions.get(name)
        answer = self.one(project, self._roll_back_of(name, len(LIMITS), is_single=is_single))
        assert answer.verdict == oracle.roll_back(name, is_single=is_single)
        if answer.verdict == "ok":
            assert known is not None
            self._check_rolled_back(known, self.modes.get(name, "WITH_ORDER"), answer.event)

    @rule(project=projects, amount=st.integers(-60, 60), age=st.sampled_from((0, 0, 1)))
    def top_up(self, project: str, amount: int, age: int) -> None:
        oracle, said = self.oracles[project], self.said(age)["credits/g"]
        command = AdjustBalance(
            voucher_id="g",
            voucher={},
            account="credits/g",
            unit="credit",
            amount=amount,
            limit=said.limit or 0,
            limit_version=said.version,
            transaction_id=self.new_name(),
        )
        answer = self.one(project, command)
        assert answer.verdict == oracle.top_up("credits/g", amount, said)
        if answer.verdict == "ok":
            assert isinstance(answer.event, BalanceAdjusted)
            limit = oracle.heard["credits/g"].limit
            assert answer.event.available == oracle.left("credits/g", limit)

    @rule(
        project=projects,
        session=sessions,
        wanted=takes,
        seconds=st.integers(1, 3),
        age=st.sampled_from((0, 0, 1)),
        attempt=st.integers(1, 3),
        order=st.none() | st.sampled_from(ORDERS),
    )
    def hold(
        self,
        project: str,
        session: str,
        wanted: list[Take],
        seconds: int,
        age: int,
        attempt: int,
        order: str | None,
    ) -> None:
        oracle, said = self.oracles[project], self.said(age)
        command = PlaceHold(
            session_key=session,
            postings=postings_of(wanted, said),
            ttl_us=seconds * 1_000_000,
            order_id=order,
            validation=ValidateStack(
                validation_id="valid_1",
                stack=StackRequest(redeemables=[]),
                now=START,
                attempt=attempt,
            ),
            answer={"valid": True},
        )
        told = oracle.available(wanted, said, session)
        answer = self.one(project, command)
        verdict = oracle.hold(session, wanted, said, seconds, attempt=attempt, order=order)
        assert answer.verdict == verdict
        assert isinstance(answer.event, HoldPlaced) == (verdict == "ok")
        if isinstance(answer.event, HoldPlaced):
            until = START + timedelta(seconds=oracle.now + seconds)
            assert answer.event.expires_at == until
            self._check_balances(oracle, answer.event)
        elif verdict == "again":
            assert answer.available == told

    @rule(project=projects, order=st.sampled_from(ORDERS))
    def cancel_order(self, project: str, order: str) -> None:
        self.oracles[project].cancel(order)
        self.driver.cancel(project, order)

    @rule(project=projects, session=sessions, holder=st.none() | st.sampled_from(sorted(LIMITS)))
    def release(self, project: str, session: str, holder: str | None) -> None:
        oracle = self.oracles[project]
        answer = self.one(project, ReleaseHold(session_key=session, holder=holder))
        assert answer.verdict == oracle.release(session, holder)
        if answer.verdict == "ok":
            assert isinstance(answer.event, HoldReleased)
            left = oracle.sessions.get(session)
            remaining = [(one.account, one.amount) for one in answer.event.remaining]
            assert remaining == [take[:2] for take in left.takes] if left else not remaining
            self._check_balances(oracle, answer.event)

    @rule(seconds=st.integers(1, 2))
    def wait(self, seconds: int) -> None:
        for oracle in self.oracles.values():
            oracle.wait(seconds)
        self.driver.expire(START + timedelta(seconds=self.oracles["p1"].now))

    @invariant()
    def accounts_are_what_the_oracle_says(self) -> None:
        for project, oracle in self.oracles.items():
            expected = {
                account: Row(
                    definition.limit,
                    sum(one.amount for one in oracle.top_ups if one.account == account),
                    oracle.used(account),
                    oracle.held(account),
                )
                for account, definition in oracle.heard.items()
            }
            expected |= {
                f"order/{order}": Row(None, 0, len(facts), 0)
                for order, facts in oracle.orders.items()
            }
            assert self.driver.accounts(project) == expected

    def teardown(self) -> None:
        """The log folds to the balances."""
        assert self.driver.findings() == []

    def _roll_back_of(self, name: str, parts: int, *, is_single: bool = False) -> RollBack:
        return roll_back_of(name, parts, f"rrf-{self.new_name()}", is_single=is_single)

    def _check_redeemed(self, oracle: Oracle, name: str, event: Event | None) -> None:
        assert isinstance(event, RedemptionSucceeded)
        taken = oracle.redemptions[name]
        assert event.parent_id == (name if taken.is_stack else None)
        told = {item.redemption_id: _sums(item.posted) for item in event.items}
        assert told == {part: [take[:2]] for part, take in taken.parts.items()}
        last = {posted.account: posted for item in event.items for posted in item.posted}
        for account, posted in last.items():
            assert posted.used == oracle.used(account)
            assert posted.available == oracle.left(account, oracle.heard[account].limit)

    def _check_balances(self, oracle: Oracle, event: HoldPlaced | HoldReleased) -> None:
        for told in event.balances:
            limit = oracle.heard[told.account].limit
            expected = (
                oracle.held(told.account),
                oracle.used(told.account),
                oracle.left(told.account, limit),
            )
            assert (told.held, told.used, told.available) == expected

    def _check_rolled_back(self, taken: Taken, mode: Mode, event: Event | None) -> None:
        assert isinstance(event, RedemptionRolledBack)
        told = {item.redemption_id: _sums(item.posted) for item in event.items}
        assert told == {part: [(take.account, -take.amount)] for part, take in taken.parts.items()}
        assert (event.parent_rollback_id is not None) == taken.is_stack
        order = {**ORDER, "id": taken.order}
        canceled = {"id": taken.order, "amount": 1000, "total_amount": 1000, "status": "CANCELED"}
        assert event.order is not None
        told_order = {key: value for key, value in event.order.items() if key != "items"}
        assert told_order == (canceled if mode == "WITH_ORDER" else order)


def _sums(posted: Sequence[Any]) -> list[tuple[str, int]]:
    return [(one.account, one.amount) for one in posted]
