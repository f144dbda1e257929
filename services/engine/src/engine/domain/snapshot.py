"""Everything the shell gathered for one request; the core reads nothing else."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from contracts.engine import StackRequest
from contracts.errors import JsonObject
from engine.domain.collections import NO_COLLECTIONS, Collection
from engine.domain.customer import KnownCustomer
from engine.domain.definition import Code
from engine.domain.facts import Published, Segment
from engine.domain.order import Catalogue


class Account(NamedTuple):
    """An account of the ledger as the replica saw it last."""

    used: int = 0
    adjusted: int = 0
    held: int = 0


class Accounts(NamedTuple):
    """The accounts of a request. ``available`` is what the ledger itself said is left.

    ``own`` is what the request's own session holds: left for it, and for nobody else.
    """

    seen: Mapping[str, Account]
    available: Mapping[str, int]
    own: Mapping[str, int] = {}

    def left(self, account: str, limit: int | None) -> int | None:
        """Return what is left in the account by our view; None is unlimited."""
        if account in self.available:
            return self.available[account]
        if limit is None:
            return None
        balance = self.seen.get(account, Account())
        by_others = balance.held - self.own.get(account, 0)
        return limit + balance.adjusted - balance.used - by_others


class PromotionStack(NamedTuple):
    """Tiers that are redeemed together, in this order."""

    id: str
    name: str
    campaign_id: str
    tier_ids: tuple[str, ...]


NO_PUBLICATIONS: Mapping[str, Published] = MappingProxyType({})
NO_CODES: Mapping[str, Code] = MappingProxyType({})
NO_STACKS: Mapping[str, PromotionStack] = MappingProxyType({})
NO_CATEGORIES: Mapping[str, JsonObject] = MappingProxyType({})


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
    order_version: int | None = None
    """How many redemptions and rollbacks of the order we know of; None: the request names no order."""
    collections: Mapping[str, Collection] = NO_COLLECTIONS
    tiers: Mapping[str, Code] = NO_CODES
    """Promotion tiers by id, those of the promotion stacks included."""
    stacks: Mapping[str, PromotionStack] = NO_STACKS
    categories: Mapping[str, JsonObject] = NO_CATEGORIES
    """Those that the redeemables have."""
    holders: frozenset[tuple[str | None, str | None]] = frozenset()
    """(code id, customer id) of codes that were published to the request's customer."""
    first_day_of_week: int = 0
    """Counted from Monday."""
    publications: Mapping[str, Published] = NO_PUBLICATIONS
    """By the code's id, of those whose formulas ask."""


class DrawnIds(NamedTuple):
    """Ids that the shell drew, one redemption each for the redeemables in the request's order.

    For a promotion stack there are as many as it may have tiers.
    """

    redemption_ids: tuple[str, ...]
    parent_id: str
    failed_redemption_id: str
    order_id: str
