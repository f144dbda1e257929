"""Everything the shell gathered for one request; the core reads nothing else."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from contracts.engine import StackRequest
from contracts.errors import JsonObject
from engine.domain.collections import NO_COLLECTIONS, Collection
from engine.domain.customer import KnownCustomer
from engine.domain.definition import Code
from engine.domain.facts import Segment
from engine.domain.order import Catalogue


class Account(NamedTuple):
    """An account of the ledger as the replica saw it last."""

    used: int = 0
    adjusted: int = 0


class Accounts(NamedTuple):
    """The accounts of a request. ``available`` is what the ledger itself said is left."""

    seen: Mapping[str, Account]
    available: Mapping[str, int]

    def left(self, account: str, limit: int | None) -> int | None:
        """Return what is left in the account by our view; None is unlimited."""
        if account in self.available:
            return self.available[account]
        if limit is None:
            return None
        balance = self.seen.get(account, Account())
        return limit + balance.adjusted - balance.used


class Snapshot(NamedTuple):
    """One request and what it is about. ``now`` is in the project's time zone."""

    project_id: str
    request: StackRequest
    now: datetime
    codes: Mapping[str, Code]
    """By the id under which the request names them."""
    customer: KnownCustomer | None
    segments: Mapping[str, Segment]
    catalogue: Catalogue
    stored_order: JsonObject | None
    accounts: Accounts
    stacking_rules: JsonObject
    api_key_id: str | None = None
    collections: Mapping[str, Collection] = NO_COLLECTIONS


class DrawnIds(NamedTuple):
    """Ids that the shell drew, one redemption each for the redeemables in the request's order."""

    redemption_ids: tuple[str, ...]
    parent_id: str
    failed_redemption_id: str
    order_id: str
