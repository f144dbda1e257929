"""Turns a case's ``given`` and ``when`` into a snapshot: no I/O, the same core that requests meet."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from contracts import ids
from contracts.campaigns import Campaign, Voucher, VoucherDefinition
from contracts.engine import QualificationOptions, StackRequest
from contracts.promotions import PromotionTier
from contracts.stacking import DEFAULT_STACKING_RULES
from engine.domain.collections import Collection
from engine.domain.customer import KnownCustomer, named, overlay
from engine.domain.definition import Code, make_definition, make_tier_definition
from engine.domain.facts import Published, Segment
from engine.domain.qualification import Offer, Search, chosen
from engine.domain.rules import CompiledRule, compile_rule
from engine.domain.snapshot import Account, Accounts, DrawnIds, PromotionStack, Snapshot

PROJECT = "proj_case"
NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)

Json = dict[str, Any]

TEMPLATES: dict[str, Json] = {
    "discount": {"type": "DISCOUNT_VOUCHER"},
    "gift": {"type": "GIFT_VOUCHER"},
}


def make_snapshot(given: Json, when: Json) -> Snapshot:
    """Build the world of a case."""
    moment = datetime.fromisoformat(str(when["now"])) if "now" in when else NOW
    stack = StackRequest.model_validate(when["request"])
    accounts = {name: Account(**seen) for name, seen in given.get("accounts", {}).items()}
    return Snapshot(
        project_id=PROJECT,
        request=stack,
        now=moment.astimezone(ZoneInfo(given.get("timezone", "UTC"))),
        codes=_codes(given),
        customer=_customer(given, stack),
        segments={one["id"]: _segment(one) for one in given.get("segments", [])},
        catalogue={one["id"]: one for one in given.get("catalogue", [])},
        stored_order=given.get("stored_order"),
        accounts=Accounts(accounts, when.get("available", {}), given.get("own_holds", {})),
        stacking_rules={**DEFAULT_STACKING_RULES, **given.get("stacking_rules", {})},
        api_key_id=given.get("api_key_id"),
        tiers=_tiers(given),
        stacks={name: _stack(name, sent) for name, sent in given.get("stacks", {}).items()},
        categories={
            name: {"id": name, "name": name, "created_at": NOW.isoformat(), **sent}
            for name, sent in given.get("categories", {}).items()
        },
        holders=frozenset((one["code"], one["customer"]) for one in given.get("holders", [])),
        first_day_of_week=given.get("first_day_of_week", 0),
        publications={
            f"v_{name}": Published(**one) for name, one in given.get("publications", {}).items()
        },
        collections={one["id"]: _collection(one) for one in given.get("collections", [])},
    )


def qualify(snapshot: Snapshot, when: Json) -> Json:
    """Ask for what qualifies; everything of the case's world is on offer, in the order of its names."""
    options = QualificationOptions.model_validate({"limit": 50, **when.get("options", {})})
    scenario = when.get("scenario", "ALL")
    offers = chosen(_offers(snapshot), scenario, options, snapshot.now)
    search = Search(snapshot, scenario)
    entries = [search.entry(one, options) for one in offers if search.worth(one) is not None]
    found = [entry for entry in entries if entry is not None]
    return {"offered": [one["id"] for one in found], "redeemables": found}


def _offers(snapshot: Snapshot) -> list[Offer]:
    customer_id = snapshot.customer.id if snapshot.customer else None
    offers = [
        Offer(
            "voucher",
            name,
            NOW,
            (code,),
            is_held=(code.id, customer_id) in snapshot.holders,
        )
        for name, code in snapshot.codes.items()
    ]
    offers += [
        Offer("promotion_tier", name, NOW, (code,), "PROMOTION")
        for name, code in snapshot.tiers.items()
    ]
    offers += [
        Offer(
            "promotion_stack",
            name,
            NOW,
            tuple(snapshot.tiers[one] for one in stack.tier_ids),
            "PROMOTION",
            stack,
        )
        for name, stack in snapshot.stacks.items()
    ]
    return sorted(offers, key=lambda offer: offer.id)


def drawn_ids() -> DrawnIds:
    """Ids that a test can write down."""
    return DrawnIds(tuple(f"r_{n}" for n in range(30)), "r_parent", "rf_1", "ord_drawn")


