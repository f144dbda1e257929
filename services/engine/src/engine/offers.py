"""What each project offers without being asked for it by name: read again when its definitions change."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from contracts.errors import Unavailable
from engine import limits, queries
from engine.definitions import Definitions
from engine.domain.definition import Code
from engine.domain.qualification import Offer
from engine.domain.recipe import recipe_of
from engine.domain.snapshot import PromotionStack
from engine.gathering import collection_ids_of, free_products_of
from engine.queries import Key
from runtime.database import Connection

EVER = datetime(1970, 1, 1, tzinfo=UTC)


class Needs(NamedTuple):
    """What rules and discounts of offers name, to be read before they are asked."""

    segments: frozenset[Key]
    collections: frozenset[Key]
    products: frozenset[Key]
    categories: frozenset[Key]
    publications: frozenset[Key]
    """Codes whose formulas ask how they were published."""


class Offered(NamedTuple):
    """The offers of a project, and what must be known to judge them."""

    offers: tuple[Offer, ...]
    needs: Needs


def needs_of(project_id: str, offers: Iterable[Offer]) -> Needs:
    """Return what the offers name."""
    codes = [part for offer in offers for part in offer.parts]
    rules = [rule for code in codes for rule in code.rules]
    return Needs(
        segments=frozenset((project_id, one) for rule in rules for one in rule.segment_ids),
        collections=frozenset(
            (project_id, one) for code in codes for one in collection_ids_of(code)
        ),
        products=frozenset(key for code in codes for key in free_products_of(project_id, code)),
        categories=frozenset(
            (project_id, code.definition.category_id)
            for code in codes
            if code.definition.category_id is not None
        ),
        publications=frozenset(
            (project_id, code.id) for code in codes if recipe_of(code).asks_publications
        ),
    )


class Offers:
    """The offers of the projects that asked last, in memory while their definitions stay the same."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._known: OrderedDict[str, tuple[int, Offered]] = OrderedDict()

    async def of_project(self, connection: Connection, project_id: str) -> Offered:
        """Return everything that any customer of the project may be offered."""
        changed_at = await queries.definition_changes(connection, project_id)
        known = self._known.get(project_id)
        if known is not None and known[0] == changed_at:
            self._known.move_to_end(project_id)
            return known[1]
        # Read before the definitions: what changes meanwhile makes the next question read again.
        offers = await self._read(connection, project_id)
        offered = Offered(tuple(offers), needs_of(project_id, offers))
        self._known[project_id] = (changed_at, offered)
        if len(self._known) > limits.PROJECTS_OFFERED_MAX:
            self._known.popitem(last=False)
        return offered

    async def held_by(
        self, connection: Connection, project_id: str, customer_id: str
    ) -> list[Offer]:
        """Return the codes that were published to the customer."""
        held = await queries.held_ids(connection, project_id, customer_id, limits.HELD_MAX)
        return await self._vouchers(connection, project_id, held, is_held=True)

    async def _read(self, connection: Connection, project_id: str) -> list[Offer]:
        standalone = await queries.standalone_ids(connection, project_id, limits.OFFERS_MAX)
        tiers = await self._tiers(connection, project_id)
        stacks = await queries.all_stacks(connection, project_id, limits.OFFERS_MAX)
        return [
            *await self._vouchers(connection, project_id, standalone),
            *tiers.values(),
            *(offer for row in stacks if (offer := _stack(row, tiers)) is not None),
            *await self._campaigns(connection, project_id),
        ]

    async def _vouchers(
        self,
        connection: Connection,
        project_id: str,
        voucher_ids: Sequence[str],
        *,
        is_held: bool = False,
    ) -> list[Offer]:
        def offer(row: Any) -> Offer:
            code = self._definitions.code(row)
            kind = self._definitions.campaign_type(row)
            made = code.created_at or EVER
            return Offer("voucher", code.code, made, (code,), kind, is_held=is_held)

        found = []
        for ids in _chunks(voucher_ids):
            rows = await queries.vouchers(connection, [(project_id, one) for one in ids])
            found.extend(await self._made(connection, list(rows.values()), offer))
        return found

    async def _tiers(self, connection: Connection, project_id: str) -> dict[str, Offer]:
        def offer(row: Any) -> Offer:
            code = self._definitions.tier(row)
            made = datetime.fromisoformat(row["doc"]["created_at"])
            return Offer("promotion_tier", code.id, made, (code,), "PROMOTION")

        found = {}
        for ids in _chunks(await queries.tier_ids(connection, project_id, limits.OFFERS_MAX)):
            rows = await queries.tiers(connection, [(project_id, one) for one in ids])
            for made in await self._made(connection, list(rows.values()), offer):
                found[made.id] = made
        return found

    async def _campaigns(self, connection: Connection, project_id: str) -> list[Offer]:
        def offer(row: Any) -> Offer:
            campaign, code = self._definitions.campaign(row)
            kind = campaign.campaign_type
            return Offer("campaign", campaign.id, campaign.created_at, (code,), kind)

        found = []
        rows = await queries.campaign_offers(connection, project_id, limits.OFFERS_MAX)
        for part in _chunks(rows):
            found.extend(await self._made(connection, part, offer))
        return found

    async def _made(
        self, connection: Connection, rows: Sequence[Any], offer: Callable[[Any], Offer]
    ) -> list[Offer]:
        """Return the offers of rows; one of which a part has not arrived yet is left out till then."""
        await self._definitions.prepare(connection, rows)
        made = []
        for row in rows:
            try:
                made.append(offer(row))
            except Unavailable:
                continue
        return made


def _stack(row: Any, tiers: dict[str, Offer]) -> Offer | None:
    parts: list[Code] = [tiers[one].code for one in row["tier_ids"] if one in tiers]
    if not parts or len(parts) < len(row["tier_ids"]):
        return None
    stack = PromotionStack(row["id"], row["name"], row["campaign_id"], tuple(row["tier_ids"]))
    made = row["created_at"] or EVER
    return Offer("promotion_stack", stack.id, made, tuple(parts), "PROMOTION", stack)


def _chunks(found: Sequence[Any]) -> Iterable[Sequence[Any]]:
    size = limits.OFFERS_READ_MAX
    return (found[start : start + size] for start in range(0, len(found), size))
