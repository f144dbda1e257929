"""The oracle: what a shop would say of redemptions, written without looking at the ledger.

Deliberately naive: one dictionary of what was taken, recomputed from the list of all redemptions that
still stand. It raises on what it was not taught.
"""

from dataclasses import dataclass, field


@dataclass
class Taken:
    """One redemption that succeeded."""

    takes: list[tuple[str, int]]
    stands: bool = True


@dataclass
class Oracle:
    """Limits by account (None: unlimited), redemptions by name, top-ups by account."""

    limits: dict[str, int | None] = field(default_factory=dict)
    redemptions: dict[str, Taken] = field(default_factory=dict)
    top_ups: dict[str, int] = field(default_factory=dict)

    def left(self, account: str) -> int | None:
        """Return what is left, or None if unlimited."""
        limit = self.limits[account]
        if limit is None:
            return None
        standing = [taken for taken in self.redemptions.values() if taken.stands]
        gone = sum(amount for taken in standing for name, amount in taken.takes if name == account)
        return limit + self.top_ups.get(account, 0) - gone

    def redeem(self, name: str, takes: list[tuple[str, int]]) -> str:
        """Return ``ok`` or the account that has too little, the first in order."""
        assert name not in self.redemptions, "names are used once"
        wanted: dict[str, int] = {}
        for account, amount in takes:
            wanted[account] = wanted.get(account, 0) + amount
            left = self.left(account)
            if left is not None and wanted[account] > left:
                return account
        self.redemptions[name] = Taken(takes)
        return "ok"

    def roll_back(self, name: str) -> str:
        """Return ``ok``, ``not_found`` or ``already_rolled_back``."""
        if name not in self.redemptions:
            return "not_found"
        if not self.redemptions[name].stands:
            return "already_rolled_back"
        self.redemptions[name].stands = False
        return "ok"

    def top_up(self, account: str, amount: int) -> str:
        """Return ``ok``, or ``invalid`` if nothing would change or the balance fall below zero."""
        left = self.left(account)
        if left is None:
            message = "the oracle knows no top-up of what is unlimited"
            raise NotImplementedError(message)
        if amount == 0 or left + amount < 0:
            return "invalid"
        self.top_ups[account] = self.top_ups.get(account, 0) + amount
        return "ok"
