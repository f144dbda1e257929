"""Holding amounts for a session, and letting them go."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from contracts.errors import DomainError, ErrorBody, InvalidPayload, NotFound
from contracts.ledger import HoldPlaced, HoldReleased, PlaceHold, Posting, ReleaseHold
from ledger.domain.accounts import Account, Book, Stale, TooLittle
from ledger.domain.redeem import HandBack
from ledger.limits import POSTINGS_MAX

Reason = Literal["released", "expired", "redeemed", "canceled"]


class TooManySessions(DomainError):
    """The customer holds through too many sessions; the posting says how the client is told."""

    key = "too_many_sessions"
    message = "Too many open sessions"

    def __init__(self, error: ErrorBody) -> None:
        super().__init__(error.details)
        self._error = error

    def body(self) -> ErrorBody:
        return self._error


class Held(NamedTuple):
    """What a session holds from now on."""

    event: HoldPlaced
    accounts: Mapping[str, Account]


def decide_place_hold(
    command: PlaceHold, held: Sequence[Posting], accounts: Mapping[str, Account], now: datetime
) -> Held | HandBack:
    """Hold all the amounts instead of what the session held before, or nothing.

    Where too little is left the validation was made from what is no longer so: the engine, which gets
    it back, knows how to refuse it.
    """
    if len(command.postings) > POSTINGS_MAX:
        raise InvalidPayload("redeemables: limited by too many rules", prop="redeemables")
    book = Book(accounts)
    book.release(held)
    for posting in command.postings:
        try:
            book.hold(posting)
        except TooLittle as too_little:
            if posting.unit == "session":
                raise TooManySessions(too_little.posting.error) from None
            return _hand_back(command, held, accounts)
        except Stale:
            return _hand_back(command, held, accounts)
    event = HoldPlaced(
        session_key=command.session_key,
        held=command.postings,
        balances=book.balances(book.changed),
        order_id=command.order_id,
        expires_at=now + timedelta(microseconds=command.ttl_us),
        placed_at=now,
    )
    return Held(event, book.changed)


def _hand_back(
    command: PlaceHold, held: Sequence[Posting], accounts: Mapping[str, Account]
) -> HandBack:
    book = Book(accounts)
    book.release(held)
    return HandBack(book.left_for(command.postings))


def decide_release_hold(
    command: ReleaseHold, held: Sequence[Posting], accounts: Mapping[str, Account], now: datetime
) -> tuple[HoldReleased, Mapping[str, Account]]:
    """Release the session, or what it holds for one redeemable; raises ``NotFound``."""
    going = [one for one in held if command.holder in {None, one.holder}]
    if not going:
        raise NotFound.of("session", command.session_key)
    staying = [one for one in held if one not in going]
    if all(one.holder is None for one in staying):  # nothing is left that the session is for
        going, staying = list(held), []
    return release(command.session_key, going, staying, accounts, now, "released")


def release(
    session_key: str,
    going: Sequence[Posting],
    staying: Sequence[Posting],
    accounts: Mapping[str, Account],
    now: datetime,
    reason: Reason,
) -> tuple[HoldReleased, Mapping[str, Account]]:
    """Let go of ``going``; ``staying`` is held on."""
    book = Book(accounts)
    book.release(going)
    event = HoldReleased(
        session_key=session_key,
        reason=reason,
        remaining=list(staying),
        balances=book.balances(book.changed),
        released_at=now,
    )
    return event, book.changed


def released_by_redemption(
    session_key: str, held: Sequence[Posting], after: Mapping[str, Account], now: datetime
) -> HoldReleased:
    """Return the event for a session whose redemption has already let go of what it held."""
    book = Book({})
    book.changed.update(after)
    return HoldReleased(
        session_key=session_key,
        reason="redeemed",
        balances=book.balances(posting.account for posting in held),
        released_at=now,
    )
