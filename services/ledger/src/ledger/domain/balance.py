"""Changing a card's balance by hand."""

from collections.abc import Mapping
from datetime import datetime

from contracts.errors import InvalidPayload
from contracts.ledger import AdjustBalance, BalanceAdjusted
from ledger.domain.accounts import Account, Book
from ledger.limits import AMOUNT_MAX


def decide_adjust_balance(
    command: AdjustBalance, accounts: Mapping[str, Account], now: datetime
) -> tuple[BalanceAdjusted, Mapping[str, Account]]:
    """Add to the balance, or remove; raises ``InvalidPayload`` that names ``amount``."""
    if command.amount == 0:
        raise InvalidPayload("amount: must not be zero", prop="amount")
    book = Book(accounts)
    account = book.get(command.account, command.unit)
    account = account.with_limit(command.limit, command.limit_version)
    account = account._replace(adjusted=account.adjusted + command.amount)
    if account.available is not None and account.available < 0:
        raise InvalidPayload("amount: the balance would become negative", prop="amount")
    if account.available is not None and account.available > AMOUNT_MAX:
        raise InvalidPayload("amount: the balance would become too large", prop="amount")
    book.put(account)
    assert account.available is not None, "a card's balance is limited"
    event = BalanceAdjusted(
        transaction_id=command.transaction_id,
        voucher=command.voucher,
        account=command.account,
        unit=command.unit,
        amount=command.amount,
        limit=account.limit or 0,
        limit_version=account.limit_version,
        used=account.used,
        available=account.available,
        source_id=command.source_id,
        reason=command.reason,
        adjusted_at=now,
    )
    return event, book.changed
