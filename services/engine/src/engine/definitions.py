"""Campaigns, rules and segments in memory, compiled once per version.

Every batch reads the versions it needs from the replica, so that a definition in memory is never older
than the replica; documents are read only when their version is new.
"""

from collections import OrderedDict
from collections.abc import Collection, Hashable
from typing import Any, Generic, TypeVar

from contracts.campaigns import Campaign, Voucher, VoucherDefinition
from contracts.errors import Unavailable
from contracts.promotions import PromotionTier
from engine import limits, queries
from engine.domain.collections import Collection as ProductCollection
from engine.domain.collections import read_collection
from engine.domain.definition import Code, Definition, make_definition, make_tier_definition
from engine.domain.facts import Segment
from engine.domain.rules import CompiledRule, compile_rule
from engine.queries import Key, Row
from runtime.database import Connection

Value = TypeVar("Value")


class _Cache(Generic[Value]):
    """The newest values, by key and version; the oldest ones go first."""

    def __init__(self) -> None:
        self._values: OrderedDict[tuple[Key, Hashable], Value] = OrderedDict()

    def get(self, key: Key, version: Hashable) -> Value | None:
        return self._values.get((key, version))

    def put(self, key: Key, version: Hashable, value: Value) -> None:
        self._values[key, version] = value
        if len(self._values) > limits.DEFINITIONS_CACHED_MAX:
            self._values.popitem(last=False)

    def missing(self, wanted: Collection[tuple[Key, int]]) -> list[Key]:
        return [key for key, version in wanted if (key, version) not in self._values]


