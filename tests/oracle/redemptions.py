"""The oracle: what a shop would say of redemptions, written without looking at the ledger.

Deliberately naive: it keeps lists of what happened and adds them up again for every question. It raises
``NotImplementedError`` on what it was not taught.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple


class Take(NamedTuple):
    """One amount of an account. ``is_flexible``: the planner chose it, and may choose again."""

    account: str
    amount: int
    is_flexible: bool = False


@dataclass
class Taken:
    """One redemption: parts by their own names, in order. A single one is its own only part."""

    parts: dict[str, Take]
    is_stack: bool
    order: str
    stands: bool = True


@dataclass
class Session:
    """What a shopper's session keeps for itself, and until when."""

    takes: list[Take]
    until: int
    order: str | None = None


@dataclass
class Definition:
    """The newest definition of an account that the till has heard of."""

    limit: int | None
    version: int


@dataclass
class Oracle:
    """One project. ``heard`` are definitions by account, ``now`` counts seconds."""

    heard: dict[str, Definition] = field(default_factory=dict)
    redemptions: dict[str, Taken] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    top_ups: list[Take] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    orders: dict[str, list[str]] = field(default_factory=dict)
    """What happened to each order: names of redemptions and of rollbacks."""
    now: int = 0

    def used(self, account: str) -> int:
        """Return what standing redemptions took."""
        return sum(
            take.amount
            for one in self.redemptions.values()
            if one.stands
            for take in one.parts.values()
            if take.account == account
        )

    def held(self, account: str, but_for: str | None = None) -> int:
        """Return what sessions keep, except one of them."""
        return sum(
            take.amount
            for name, session in self.sessions.items()
            if name != but_for
            for take in session.takes
            if take.account == account
        )

    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Return of every account what was used, what is held and what was added."""
        sums: dict[str, list[int]] = {account: [0, 0, 0] for account in self.heard}
        standing = [one for one in self.redemptions.values() if one.stands]
        used = [take for one in standing for take in one.parts.values()]
        held = [take for session in self.sessions.values() for take in session.takes]
        for column, takes in enumerate((used, held, self.top_ups)):
            for take in takes:
                sums[take.account][column] += take.amount
        return {account: (one[0], one[1], one[2]) for account, one in sums.items()}

    def left(self, account: str, limit: int | None, but_for: str | None = None) -> int | None:
        """Return what is left under a limit; None is without end."""
        if limit is None:
            return None
        added = sum(one.amount for one in self.top_ups if one.account == account)
        return limit + added - self.used(account) - self.held(account, but_for)

    def redeem(
        self,
        name: str,
        takes: list[Take],
        said: dict[str, Definition],
        *,
        session: str | None = None,
        attempt: int = 1,
        order: tuple[str, int] | None = None,
    ) -> str:
        """Return ``ok``, ``again`` (plan anew), ``busy`` (three times was enough) or the short account.

        ``said`` are the definitions that the plan was made from, ``order`` the order's name and how
        much of what happened to it the planner knew.
        """
        if name in self.redemptions or name in self.refused:
            message = "the oracle knows no second redemption of one name"
            raise NotImplementedError(message)
        if order is not None and len(self.orders.get(order[0], [])) != order[1]:
            return "again"
        verdict = self.fits(takes, said, session)
        if verdict == "again":
            return "again" if attempt < 3 else "busy"
        if verdict != "ok":
            self.refused.add(f"failed-{name}")
            return verdict
        self._hear(takes, said)
        is_stack = len(takes) > 1
        names = [f"{name}-{number}" for number in range(len(takes))] if is_stack else [name]
        self.redemptions[name] = Taken(
            dict(zip(names, takes, strict=True)),
            is_stack,
            order[0] if order else f"order of {name}",
        )
        if order is not None:
            self.orders.setdefault(order[0], []).append(name)
        if session is not None:
            self.sessions.pop(session, None)
        return "ok"

    def fits(
        self,
        takes: list[Take],
        said: dict[str, Definition],
        session: str | None,
        untouched: Collection[str] = (),
    ) -> str:
        """Return ``ok``, ``again`` or the short account; nothing changes.

        ``untouched`` are accounts that are looked at as if nothing had ever happened to them.
        """
        so_far: dict[str, int] = {}
        for take in takes:
            account, plan = take.account, said[take.account]
            known = None if account in untouched else self.heard.get(account)
            if known and known.version > plan.version and known.limit != plan.limit:
                return "again"
            so_far[account] = so_far.get(account, 0) + take.amount
            left = plan.limit if account in untouched else self.left(account, plan.limit, session)
            if left is not None and so_far[account] > left:
                return "again" if take.is_flexible else account
        return "ok"

    def _hear(self, takes: list[Take], said: dict[str, Definition]) -> None:
        for take in takes:
            plan, known = said[take.account], self.heard.get(take.account)
            if known is None or plan.version > known.version:
                self.heard[take.account] = plan
            elif plan.version == known.version and plan.limit != known.limit:
                message = "the oracle knows one limit per version"
                raise NotImplementedError(message)

    def available(
        self, takes: list[Take], said: dict[str, Definition], session: str | None
    ) -> dict[str, int]:
        """Return what a planner is told who has to plan again."""
        told = {}
        for take in takes:
            plan, known = said[take.account], self.heard.get(take.account)
            newest = known if known and known.version > plan.version else plan
            left = self.left(take.account, newest.limit, session)
            if left is not None:
                told[take.account] = max(left, 0)
        return told

    def roll_back(self, name: str, *, is_single: bool) -> str:
        """Return ``ok`` or the key of the refusal."""
        verdict = self.may_roll_back(name, is_single=is_single)
        if verdict == "ok":
            one = self.redemptions[name]
            one.stands = False
            self.orders.setdefault(one.order, []).append(f"rollback of {name}")
        return verdict

    def may_roll_back(self, name: str, *, is_single: bool) -> str:
        """Return what :meth:`roll_back` would; nothing changes."""
        if name in self.refused:
            return "invalid_redemption"
        if any(name in one.parts for one in self.redemptions.values() if one.is_stack):
            return "invalid_redemption_parent"
        if name not in self.redemptions:
            return "not_found"
        one = self.redemptions[name]
        if one.is_stack and is_single:
            return "invalid_redemption"
        return "ok" if one.stands else "already_rolled_back"

    def top_up(self, account: str, amount: int, said: Definition) -> str:
        """Return ``ok``, or ``invalid`` if nothing would change or the balance fall below zero."""
        verdict = self.may_top_up(account, amount, said)
        if verdict == "ok":
            self.top_ups.append(Take(account, amount))
            self._hear([self.top_ups[-1]], {account: said})
        return verdict

    def may_top_up(self, account: str, amount: int, said: Definition) -> str:
        """Return what :meth:`top_up` would; nothing changes."""
        known = self.heard.get(account)
        newest = known if known and known.version > said.version else said
        left = self.left(account, newest.limit)
        if left is None:
            message = "the oracle knows no top-up of what is unlimited"
            raise NotImplementedError(message)
        return "invalid" if amount == 0 or left + amount < 0 else "ok"

    def hold(
        self,
        session: str,
        takes: list[Take],
        said: dict[str, Definition],
        seconds: int,
        *,
        attempt: int = 1,
        order: str | None = None,
    ) -> str:
        """Return ``ok``, ``again`` (whoever asked is to look again) or ``busy`` (three times)."""
        firm = [Take(take.account, take.amount) for take in takes]
        if self.fits(firm, said, session) != "ok":
            return "again" if attempt < 3 else "busy"
        self._hear(firm, said)
        self.sessions[session] = Session(firm, self.now + seconds, order)
        return "ok"

    def release(self, session: str, holder: str | None = None) -> str:
        """Return ``ok`` or ``not_found``; whoever holds is named as the account."""
        held = self.sessions.get(session)
        if held is None:
            return "not_found"
        going = [take for take in held.takes if holder in {None, take.account}]
        if not going:
            return "not_found"
        held.takes = [take for take in held.takes if take not in going]
        if not held.takes:
            del self.sessions[session]
        return "ok"

    def cancel(self, order: str) -> set[str]:
        """Nobody will pay for the order: return the sessions that ended with it."""
        ended = {name for name, one in self.sessions.items() if one.order == order}
        for name in ended:
            del self.sessions[name]
        return ended

    def wait(self, seconds: int) -> set[str]:
        """Let time pass; return the sessions that ended."""
        self.now += seconds
        ended = {name for name, one in self.sessions.items() if one.until <= self.now}
        for name in ended:
            del self.sessions[name]
        return ended
