"""A state machine drives the ledger's domain and the oracle with the same commands."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from contracts.engine import StackRequest
from contracts.errors import ErrorBody, InvalidPayload
from contracts.ledger import (
    AdjustBalance,
    Plan,
    PlannedRedemption,
    Posting,
    Redeem,
    RollBack,
    RollbackFailed,
)
from contracts.messages import Envelope, Event
from ledger.app import build
from ledger.audit import fold_accounts, trial_balance
from ledger.domain.accounts import Account
from ledger.domain.balance import decide_adjust_balance
from ledger.domain.redeem import Redeemed, Refused, decide_redeem
from ledger.domain.rollback import Redemption, RedemptionNotFound, decide_roll_back
from runtime.settings import Settings
from runtime.testing import Harness
from tests.oracle.redemptions import Oracle

NOW = datetime(2026, 11, 24, tzinfo=UTC)
LIMITS: dict[str, int | None] = {"uses/a": 3, "uses/b": 1, "credits/g": 50, "uses/free": None}
UNITS = {"uses": "use", "credits": "credit"}
TAKES = st.lists(
    st.tuples(st.sampled_from(sorted(LIMITS)), st.integers(1, 30)), min_size=1, max_size=4
)


def plan_of(name: str, takes: list[tuple[str, int]]) -> Plan:
    """Return a plan with one redeemable per amount taken."""
    redemptions = [
        PlannedRedemption(
            redemption_id=f"{name}-{number}" if len(takes) > 1 else name,
            redeemable={"object": "voucher", "id": account},
            related_object_type="voucher",
            related_object_id=account,
            postings=[
                Posting(
                    account=account,
                    contra="world",
                    unit=UNITS[account.partition("/")[0]],  # type: ignore[arg-type]
                    amount=amount,
                    limit=LIMITS[account],
                    limit_version=1,
                    error=ErrorBody(code=400, key="too_little", message=account),
                )
            ],
        )
        for number, (account, amount) in enumerate(takes)
    ]
    return Plan(
        stack=StackRequest(redeemables=[]),
        planned_at=NOW,
        parent_id=name if len(takes) > 1 else None,
        redemptions=redemptions,
        failed_redemption_id=f"failed-{name}",
    )


def roll_back_of(name: str, takes: int) -> RollBack:
    """Return the command to give a redemption back."""
    return RollBack(
        redemption_id=name,
        is_single=takes == 1,
        rollback_ids=[f"rr-{name}-{number}" for number in range(takes + 1)],
        failed_rollback_id=f"rrf-{name}",
    )


class LedgerMachine(RuleBasedStateMachine):
    """The pure domain against the oracle."""

    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.oracle = Oracle(limits=dict(LIMITS))
        self.accounts: dict[str, Account] = {}
        self.redemptions: dict[str, Redemption] = {}
        self.log: list[tuple[Event, Envelope]] = []
        self.count = 0

    @rule(target=names, takes=TAKES)
    def redeem(self, takes: list[tuple[str, int]]) -> str:
        self.count += 1
        name = f"r{self.count}"
        decision = decide_redeem(plan_of(name, takes), self.accounts, [], NOW)
        expected = self.oracle.redeem(name, takes)
        if expected == "ok":
            assert isinstance(decision, Redeemed)
            self._take_over(decision.accounts, decision.event, name)
            self.redemptions[name] = Redemption(decision.event)
        else:
            assert isinstance(decision, Refused)
            assert decision.event.error.message == expected
        return name

    @rule(name=names)
    def roll_back(self, name: str) -> None:
        known = self.redemptions.get(name, Redemption(None))
        takes = len(known.event.items) if known.event else 1
        command = roll_back_of(name, takes)
        expected = self.oracle.roll_back(name)
        if expected == "not_found":
            with pytest.raises(RedemptionNotFound):
                decide_roll_back(command, known, self.accounts, NOW)
            return
        decision = decide_roll_back(command, known, self.accounts, NOW)
        if expected == "ok":
            assert not isinstance(decision, RollbackFailed)
            self._take_over(decision.accounts, decision.event, name)
            self.redemptions[name] = known._replace(is_rolled_back=True)
        else:
            assert isinstance(decision, RollbackFailed)
            assert decision.error.key == expected

    @rule(amount=st.integers(-60, 60))
    def top_up(self, amount: int) -> None:
        command = AdjustBalance(
            voucher_id="g",
            voucher={},
            account="credits/g",
            unit="credit",
            amount=amount,
            limit=50,
            limit_version=1,
            transaction_id="t",
        )
        if self.oracle.top_up("credits/g", amount) == "ok":
            event, changed = decide_adjust_balance(command, self.accounts, NOW)
            self._take_over(changed, event, "adjustment")
        else:
            with pytest.raises(InvalidPayload):
                decide_adjust_balance(command, self.accounts, NOW)

    @invariant()
    def balances_are_what_the_oracle_says(self) -> None:
        for name, account in self.accounts.items():
            assert account.available == self.oracle.left(name)

    @invariant()
    def the_log_folds_to_the_balances(self) -> None:
        history = fold_accounts(self.log)
        assert history.findings == []
        assert trial_balance(history) == []
        for name, account in self.accounts.items():
            folded = history.balances["p1", name]
            assert (folded.used, folded.adjusted) == (account.used, account.adjusted)

    def _take_over(self, changed: Mapping[str, Account], event: Event, stream: str) -> None:
        self.accounts.update(changed)
        meta = Envelope("id", event.TYPE, "ledger", NOW, "p1", stream=stream)
        self.log.append((event, meta))


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@pytest.mark.integration
async def test_the_running_ledger_answers_as_the_oracle(leased_settings: Settings) -> None:
    chance = random.Random(7)
    oracle = Oracle(limits=dict(LIMITS))
    async with Harness(build(leased_settings)) as ledger:
        for number in range(150):
            name = f"r{number}"
            if number % 3 == 2:
                name = f"r{chance.randrange(number)}"
                takes = len(oracle.redemptions[name].takes) if name in oracle.redemptions else 1
                expected = oracle.roll_back(name)
                reply = await ledger.command("p1", roll_back_of(name, takes))
                assert (reply.error.key if reply.error else "ok") == expected
                continue
            amounts = [(chance.choice(sorted(LIMITS)), chance.randint(1, 4)) for _ in range(2)]
            expected = oracle.redeem(name, amounts)
            reply = await ledger.command("p1", Redeem(plan=plan_of(name, amounts)))
            assert (reply.error.message if reply.error else "ok") == expected
        for row in await ledger.rows("accounts"):
            limit = row["limit_amount"]
            left = None if limit is None else limit + row["adjusted"] - row["used"]
            assert left == oracle.left(row["account"])
