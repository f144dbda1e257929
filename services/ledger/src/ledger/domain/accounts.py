"""Accounts: everything that is limited, and what happens when an amount is posted to one."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, get_args

from contracts import accounts as names
from contracts.ledger import HeldBalance, Posted, Posting

UNITS = frozenset(get_args(names.Unit))
NEVER_SEEN = -1
"""The version of a limit that nobody has named yet; definitions count from zero."""


class Account(NamedTuple):
    """A balance. ``limit`` None is unlimited; amounts are in the account's unit."""

    name: str
    unit: str
    limit: int | None = None
    limit_version: int = NEVER_SEEN
    adjusted: int = 0
    used: int = 0
    held: int = 0
    last_fact: str | None = None
    """Of an order's account: the stream and version of the event that it counted last."""
    is_new: bool = True

    @property
    def available(self) -> int | None:
        """What may still be taken; None is unlimited."""
        return self.left_under(self.limit)

    def with_limit(self, limit: int | None, version: int) -> "Account":
        """Take over a newer definition's limit.

        One definition may hold several limits of an account, for different customers: the row
        keeps the widest, and each decision is judged by its own.
        """
        if version < self.limit_version or (limit, version) == (self.limit, self.limit_version):
            return self
        if version == self.limit_version:
            limit = None if None in {limit, self.limit} else max(limit or 0, self.limit or 0)
        return self._replace(limit=limit, limit_version=version)

    def left_under(self, limit: int | None) -> int | None:
        """What may still be taken if ``limit`` is what counts; None is unlimited."""
        return None if limit is None else limit + self.adjusted - self.used - self.held


class Stale(Exception):
    """The plan was made from an older definition than the account has seen."""


class TooLittle(Exception):
    """The posting does not fit into what is available."""

    def __init__(self, posting: Posting, account: Account) -> None:
        super().__init__(posting.account)
        self.posting = posting
        self.account = account


def order_account(order_id: str) -> str:
    """Return the account that counts the redemptions and rollbacks of an order."""
    return names.account("order", order_id)


class Book:
    """Accounts as they are, overlaid with what one decision changes."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self.changed: dict[str, Account] = {}

    def get(self, name: str, unit: str) -> Account:
        """Return the account, a new one if there is none."""
        return self.changed.get(name) or self._accounts.get(name) or Account(name, unit)

    def put(self, account: Account) -> None:
        """Replace the account."""
        assert account.used >= 0, f"{account.name}: more given back than was taken"
        assert account.held >= 0, f"{account.name}: more released than was held"
        self.changed[account.name] = account

    def take(self, posting: Posting) -> Posted:
        """Post an amount; raises :class:`Stale` or :class:`TooLittle`."""
        account = self._fitting(posting)
        self.put(account._replace(used=account.used + posting.amount))
        return self.posted(posting.account, posting.contra, posting.unit, posting.amount)

    def hold(self, posting: Posting) -> None:
        """Hold an amount; raises as :meth:`take` does."""
        account = self._fitting(posting)
        self.put(account._replace(held=account.held + posting.amount))

    def release(self, postings: Iterable[Posting]) -> None:
        """Give back what was held."""
        for posting in postings:
            account = self.get(posting.account, posting.unit)
            self.put(account._replace(held=account.held - posting.amount))

    def give_back(self, posted: Posted) -> Posted:
        """Reverse a posting."""
        assert posted.amount > 0, "only what was taken is given back"
        account = self.get(posted.account, posted.unit)
        self.put(account._replace(used=account.used - posted.amount))
        return self.posted(posted.account, posted.contra, posted.unit, -posted.amount)

    def count_fact(self, order_id: str, stream: str, version: int) -> int:
        """Count a redemption or rollback of the order; returns its number."""
        account = self.get(order_account(order_id), "fact")
        account = account._replace(used=account.used + 1, last_fact=f"{stream}@{version}")
        self.put(account)
        return account.used

    def posted(self, name: str, contra: str, unit: str, amount: int) -> Posted:
        """Return the record of a posting, with the balances after it."""
        account = self.changed[name]
        return Posted(
            account=name,
            contra=contra,
            unit=unit,
            amount=amount,
            used=account.used,
            available=account.available,
        )

    def left_for(self, postings: Iterable[Posting]) -> dict[str, int]:
        """Return what the postings' accounts have left, each under its newest limit."""
        found = {}
        for posting in postings:
            account = self.get(posting.account, posting.unit)
            is_newest = posting.limit_version >= account.limit_version
            available = account.left_under(posting.limit) if is_newest else account.available
            if available is not None:
                found[posting.account] = max(available, 0)
        return found

    def balances(self, names: Iterable[str]) -> list[HeldBalance]:
        """Return what the accounts have after the decision; those that it changed."""
        return [
            HeldBalance(
                account=name,
                unit=account.unit,
                held=account.held,
                used=account.used,
                available=account.available,
            )
            for name in sorted(set(names))
            if (account := self.changed[name])
        ]

    def _fitting(self, posting: Posting) -> Account:
        assert posting.amount > 0, f"{posting.account}: a posting moves something"
        assert posting.unit in UNITS, f"{posting.account}: unknown unit"
        account = self.get(posting.account, posting.unit)
        is_older = posting.limit_version < account.limit_version
        if is_older and posting.limit != account.limit:
            raise Stale(posting.account)
        left = account.left_under(posting.limit)
        if left is not None and posting.amount > left:
            raise TooLittle(posting, account)
        return account.with_limit(posting.limit, posting.limit_version)