def _codes(given: Json) -> dict[str, Code]:
    campaigns = {one["id"]: _campaign(one) for one in given.get("campaigns", [])}
    rules = {one["id"]: compile_rule(PROJECT, one) for one in given.get("rules", [])}
    codes = {}
    for name, sent in given.get("vouchers", {}).items():
        campaign = campaigns.get(sent.get("campaign_id"))
        definition = sent.get("definition")
        voucher = Voucher(
            id=f"v_{name}",
            code=name,
            campaign_id=campaign.id if campaign else None,
            active=sent.get("active", True),
            definition=VoucherDefinition.model_validate(definition) if definition else None,
            created_at=NOW,
            version=sent.get("version", 1),
        )
        codes[name] = Code(
            voucher.id,
            name,
            voucher.campaign_id,
            voucher.active,
            NOW,
            None,
            make_definition(voucher, campaign),
            tuple(rules[rule_id] for rule_id in sent.get("rules", [])),
            rules_version=_rules_version(sent, rules),
        )
    return codes


def _tiers(given: Json) -> dict[str, Code]:
    campaigns = {one["id"]: _campaign(one) for one in given.get("campaigns", [])}
    rules = {one["id"]: compile_rule(PROJECT, one) for one in given.get("rules", [])}
    return {name: _tier(name, sent, campaigns, rules) for name, sent in _named(given, "tiers")}


def _named(given: Json, kind: str) -> list[tuple[str, Json]]:
    return list(given.get(kind, {}).items())


def _tier(name: str, sent: Json, campaigns: Json, rules: Json) -> Code:
    fields = {key: value for key, value in sent.items() if key not in {"rules", "discount"}}
    campaign_id = fields.setdefault("campaign_id", "camp_promotion")
    campaign = campaigns.get(campaign_id) or _campaign(
        {"id": campaign_id, "campaign_type": "PROMOTION"}
    )
    values = {"name": name, "created_at": NOW, "action": {"discount": sent["discount"]}, **fields}
    tier = PromotionTier.model_validate({"id": name, **values})
    return Code(
        tier.id,
        tier.id,
        campaign_id,
        tier.active,
        NOW,
        None,
        make_tier_definition(tier, campaign),
        tuple(rules[rule_id] for rule_id in sent.get("rules", [])),
        "promotion_tier",
        _rules_version(sent, rules),
    )


def _rules_version(sent: Json, rules: dict[str, CompiledRule]) -> int:
    """The position of the newest change, in a world where each change of a rule has the next one."""
    named = [rules[rule_id].version for rule_id in sent.get("rules", [])]
    return int(sent.get("rules_version", sum(named)))


def _stack(name: str, sent: Json) -> PromotionStack:
    return PromotionStack(name, sent.get("name", name), "camp_promotion", tuple(sent["tiers"]))


def _campaign(sent: Json) -> Campaign:
    return Campaign.model_validate(
        {
            "name": sent["id"],
            "campaign_type": "DISCOUNT_COUPONS",
            "type": "STATIC",
            "created_at": NOW,
            **sent,
        }
    )


def _customer(given: Json, stack: StackRequest) -> KnownCustomer | None:
    who = named(PROJECT, stack.customer)
    if who is None:
        return None
    stored = next((one for one in given.get("customers", []) if one["id"] == who.id), None)
    return overlay(who, stack.customer or {}, stored, "cust_drawn")


def _segment(sent: Json) -> Segment:
    return Segment(sent["id"], sent.get("filter"), frozenset(sent.get("customer_ids", [])))


def _collection(sent: Json) -> Collection:
    return Collection(
        sent["id"],
        sent.get("filter"),
        frozenset(sent.get("product_ids", [])),
        frozenset(sent.get("sku_ids", [])),
    )


def customer_id(source_id: str) -> str:
    """The id of a customer in the cases' project."""
    return ids.customer_id(PROJECT, source_id)


MISSING = object()
"""What :func:`reach` finds where there is nothing."""


def reach(value: Any, path: str) -> Any:
    """Return what stands at a case's path: names, places in lists, and ``length``, between dots."""
    for part in str(path).split("."):
        if isinstance(value, list) and part == "length":
            value = len(value)
        elif isinstance(value, list):
            value = value[int(part)] if int(part) < len(value) else MISSING
        elif isinstance(value, dict):
            value = value.get(part, MISSING)
        else:
            return MISSING
    return value
