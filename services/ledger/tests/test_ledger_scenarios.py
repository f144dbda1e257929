"""Balances and holds told as stories: what has happened, what is asked, what comes of it."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from contracts.engine import StackRequest, ValidateStack
from contracts.errors import ErrorBody
from contracts.ledger import (
    AdjustBalance,
    BalanceAdjusted,
    HeldBalance,
    HoldPlaced,
    HoldReleased,
    PlaceHold,
    Posting,
    ReleaseHold,
)
from ledger.domain.accounts import Account, Book
from ledger.domain.balance import decide_adjust_balance
from ledger.domain.holds import Held, decide_place_hold, decide_release_hold
from runtime.testing import given

NOW = datetime(2026, 11, 24, tzinfo=UTC)
TTL = timedelta(minutes=5)
CARD = "credits/v_1"


class Till(NamedTuple):
    """What the events of these stories lead to: accounts, and what each session holds."""

    accounts: dict[str, Account]
    held: dict[str, list[Posting]]


NOTHING = Till({}, {})


def evolve(till: Till | None, event: BalanceAdjusted | HoldPlaced | HoldReleased) -> Till:
    till = till or NOTHING
    book = Book(till.accounts)
    held = dict(till.held)
    if isinstance(event, BalanceAdjusted):
        account = book.get(event.account, event.unit).with_limit(event.limit, event.limit_version)
        book.put(account._replace(adjusted=account.adjusted + event.amount))
    else:
        book.release(held.pop(event.session_key, []))
        held[event.session_key] = (
            event.held if isinstance(event, HoldPlaced) else list(event.remaining)
        )
        for posting in held[event.session_key]:
            book.hold(posting)
    return Till({**till.accounts, **book.changed}, held)


def of_card(amount: int) -> Posting:
    error = ErrorBody(code=400, key="gift_amount_exceeded", message="gift amount exceeded")
    return Posting(
        account=CARD,
        contra="order/o_1",
        unit="credit",
        amount=amount,
        limit=1000,
        limit_version=1,
        error=error,
    )


def adjust(amount: int) -> Any:
    command = AdjustBalance(
        voucher_id="v_1",
        voucher={"id": "v_1"},
        account=CARD,
        unit="credit",
        amount=amount,
        limit=1000,
        limit_version=1,
        transaction_id="vtx_1",
    )
    return lambda till: [decide_adjust_balance(command, (till or NOTHING).accounts, NOW)[0]]


def adjusted(amount: int, available: int) -> BalanceAdjusted:
    return BalanceAdjusted(
        transaction_id="vtx_1",
        voucher={"id": "v_1"},
        account=CARD,
        unit="credit",
        amount=amount,
        limit=1000,
        limit_version=1,
        used=0,
        available=available,
        adjusted_at=NOW,
    )


def hold(session: str, *amounts: int) -> Any:
    """Decide on a session's holds; nothing comes of it when the engine is asked again."""
    command = PlaceHold(
        session_key=session,
        postings=[of_card(amount) for amount in amounts],
        ttl_us=TTL // timedelta(microseconds=1),
        validation=ValidateStack(
            validation_id="valid_1", stack=StackRequest(redeemables=[]), now=NOW
        ),
        answer={"valid": True},
    )

    def decide(till: Till | None) -> list[HoldPlaced]:
        till = till or NOTHING
        decided = decide_place_hold(command, till.held.get(session, []), till.accounts, NOW)
        return [decided.event] if isinstance(decided, Held) else []

    return decide


def held(session: str, *amounts: int, left: int) -> HoldPlaced:
    return HoldPlaced(
        session_key=session,
        held=[of_card(amount) for amount in amounts],
        balances=[card_with(left)],
        expires_at=NOW + TTL,
        placed_at=NOW,
    )


def card_with(left: int) -> HeldBalance:
    return HeldBalance(account=CARD, unit="credit", held=1000 - left, used=0, available=left)


def let_go(session: str, holder: str | None = None) -> Any:
    command = ReleaseHold(session_key=session, holder=holder)

    def decide(till: Till | None) -> list[HoldReleased]:
        till = till or NOTHING
        return [decide_release_hold(command, till.held.get(session, []), till.accounts, NOW)[0]]

    return decide


RELEASED = HoldReleased(
    session_key="ann", reason="released", balances=[card_with(1000)], released_at=NOW
)


def test_a_card_is_topped_up_and_emptied_but_not_below_zero() -> None:
    story = given(evolve).when(adjust(500)).then(adjusted(500, 1500))
    story.when(adjust(-1500)).then(adjusted(-1500, 0))
    story.when(adjust(-1)).then_refused("invalid_payload", "would become negative")


def test_what_a_session_holds_cannot_be_taken_away_by_hand() -> None:
    given(evolve, held("ann", 600, left=400)).when(adjust(-401)).then_refused("invalid_payload")
    given(evolve, held("ann", 600, left=400)).when(adjust(-400)).then(adjusted(-400, 0))


def test_two_sessions_share_what_there_is() -> None:
    ann = held("ann", 600, left=400)
    given(evolve, ann).when(hold("bob", 400)).then(held("bob", 400, left=0))
    given(evolve, ann).when(hold("bob", 401)).then()


def test_a_session_that_asks_again_gives_back_first() -> None:
    ann = held("ann", 600, left=400)
    given(evolve, ann).when(hold("ann", 1000)).then(held("ann", 1000, left=0))


def test_what_is_released_is_there_for_others() -> None:
    story = given(evolve, held("ann", 1000, left=0)).when(let_go("ann")).then(RELEASED)
    story.when(hold("bob", 1000)).then(held("bob", 1000, left=0))


def test_only_what_is_held_is_released() -> None:
    ann = held("ann", 5, left=995)
    given(evolve).when(let_go("ann")).then_refused("not_found", "ann")
    given(evolve, ann, RELEASED).when(let_go("ann")).then_refused("not_found")
    given(evolve, ann).when(let_go("ann", "v_other")).then_refused("not_found")
