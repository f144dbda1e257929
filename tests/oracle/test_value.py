"""R03, R04, R06: money and shared limits never go over, whatever comes in whatever order.

The same machine and oracle as everywhere, in worlds that are all about one thing: a gift card with many hands
on it, a budget that many codes share with a limit per customer, and stacks that are given back.
"""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.ledger import AdjustBalance, RedemptionRolledBack, RedemptionSucceeded
from contracts.messages import Command, Event
from tests.oracle.machine import redeem_of, roll_back_of
from tests.oracle.redemptions import Definition, Oracle, Take
from tests.oracle.test_domain_against_oracle import DomainDriver

PROJECT = "p1"
CARD = "credits/card"
BUDGET = "campaign-discount/sale"
CODES = [f"uses/code{number}" for number in range(8)]
CUSTOMERS = [f"customer-campaign-uses/sale/{name}" for name in ("anna", "bob", "carl")]
SAID = {
    CARD: Definition(10_000, 1),
    BUDGET: Definition(100_000, 1),
    **dict.fromkeys(CODES, Definition(2, 1)),
    **dict.fromkeys(CUSTOMERS, Definition(1, 1)),
}
examples = settings(max_examples=120, deadline=None)
amounts = st.integers(1, 4_000)


class World:
    """A ledger and its oracle, which are told the same and must say the same."""

    def __init__(self) -> None:
        self.driver = DomainDriver()
        self.oracle = Oracle()
        self.count = 0
        self.standing: list[str] = []

    def redeem(self, takes: Sequence[Take]) -> str:
        """Redeem a stack; returns the verdict."""
        self.count += 1
        name = f"r{self.count}"
        command = redeem_of(name, takes, SAID, None, 1, "WITH_ORDER")
        verdict = self.send(command, self.oracle.redeem(name, list(takes), SAID))
        if verdict == "ok":
            self.standing.append(name)
        return verdict

    def give_back(self, index: int) -> None:
        """Roll one of the standing redemptions back, twice."""
        if not self.standing:
            return
        name = self.standing.pop(index % len(self.standing))
        for expected in ("ok", "already_rolled_back"):
            assert self.oracle.roll_back(name, is_single=False) == expected
            self.send(roll_back_of(name, len(SAID), f"rrf{self.count}"), expected)

    def top_up(self, amount: int) -> None:
        """Add to the card, or take off it by hand."""
        self.count += 1
        command = AdjustBalance(
            voucher_id="card",
            voucher={},
            account=CARD,
            unit="credit",
            amount=amount,
            limit=SAID[CARD].limit or 0,
            limit_version=1,
            transaction_id=f"vtx{self.count}",
        )
        self.send(command, self.oracle.top_up(CARD, amount, SAID[CARD]))

    def send(self, command: Command, expected: str) -> str:
        """Send a command; the answer is what the oracle expects."""
        answer = self.driver.send([(PROJECT, command)])[0]
        assert answer.verdict == expected
        for name, row in self.driver.accounts(PROJECT).items():
            assert row.used >= 0, name
            assert row.limit is None or row.limit + row.adjusted - row.used - row.held >= 0, name
        return expected

    @property
    def log(self) -> list[Event]:
        """Everything that happened."""
        return self.driver.projects[PROJECT].log


@examples
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("pay"), amounts),
            st.tuples(st.just("top up"), st.integers(-4_000, 4_000)),
            st.tuples(st.just("give back"), st.integers(0, 50)),
        ),
        max_size=60,
    )
)
def test_r03_a_card_with_many_hands_on_it_adds_up_to_the_cent(
    events: list[tuple[str, int]],
) -> None:
    world = World()
    for what, amount in events:
        if what == "pay":
            world.redeem([Take(CARD, amount)])
        elif what == "top up":
            world.top_up(amount)
        else:
            world.give_back(amount)
    paid = sum(
        posted.amount
        for event in world.log
        if isinstance(event, RedemptionSucceeded | RedemptionRolledBack)
        for item in event.items
        for posted in item.posted
    )
    row = world.driver.accounts(PROJECT).get(CARD)
    assert (row.used if row else 0) == paid
    assert world.driver.findings() == []


@examples
@given(
    st.lists(
        st.tuples(st.sampled_from(CODES), st.sampled_from(CUSTOMERS), st.integers(1, 60_000)),
        max_size=50,
    )
)
def test_r04_codes_share_a_budget_and_a_customer_gets_one(
    redemptions: list[tuple[str, str, int]],
) -> None:
    world = World()
    discounts: dict[str, int] = {}
    for code, customer, discount in redemptions:
        takes = [Take(code, 1), Take(customer, 1), Take(BUDGET, discount)]
        if world.redeem(takes) == "ok":
            assert customer not in discounts, "one for each customer"
            discounts[customer] = discount
    budget = world.driver.accounts(PROJECT).get(BUDGET)
    assert (budget.used if budget else 0) == sum(discounts.values()) <= 100_000
    assert world.driver.findings() == []


@examples
@given(
    st.lists(
        st.lists(st.sampled_from([*CODES[:3], BUDGET, CARD]), min_size=1, max_size=5, unique=True),
        min_size=1,
        max_size=20,
    ),
    st.lists(st.integers(0, 50), max_size=20),
)
def test_r06_what_is_given_back_is_as_if_it_had_never_been_taken(
    stacks: list[list[str]], undone: list[int]
) -> None:
    world = World()
    for accounts in stacks:
        world.redeem([Take(account, 1 if account in CODES else 700) for account in accounts])
    for index in undone:
        world.give_back(index)
    while world.standing:
        world.give_back(0)
    for name, row in world.driver.accounts(PROJECT).items():
        if not name.startswith("order/"):
            assert (row.used, row.held) == (0, 0), name
    assert world.driver.findings() == []