class Definitions:
    """What is compiled; filled batch by batch."""

    def __init__(self) -> None:
        self._campaigns: _Cache[Campaign] = _Cache()
        self._made: _Cache[Definition] = _Cache()
        self._rules: _Cache[CompiledRule] = _Cache()
        self._sets: _Cache[tuple[CompiledRule, ...]] = _Cache()
        self._segments: _Cache[Segment] = _Cache()
        self._collections: _Cache[ProductCollection] = _Cache()

    async def prepare(self, connection: Connection, rows: Collection[Row]) -> None:
        """Load the campaigns and rules that codes name and that are not in memory."""
        campaigns = {
            ((row["project_id"], row["campaign_id"]), row["campaign_version"])
            for row in rows
            if row["campaign_version"] is not None
        }
        missing = self._campaigns.missing(campaigns)
        if missing:
            for key, found in (await queries.campaign_documents(connection, missing)).items():
                campaign = Campaign.model_validate(found["doc"])
                self._campaigns.put(key, found["version"], campaign)
        rules = {
            ((row["project_id"], rule_id), version)
            for row in rows
            for rule_id, version in _rule_versions(row)
        }
        missing = self._rules.missing(rules)
        if missing:
            for key, found in (await queries.rule_documents(connection, missing)).items():
                self._rules.put(key, found["version"], compile_rule(key[0], found["doc"]))

    async def segments(self, connection: Connection, keys: Collection[Key]) -> dict[Key, Segment]:
        """Return segments by id; one that does not exist is left out."""
        if not keys:
            return {}
        versions = await queries.segment_versions(connection, keys)
        missing = self._segments.missing(list(versions.items()))
        if missing:
            for key, found in (await queries.segment_documents(connection, missing)).items():
                self._segments.put(key, found["version"], _segment(found["doc"]))
        segments = {key: self._segments.get(key, version) for key, version in versions.items()}
        return {key: segment for key, segment in segments.items() if segment is not None}

    async def collections(
        self, connection: Connection, keys: Collection[Key]
    ) -> dict[Key, ProductCollection]:
        """Return product collections by id; one that does not exist is left out."""
        if not keys:
            return {}
        versions = await queries.collection_versions(connection, keys)
        missing = self._collections.missing(list(versions.items()))
        if missing:
            for key, found in (await queries.collection_documents(connection, missing)).items():
                self._collections.put(key, found["version"], read_collection(found["doc"]))
        found = {key: self._collections.get(key, version) for key, version in versions.items()}
        return {key: collection for key, collection in found.items() if collection is not None}

    def code(self, row: Row) -> Code:
        """Return a code with its definition; raises ``Unavailable`` while a part has not arrived."""
        rules = self._assigned(row)
        return Code(
            id=row["id"],
            code=row["code"],
            campaign_id=row["campaign_id"],
            is_active=row["active"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            definition=self._definition(row),
            rules=rules,
            rules_version=row["rules_version"] or 0,
        )

    def tier(self, row: Row) -> Code:
        """Return a promotion tier; raises ``Unavailable`` while its campaign or a rule has not arrived."""
        rules = self._assigned(row)
        campaign = self._campaign(row)
        assert campaign is not None, "a tier has a campaign"
        key, version = (row["project_id"], row["id"]), (row["campaign_version"], row["version"])
        definition = self._made.get(key, version)
        if definition is None:
            tier = PromotionTier.model_validate(row["doc"])
            definition = make_tier_definition(tier, campaign)
            self._made.put(key, version, definition)
        return Code(
            id=row["id"],
            code=row["id"],
            campaign_id=row["campaign_id"],
            is_active=row["doc"].get("active", True),
            created_at=None,
            updated_at=None,
            definition=definition,
            rules=rules,
            object="promotion_tier",
            rules_version=row["rules_version"] or 0,
        )

    def campaign(self, row: Row) -> tuple[Campaign, Code]:
        """Return a campaign and a code of it that nobody has drawn yet; raises ``Unavailable``."""
        rules = self._assigned(row)
        campaign = self._campaign(row)
        assert campaign is not None, "the row is a campaign's"
        key, version = (row["project_id"], row["id"]), (row["campaign_version"], None)
        definition = self._made.get(key, version)
        if definition is None:
            drawn = Voucher(
                id=row["id"], code=row["id"], campaign_id=row["id"], created_at=campaign.created_at
            )
            definition = make_definition(drawn, campaign)
            self._made.put(key, version, definition)
        return campaign, Code(
            id=row["id"],
            code=row["id"],
            campaign_id=row["id"],
            is_active=True,
            created_at=campaign.created_at,
            updated_at=campaign.updated_at,
            definition=definition,
            rules=rules,
            rules_version=row["rules_version"] or 0,
        )

    def campaign_type(self, row: Row) -> str | None:
        """Return the type of the campaign that a code or tier belongs to."""
        campaign = self._campaign(row)
        return campaign.campaign_type if campaign is not None else None

    def _assigned(self, row: Row) -> tuple[CompiledRule, ...]:
        """Return the rules assigned to a code: the same tuple for all codes with the same versions."""
        named = tuple(row["rules"])
        if not named:
            return ()
        key = (row["project_id"], named[0])
        rules = self._sets.get(key, named)
        if rules is None:
            rules = tuple(self._rule(row["project_id"], *pair) for pair in _rule_versions(row))
            self._sets.put(key, named, rules)
        return rules

    def _rule(self, project_id: str, rule_id: str, version: int) -> CompiledRule:
        rule = self._rules.get((project_id, rule_id), version)
        if rule is None:
            raise _not_yet("a validation rule")
        return rule

    def _definition(self, row: Row) -> Definition:
        campaign = self._campaign(row)
        is_shared = row["definition"] is None and campaign is not None
        key = (row["project_id"], row["campaign_id"] if is_shared else row["id"])
        version = (row["campaign_version"], None if is_shared else row["version"])
        definition = self._made.get(key, version)
        if definition is None:
            definition = make_definition(_voucher(row), campaign)
            self._made.put(key, version, definition)
        return definition

    def _campaign(self, row: Row) -> Campaign | None:
        if row["campaign_id"] is None:
            return None
        version = row["campaign_version"]
        campaign = (
            self._campaigns.get((row["project_id"], row["campaign_id"]), version)
            if version is not None
            else None
        )
        if campaign is None:
            raise _not_yet("a campaign")
        return campaign


def _not_yet(what: str) -> Unavailable:
    return Unavailable(f"{what} has just been changed and is not readable yet")


def _rule_versions(row: Row) -> list[tuple[str, int]]:
    pairs = [text.rpartition("@") for text in row["rules"]]
    return [(rule_id, int(version or -1)) for rule_id, _, version in pairs]


def _voucher(row: Row) -> Voucher:
    own: Any = row["definition"]
    return Voucher(
        id=row["id"],
        code=row["code"],
        campaign_id=row["campaign_id"],
        active=row["active"],
        definition=VoucherDefinition.model_validate(own) if own is not None else None,
        created_at=row["created_at"],
        version=row["version"],
    )


def _segment(document: dict[str, Any]) -> Segment:
    is_static = document["type"] == "static"
    return Segment(
        document["id"],
        None if is_static else document.get("filter") or {},
        frozenset(document.get("customer_ids") or ()),
    )
