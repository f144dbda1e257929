"""Holding amounts for a session, and letting them go."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from contracts.errors import DomainError, ErrorBody, InvalidPayload, NotFound, Unavailable
from contracts.ledger import HoldPlaced, HoldReleased, PlaceHold, Posting, ReleaseHold
from ledger.domain.accounts import Account, Book, Stale, TooLittle
from ledger.limits import POSTINGS_MAX

Reason = Literal["released", "expired", "redeemed", "replaced"]


class HoldRefused(DomainError):
    """Too little is left to hold; the posting says how the client is told."""

    def __init__(self, error: ErrorBody) -> None:
        super().__init__(error.details)
        self._error = error

    def body(self) -> ErrorBody:
        return self._error


def decide_place_hold(
    command: PlaceHold, held: Sequence[Posting], accounts: Mapping[str, Account], now: datetime
) -> tuple[HoldPlaced, Mapping[str, Account]]:
    """Hold the amounts instead of what the session held before; raises ``HoldRefused``."""
    if len(command.postings) > POSTINGS_MAX:
        raise InvalidPayload("redeemables: limited by too many rules", prop="redeemables")
    book = Book(accounts)
    book.release(held)
    for posting in command.postings:
        try:
            book.hold(posting)
        except TooLittle as too_little:
            raise HoldRefused(too_little.posting.error) from None
        except Stale as stale:
            message = f"the definition of {stale} has just changed"
            raise Unavailable(message) from None
    event = HoldPlaced(
        session_key=command.session_key,
        held=command.postings,
        expires_at=command.expires_at,
        placed_at=now,
    )
    return event, book.changed


def decide_release_hold(
    command: ReleaseHold, held: Sequence[Posting], accounts: Mapping[str, Account], now: datetime
) -> tuple[HoldReleased, Mapping[str, Account]]:
    """Release the session, or what it holds of one account; raises ``NotFound``."""
    going = [one for one in held if command.account in {None, one.account}]
    if not going:
        raise NotFound.of("session", command.session_key)
    staying = [one for one in held if one not in going]
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
        session_key=session_key, reason=reason, remaining=list(staying), released_at=now
    )
    return event, book.changed
