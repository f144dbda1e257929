"""Accounts: everything that is limited, and what happens when an amount is posted to one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import get_args

from contracts.accounts import Unit
from contracts.ledger import Posted, Posting

UNITS = frozenset(get_args(Unit))
NEVER_SEEN = -1
"""The version of a limit that nobody has named yet; definitions count from zero."""


@dataclass(frozen=True, slots=True)
class Account:
    """A balance. ``limit`` None is unlimited; amounts are in the account's unit."""

    name: str
    unit: str
    limit: int | None = None
    limit_version: int = NEVER_SEEN
    adjusted: int = 0
    used: int = 0
    held: int = 0
    is_new: bool = True

    @property
    def available(self) -> int | None:
        """What may still be taken; None is unlimited."""
        if self.limit is None:
            return None
        return self.limit + self.adjusted - self.used - self.held

    def with_limit(self, limit: int | None, version: int) -> "Account":
        """Take over a newer definition's limit.

        One definition may hold several limits of an account, for different customers: the row
        keeps the widest, and each decision is judged by its own.
        """
        if version < self.limit_version:
            return self
        if version == self.limit_version:
            limit = None if None in {limit, self.limit} else max(limit or 0, self.limit or 0)
        return replace(self, limit=limit, limit_version=version)

    def left_under(self, limit: int | None) -> int | None:
        """What may still be taken if ``limit`` is what counts; None is unlimited."""
        return replace(self, limit=limit).available


class Stale(Exception):
    """The plan was made from an older definition than the account has seen."""


class TooLittle(Exception):
    """The posting does not fit into what is available."""

    def __init__(self, posting: Posting, account: Account) -> None:
        super().__init__(posting.account)
        self.posting = posting
        self.account = account


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
        self.put(replace(account, used=account.used + posting.amount))
        return self.posted(posting.account, posting.contra, posting.unit, posting.amount)

    def hold(self, posting: Posting) -> None:
        """Hold an amount; raises as :meth:`take` does."""
        account = self._fitting(posting)
        self.put(replace(account, held=account.held + posting.amount))

    def release(self, postings: Iterable[Posting]) -> None:
        """Give back what was held."""
        for posting in postings:
            account = self.get(posting.account, posting.unit)
            self.put(replace(account, held=account.held - posting.amount))

    def give_back(self, posted: Posted) -> Posted:
        """Reverse a posting."""
        assert posted.amount > 0, "only what was taken is given back"
        account = self.get(posted.account, posted.unit)
        self.put(replace(account, used=account.used - posted.amount))
        return self.posted(posted.account, posted.contra, posted.unit, -posted.amount)

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
