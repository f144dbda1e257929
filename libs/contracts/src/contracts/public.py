"""What the public API and webhooks show of Tessera's own states: pure renderings.

Input are JSON objects as states and events are stored (``model_dump(mode="json")``); output are the
shapes of the Voucherify API v1 (openapi.json). Instants come out in UTC with milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from contracts import ids
from contracts.errors import JsonObject
from contracts.gateway import SETTINGS_DEFAULTS
from contracts.stacking import DEFAULT_STACKING_RULES

Json = Mapping[str, Any]
CHANNEL: JsonObject = {"channel_id": "API", "channel_type": "API"}
DEFINITION_FIELDS = (
    "start_date",
    "expiration_date",
    "validity_timeframe",
    "validity_day_of_week",
    "validity_hours",
)


def instant(moment: datetime | str | None) -> str | None:
    """Return an instant as the API writes it: ``2026-11-24T09:30:00.000Z``."""
    if moment is None:
        return None
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dates(source: Json, *names: str) -> JsonObject:
    return {name: instant(source.get(name)) for name in names}


def listing(data_ref: str, objects: Sequence[Any], total: int, **more: Any) -> JsonObject:
    """Return a page of a list."""
    return {"object": "list", "data_ref": data_ref, data_ref: list(objects), "total": total, **more}


# -- campaigns and vouchers ----------------------------------------------------------------------


def campaign(
    state: Json, assignments: Sequence[JsonObject] = (), category: Json | None = None
) -> JsonObject:
    """Return a campaign; ``assignments`` are those of its validation rules, rendered."""
    shown: JsonObject = {
        "id": state["id"],
        "name": state["name"],
        "description": state.get("description"),
        "campaign_type": state["campaign_type"],
        "type": state["type"],
        "auto_join": state.get("auto_join", False),
        "join_once": state.get("join_once", False),
        "use_voucher_metadata_schema": state.get("use_voucher_metadata_schema", False),
        "activity_duration_after_publishing": state.get("activity_duration_after_publishing"),
        "vouchers_count": state.get("vouchers_count", 0),
        "active": state.get("active", True),
        "metadata": state.get("metadata", {}),
        "category": (category or {}).get("name"),
        "creation_status": state.get("creation_status", "DONE"),
        "vouchers_generation_status": state.get("vouchers_generation_status", "DONE"),
        "readonly": False,
        "protected": state.get("protected", False),
        "category_id": state.get("category_id"),
        "categories": [category] if category else [],
        "object": "campaign",
        "validation_rules_assignments": listing("data", assignments, len(assignments)),
        **_dates(state, "start_date", "expiration_date", "created_at", "updated_at"),
        **{name: state.get(name) for name in DEFINITION_FIELDS[2:]},
    }
    if state.get("voucher"):
        shown["voucher"] = _template(state["voucher"])
    if state.get("referral_program"):
        shown["referral_program"] = state["referral_program"]
    return _without_nothing(shown, keep={"category_id"})


def campaign_summary(campaign: JsonObject, totals: Mapping[str, int]) -> JsonObject:
    """Return a campaign's figures.

    Validations are zero, because a validation writes nothing that could be counted; so is what was
    deleted, because there is no operation that deletes a code.
    """
    shown: JsonObject = {
        "object": "campaign_summary",
        "campaign": campaign,
        "redemptions": totals["redemptions_succeeded"] + totals["redemptions_failed"],
        "rollbacks": totals["rollbacks_succeeded"] + totals["rollbacks_failed"],
        "publications": totals["publications_succeeded"] + totals["publications_failed"],
        **dict.fromkeys(("validations", "validations_succeeded", "validations_failed"), 0),
        "vouchers_deleted": 0,
        **{name: totals[name] for name in SUMMARY},
    }
    if campaign["campaign_type"] == "GIFT_VOUCHERS":
        return shown | {name: totals[name] for name in GIFT_SUMMARY} | {"amount_deleted": 0}
    return shown | {name: totals[name] for name in DISCOUNT_SUMMARY}


SUMMARY = (
    "redemptions_succeeded",
    "redemptions_failed",
    "rollbacks_succeeded",
    "rollbacks_failed",
    "orders_amount",
    "orders_rolledback_amount",
    "vouchers_created",
    "publications_succeeded",
    "publications_failed",
)
GIFT_SUMMARY = (
    "created_vouchers_amount",
    "amount_added",
    "amount_redeemed",
    "amount_rolledback",
    "amount_subtracted",
)
DISCOUNT_SUMMARY = ("discounted_amount", "rolledback_discounted_amount")


def _template(definition: Json) -> JsonObject:
    shown = {
        **_value(definition),
        "gift": _gift(definition, {}),
        "type": definition["type"],
        "redemption": definition.get("redemption") or {"quantity": None},
        "code_config": _code_config(definition.get("code_config")),
        "is_referral_code": definition.get("is_referral_code", False),
        **_dates(definition, "start_date", "expiration_date"),
        **{name: definition.get(name) for name in DEFINITION_FIELDS[2:]},
    }
    return _without_nothing(shown)


def _code_config(config: Json | None) -> JsonObject:
    given = config or {}
    length = given.get("length") or CODE_LENGTH
    pattern = f"{given.get('prefix') or ''}{'#' * length}{given.get('postfix') or ''}"
    return {"length": length, "charset": CODE_CHARSET, "pattern": pattern, **given}


CODE_LENGTH = 8
CODE_CHARSET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _value(definition: Json) -> JsonObject:
    """Return what the voucher is worth: its discount, its gift, or its points."""
    names = ("discount", "gift", "loyalty_card")
    return {name: definition[name] for name in names if definition.get(name)}


def voucher(
    state: Json,
    definition: Json,
    *,
    campaign_name: str | None,
    balances: Json,
    assignments: Sequence[JsonObject] = (),
    category: Json | None = None,
) -> JsonObject:
    """Return a voucher.

    ``definition`` is its effective definition; ``balances`` has ``redeemed_quantity``,
    ``redeemed_amount``, ``balance``, ``subtracted_amount``, ``holder_id``, ``publish_count``.
    """
    code = state["code"]
    redemption: JsonObject = {
        "quantity": (definition.get("redemption") or {}).get("quantity"),
        "redeemed_quantity": balances.get("redeemed_quantity", 0),
        "object": "list",
        "url": f"/v1/vouchers/{code}/redemptions?page=1&limit=10",
    }
    shown: JsonObject = {
        "id": state["id"],
        "code": code,
        "campaign": campaign_name,
        "campaign_id": state.get("campaign_id"),
        "category": (category or {}).get("name"),
        "category_id": definition.get("category_id"),
        "categories": [category] if category else [],
        "type": definition["type"],
        "discount": definition.get("discount"),
        "gift": _gift(definition, balances),
        "loyalty_card": None,
        "active": state.get("active", True),
        "additional_info": definition.get("additional_info"),
        "metadata": definition.get("metadata", {}),
        "assets": None,
        "is_referral_code": definition.get("is_referral_code", False),
        "holder_id": balances.get("holder_id"),
        "object": "voucher",
        "publish": {
            "object": "list",
            "count": balances.get("publish_count", 0),
            "url": f"/v1/vouchers/{code}/publications?page=1&limit=10",
        },
        "redemption": redemption,
        "validation_rules_assignments": listing("data", assignments, len(assignments)),
        **_dates(definition, "start_date", "expiration_date"),
        **_dates(state, "created_at", "updated_at"),
        **{name: definition.get(name) for name in DEFINITION_FIELDS[2:]},
    }
    if redemption["quantity"] is None:  # unlimited
        del redemption["quantity"]
    if definition["type"] == "GIFT_VOUCHER":
        redemption["redeemed_amount"] = balances.get("redeemed_amount", 0)
    return _without_nothing(shown)


def _gift(definition: Json, balances: Json) -> JsonObject | None:
    gift = definition.get("gift")
    if definition["type"] != "GIFT_VOUCHER" or gift is None:
        return None
    amount = gift["amount"] + balances.get("adjusted", 0)
    return {
        "amount": amount,
        "subtracted_amount": balances.get("subtracted_amount", 0),
        "balance": balances.get("balance", amount),
        "effect": gift.get("effect", "APPLY_TO_ORDER"),
    }


def validation_rule(state: Json, assignments_count: int = 0) -> JsonObject:
    """Return a validation rule."""
    shown = {
        "id": state["id"],
        "name": state["name"],
        "type": state.get("type", "expression"),
        "context_type": state.get("context_type", "global"),
        "rules": state.get("rules", {}),
        "bundle_rules": state.get("bundle_rules"),
        "error": state.get("error"),
        "applicable_to": state.get("applicable_to")
        or {"excluded": [], "included": [], "included_all": True},
        "assignments_count": assignments_count,
        "object": "validation_rules",
        **_dates(state, "created_at", "updated_at"),
    }
    return _without_nothing(shown)


def assignment(state: Json) -> JsonObject:
    """Return the assignment of a validation rule."""
    return {
        "id": state["id"],
        "rule_id": state["rule_id"],
        "related_object_id": state["related_object_id"],
        "related_object_type": state["related_object_type"],
        "created_at": instant(state["created_at"]),
        "object": "validation_rules_assignment",
        "validation_status": "VALID",
        "validation_omitted_rules": [],
    }


def async_action(state: Json, *, with_result: bool) -> JsonObject:
    """Return an asynchronous action; ``state`` has id, status, counts and times, and what was refused."""
    has_ended = state["status"] in {"DONE", "FAILED"}
    failed_count = state.get("failed_count") or 0
    is_failed = state["status"] == "FAILED" or (failed_count and failed_count == state["total"])
    shown = {
        "id": state["id"],
        "type": state.get("type") or GENERATION,
        "status": state["status"],
        "operation_status": ("FAILED" if is_failed else "SUCCESS") if has_ended else "UNKNOWN",
        "request_id": state.get("request_id") or "",
        "progress": 100 * state["done"] // state["total"] if state["total"] else 100,
        "object": "async_action",
        "result": _result(state) if with_result and has_ended else None,
        "processing_time": state.get("processing_time"),
        **_dates(state, "created_at", "updated_at"),
    }
    return _without_nothing(shown)


GENERATION = "CAMPAIGN.VOUCHERS_GENERATE"


def _result(state: Json) -> JsonObject | None:
    """Return what an action came to, in the shape of its kind."""
    kind = state.get("type") or GENERATION
    if kind == GENERATION:
        is_done = state["status"] == "DONE"
        return {"message": "Vouchers generated", "done_count": state["done"]} if is_done else None
    failed_count = state.get("failed_count") or 0
    refused = state.get("failed") or []
    counts = {"done_count": state["done"] - failed_count, "failed_count": failed_count}
    if "IMPORT" in kind:
        things = kind.partition(".")[0].lower().removesuffix("s")
        told = f"{counts['done_count']} {things}(s) imported successfully, {failed_count} failed."
        names = ("row", "source_id", "code")
        rows = [
            {**_named(one, names), "reason": f"{one['key']}: {one['details']}"} for one in refused
        ]
        return {"message": told, "failed": rows, **counts}
    errors = [{**_named(one, ("source_id", "code")), **_error_of(one)} for one in refused]
    # What was refused stands here whole: there are no files of it that could be fetched for a while.
    files: JsonObject = {"reports": [], "reports_available_till": instant(state.get("updated_at"))}
    return {**counts, **files, "errors": errors}


def _named(refused: Json, names: Iterable[str]) -> JsonObject:
    return {name: refused[name] for name in names if refused.get(name) is not None}


def _error_of(refused: Json) -> JsonObject:
    return {name: refused[name] for name in ("key", "message", "details")}


# -- promotions and categories -------------------------------------------------------------------


def category(state: Json, stacking_rules: Json | None = None) -> JsonObject:
    """Return a category; with the project's stacking rules also how it stacks."""
    shown: JsonObject = {
        "id": state["id"],
        "name": state["name"],
        "hierarchy": state["hierarchy"],
        "object": "category",
        **_dates(state, "created_at", "updated_at"),
    }
    if stacking_rules is not None:
        shown["stacking_rules_type"] = stacking_rules_type(state["id"], stacking_rules)
    return _without_nothing(shown)


def stacking_rules_type(category_id: str, rules: Json) -> str | None:
    """Return JOINT or EXCLUSIVE; None for a category that stacks like any other."""
    if category_id in (rules.get("exclusive_categories") or ()):
        return "EXCLUSIVE"
    return "JOINT" if category_id in (rules.get("joint_categories") or ()) else None


def promotion_tier(
    state: Json,
    campaign: Json | None,
    *,
    assignments: Sequence[JsonObject] = (),
    totals: Json | None = None,
    category: Json | None = None,
) -> JsonObject:
    """Return a promotion tier with its campaign (a state) and what its redemptions came to."""
    shown: JsonObject = {
        "id": state["id"],
        "name": state["name"],
        "banner": state.get("banner"),
        "action": state.get("action", {}),
        "metadata": state.get("metadata", {}),
        "hierarchy": state.get("hierarchy", 1),
        "promotion_id": state["campaign_id"],
        "campaign": _tier_campaign(state["campaign_id"], campaign),
        "campaign_id": state["campaign_id"],
        "active": state.get("active", True),
        "category_id": state.get("category_id"),
        "categories": [category] if category else [],
        "validation_rule_assignments": listing("data", assignments, len(assignments)),
        "object": "promotion_tier",
        **_dates(state, "start_date", "expiration_date", "created_at", "updated_at"),
        **{name: state.get(name) for name in DEFINITION_FIELDS[2:]},
    }
    if totals is not None:
        shown["summary"] = {
            "redemptions": {"total_redeemed": totals.get("redeemed", 0)},
            "orders": {
                "total_amount": totals.get("orders_amount", 0),
                "total_discount_amount": totals.get("discount_amount", 0),
            },
        }
    return _without_nothing(shown)


def _tier_campaign(campaign_id: str, campaign: Json | None) -> JsonObject:
    state = campaign or {}
    shown = {
        "id": campaign_id,
        "active": state.get("active", True),
        "category_id": state.get("category_id"),
        "object": "campaign",
        **_dates(state, "start_date", "expiration_date"),
        **{name: state.get(name) for name in DEFINITION_FIELDS[2:]},
    }
    return _without_nothing(shown)


def promotion_stack(state: Json, category: Json | None = None) -> JsonObject:
    """Return a promotion stack."""
    shown = {
        "id": state["id"],
        "name": state["name"],
        "tiers": {
            "ids": state["tier_ids"],
            "hierarchy_mode": state.get("hierarchy_mode", "MANUAL"),
        },
        "campaign_id": state["campaign_id"],
        "category_id": state.get("category_id"),
        "categories": [category] if category else [],
        "object": "promotion_stack",
        **_dates(state, "created_at", "updated_at"),
    }
    return _without_nothing(shown, keep={"category_id"})


# -- catalogue -----------------------------------------------------------------------------------


def product(state: Json, skus: Sequence[JsonObject] | None = None) -> JsonObject:
    """Return a product; with ``skus`` (rendered) where the operation shows them."""
    shown: JsonObject = {
        "id": state["id"],
        "source_id": state.get("source_id"),
        "name": state.get("name"),
        "price": state.get("price"),
        "attributes": state.get("attributes", []),
        "metadata": state.get("metadata", {}),
        "image_url": state.get("image_url"),
        "object": "product",
        **_dates(state, "created_at", "updated_at"),
    }
    if skus is not None:
        shown["skus"] = listing("data", skus, len(skus))
    return shown


def product_collection(state: Json) -> JsonObject:
    """Return a product collection."""
    shown: JsonObject = {
        "id": state["id"],
        "name": state["name"],
        "type": state["type"],
        "object": "products_collection",
        **_dates(state, "created_at", "updated_at"),
    }
    if state["type"] == "STATIC":
        shown["products"] = state.get("products") or []
    else:
        shown["filter"] = state.get("filter") or {}
    return _without_nothing(shown)


def sku(state: Json) -> JsonObject:
    """Return a SKU."""
    shown = {
        "id": state["id"],
        "source_id": state.get("source_id"),
        "product_id": state["product_id"],
        "sku": state.get("sku"),
        "price": state.get("price"),
        "currency": state.get("currency"),
        "attributes": state.get("attributes", {}),
        "image_url": state.get("image_url"),
        "metadata": state.get("metadata", {}),
        "object": "sku",
        **_dates(state, "created_at", "updated_at"),
    }
    return _without_nothing(shown, keep={"source_id", "sku", "price", "image_url", "updated_at"})


# -- customers and orders ------------------------------------------------------------------------


def customer(state: Json, totals: Json | None = None) -> JsonObject:
    """Return a customer; ``totals`` has what redemptions came to."""
    shown = {
        "id": state["id"],
        "source_id": state.get("source_id"),
        **{name: state.get(name) for name in ("name", "description", "email", "phone", "birthday")},
        "birthdate": state.get("birthdate"),
        "address": state.get("address"),
        "metadata": state.get("metadata", {}),
        "system_metadata": state.get("system_metadata", {}),
        "summary": _summary(totals or {}),
        "loyalty": {"points": 0, "referred_customers": 0, "campaigns": {}},
        "referrals": {"total": 0, "campaigns": []},
        "object": "customer",
        **_dates(state, "created_at", "updated_at"),
    }
    return _without_nothing(shown, keep={"address"})


def _summary(totals: Json) -> JsonObject:
    redeemed = totals.get("redeemed", 0)
    amount = totals.get("amount", 0)
    return {
        "redemptions": {
            "total_redeemed": redeemed,
            "total_failed": totals.get("failed", 0),
            "total_succeeded": redeemed,
            "total_rolled_back": totals.get("rolled_back", 0),
            "total_rollback_failed": 0,
            "total_rollback_succeeded": totals.get("rolled_back", 0),
            "gift": {"redeemed_amount": totals.get("gift_amount", 0), "amount_to_go": 0},
            "loyalty_card": {"redeemed_points": 0, "points_to_go": 0},
        },
        "orders": {
            "total_amount": amount,
            "total_count": totals.get("orders", 0),
            "average_amount": amount // totals["orders"] if totals.get("orders") else 0,
            "last_order_amount": totals.get("last_order_amount", 0),
        },
    }


def customer_reference(state: Json | None) -> JsonObject | None:
    """Return a customer as redemptions and publications name one."""
    if state is None:
        return None
    shown = {
        "id": state.get("id"),
        "source_id": state.get("source_id"),
        "name": state.get("name"),
        "email": state.get("email"),
        "metadata": state.get("metadata", {}),
        "object": "customer",
    }
    return _without_nothing(shown)


def tracking(project_id: str, state: Json | None) -> str | None:
    """Return the opaque id that stands for the customer's ``source_id``."""
    source_id = (state or {}).get("source_id")
    return ids.tracking_id(project_id, source_id) if source_id else None


def segment(state: Json) -> JsonObject:
    """Return a segment."""
    shown = {
        "id": state["id"],
        "name": state["name"],
        "type": state["type"],
        "filter": state.get("filter"),
        "metadata": state.get("metadata", {}),
        "object": "segment",
        "created_at": instant(state["created_at"]),
        "updated_at": None,
        "initial_sync_status": "DONE" if state["type"] != "static" else None,
    }
    return _without_nothing(shown, keep={"filter"} if state["type"] != "static" else set())


AMOUNTS = (
    "amount",
    "initial_amount",
    "discount_amount",
    "items_discount_amount",
    "total_discount_amount",
    "total_amount",
    "applied_discount_amount",
    "items_applied_discount_amount",
    "total_applied_discount_amount",
)


def order(state: Json, customer: Json | None = None) -> JsonObject:
    """Return an order, as it is stored or as the engine priced it."""
    customer_id = state.get("customer_id") or (customer or {}).get("id")
    shown = {
        "id": state.get("id"),
        "source_id": state.get("source_id"),
        "status": state.get("status", "CREATED"),
        **{name: state.get(name) for name in AMOUNTS},
        "items": [_order_item(item) for item in state.get("items") or []],
        "metadata": state.get("metadata", {}),
        "customer_id": customer_id,
        "customer": {"id": customer_id, "object": "customer"} if customer_id else None,
        "referrer_id": state.get("referrer_id"),
        "object": "order",
        **_dates(state, "created_at", "updated_at"),
    }
    return _without_nothing(shown, keep={"source_id", "customer_id", "referrer_id", "updated_at"})


def _order_item(item: Json) -> JsonObject:
    return {
        **{name: value for name, value in item.items() if value is not None},
        "object": "order_item",
    }


# -- redemptions ---------------------------------------------------------------------------------


def redemptions(project_id: str, event: Json) -> list[JsonObject]:
    """Return the redemptions of ``RedemptionSucceeded``, in order of application, without parent."""
    return [_redemption(project_id, event, item) for item in event["items"]]


def _redemption(project_id: str, event: Json, item: Json) -> JsonObject:
    shown: JsonObject = {
        **_redemption_base(project_id, event, event["redeemed_at"]),
        "id": item["redemption_id"],
        "amount": item.get("amount"),
        "redemption": event.get("parent_id"),
        "result": "SUCCESS",
        "status": "SUCCEEDED",
        "order": _redeemed_order(item.get("order") or event.get("order"), event),
        "related_object_type": item["related_object_type"],
        "related_object_id": item["related_object_id"],
        "voucher": item.get("voucher"),
        "promotion_tier": item.get("promotion_tier"),
        "session": {"key": event["session_key"]} if event.get("session_key") else None,
    }
    if item.get("amount") is not None and (item.get("voucher") or {}).get("type") == "GIFT_VOUCHER":
        shown["gift"] = {"amount": item["amount"]}
    return _without_nothing(shown, keep=REDEMPTION_NULLS)


REDEMPTION_NULLS = {"customer_id", "tracking_id", "metadata", "redemption", "order", "customer"}


def _redemption_base(project_id: str, event: Json, date: str) -> JsonObject:
    customer = event.get("customer")
    return {
        "object": "redemption",
        "date": instant(date),
        "customer_id": (customer or {}).get("id"),
        "tracking_id": tracking(project_id, customer),
        "metadata": event.get("metadata", {}),
        "channel": {**CHANNEL, "channel_id": event.get("api_key_id") or "API"},
        "customer": customer_reference(customer),
    }


def _redeemed_order(state: Json | None, event: Json) -> JsonObject | None:
    return order(state, event.get("customer")) if state is not None else None


def parent_redemption(project_id: str, event: Json) -> JsonObject | None:
    """Return the parent of a stack, or None when only one redeemable applied."""
    if not event.get("parent_id"):
        return None
    shown = {
        **_redemption_base(project_id, event, event["redeemed_at"]),
        "id": event["parent_id"],
        "redemption": None,
        "result": "SUCCESS",
        "status": "SUCCEEDED",
        "order": _redeemed_order(event.get("order"), event),
        "related_object_type": "redemption",
        "related_object_id": event["parent_id"],
    }
    return _without_nothing(shown, keep=REDEMPTION_NULLS)


def failed_redemption(project_id: str, event: Json) -> JsonObject:
    """Return the redemption of ``RedemptionFailed``."""
    refused = event.get("refused") or {}
    named = (event.get("redeemables") or [{}])[0]
    error = event["error"]
    shown = {
        **_redemption_base(project_id, event, event["failed_at"]),
        "id": event["redemption_id"],
        "redemption": None,
        "result": "FAILURE",
        "status": "FAILED",
        "failure_code": error["key"],
        "failure_message": error["message"],
        "order": _redeemed_order(event.get("order"), event),
        "related_object_type": refused.get("object") or named.get("object") or "voucher",
        "related_object_id": (refused.get("voucher") or {}).get("id")
        or (refused.get("promotion_tier") or {}).get("id")
        or refused.get("id")
        or named.get("id")
        or "",
        "voucher": refused.get("voucher"),
        "promotion_tier": refused.get("promotion_tier"),
    }
    return _without_nothing(shown, keep=REDEMPTION_NULLS)


def redemption_response(project_id: str, event: Json) -> JsonObject:
    """Return the body of ``POST /v1/redemptions``."""
    shown = {
        "redemptions": redemptions(project_id, event),
        "parent_redemption": parent_redemption(project_id, event),
        "order": _redeemed_order(event.get("order"), event),
        "inapplicable_redeemables": event.get("inapplicable_redeemables") or None,
        "skipped_redeemables": event.get("skipped_redeemables") or None,
    }
    return _without_nothing(shown)


def rollbacks(project_id: str, event: Json) -> list[JsonObject]:
    """Return the rollbacks of ``RedemptionRolledBack``, without the parent's."""
    return [
        _rollback(
            project_id,
            event,
            item["rollback_id"],
            item["redemption_id"],
            item["related_object_type"],
            item["related_object_id"],
            item,
        )
        for item in event["items"]
    ]


def parent_rollback(project_id: str, event: Json) -> JsonObject | None:
    """Return the parent's rollback of a stack."""
    if not event.get("parent_rollback_id"):
        return None
    redemption_id = event["redemption_id"]
    rollback_id = event["parent_rollback_id"]
    return _rollback(project_id, event, rollback_id, redemption_id, "redemption", redemption_id, {})


def _rollback(
    project_id: str,
    event: Json,
    rollback_id: str,
    redemption_id: str,
    related_type: str,
    related_id: str,
    item: Json,
) -> JsonObject:
    shown: JsonObject = {
        **_redemption_base(project_id, event, event["rolled_back_at"]),
        "id": rollback_id,
        "object": "redemption_rollback",
        "redemption": redemption_id,
        "amount": item.get("amount"),
        "reason": event.get("reason"),
        "result": "SUCCESS",
        "status": "SUCCEEDED",
        "order": _redeemed_order(event.get("order"), event),
        "related_object_type": related_type,
        "related_object_id": related_id,
        "voucher": item.get("voucher"),
        "promotion_tier": item.get("promotion_tier"),
    }
    if item.get("amount") is not None:
        shown["gift"] = {"amount": item["amount"]}
    return _without_nothing(shown, keep=REDEMPTION_NULLS)


def rollback_response(project_id: str, event: Json, *, is_single: bool) -> JsonObject:
    """Return the body of a rollback: of one redemption, or of a stack."""
    given_back = rollbacks(project_id, event)
    if is_single:
        return given_back[0]
    shown = {
        "rollbacks": given_back,
        "parent_rollback": parent_rollback(project_id, event),
        "order": _redeemed_order(event.get("order"), event),
    }
    return _without_nothing(shown)


def failed_rollback(project_id: str, event: Json) -> JsonObject:
    """Return the rollback of ``RollbackFailed``."""
    shown = {
        **_redemption_base(project_id, event, event["failed_at"]),
        "id": event["rollback_id"],
        "object": "redemption_rollback",
        "redemption": event["redemption_id"],
        "result": "FAILURE",
        "status": "FAILED",
        "failure_code": event["error"]["key"],
        "failure_message": event["error"]["message"],
        "order": None,
        "related_object_type": "redemption",
        "related_object_id": event["redemption_id"],
    }
    return _without_nothing(shown, keep=REDEMPTION_NULLS)


def balance_update(event: Json) -> JsonObject:
    """Return the body of ``POST /v1/vouchers/{code}/balance``."""
    return {
        "amount": event["amount"],
        "total": event["limit"] + event.get("adjusted_total", event["amount"]),
        "balance": event["available"],
        "type": "gift_voucher" if event["unit"] == "credit" else "loyalty_card",
        "operation_type": "MANUAL",
        "object": "balance",
        "related_object": {"type": "voucher", "id": event["voucher"]["id"]},
    }


# -- publications, distributions, webhooks, projects ---------------------------------------------


def complete_customer(customer: JsonObject | None) -> JsonObject:
    """Return a customer with the properties that are there even when nothing is known of them."""
    return {"summary": None, "loyalty": None, "referrals": None, **(customer or {})}


def publication_entry(
    project_id: str,
    state: Json,
    error: Json | None,
    customer: JsonObject,
    voucher: Json | None,
) -> JsonObject:
    """Return a publication as lists show it, with the customer and the voucher (both rendered).

    The published form of a single voucher names its campaign; a code without one is listed as codes are.
    """
    shown = publication(project_id, state, error)
    shown["channel"] = state.get("channel") or shown["channel"]
    shown["customer"] = complete_customer(customer)
    shown.pop("voucher", None)
    if voucher is not None and voucher.get("campaign") and error is None:
        names = ("object", "id", "code", "campaign", "discount", "gift", "is_referral_code")
        shown.pop("vouchers", None)
        shown["voucher"] = {name: voucher[name] for name in names if voucher.get(name) is not None}
    else:
        shown["vouchers"] = [one["code"] for one in state.get("vouchers") or []]
    return shown


def publication(project_id: str, state: Json, error: Json | None = None) -> JsonObject:
    """Return a publication; ``error`` is set when it failed.

    The published form of an answer knows one channel; lists show that which was named.
    """
    vouchers = state.get("vouchers") or []
    shown: JsonObject = {
        "id": state["id"],
        "object": "publication",
        "created_at": instant(state["created_at"]),
        "customer_id": state["customer"].get("id"),
        "tracking_id": tracking(project_id, state["customer"]),
        "metadata": state.get("metadata", {}),
        "channel": CHANNEL["channel_type"],
        "source_id": state.get("source_id"),
        "result": "SUCCESS" if error is None else "FAILURE",
        "customer": customer_reference(state["customer"]),
        "vouchers_id": [voucher["id"] for voucher in vouchers],
    }
    if error is not None:
        shown |= {"failure_code": error["key"], "failure_message": error["message"]}
    if len(vouchers) == 1:
        shown["voucher"] = _published_voucher(vouchers[0])
    else:
        shown["vouchers"] = [voucher["code"] for voucher in vouchers]
    return _without_nothing(shown, keep={"source_id"})


def _published_voucher(state: Json) -> JsonObject:
    return {
        "object": "voucher",
        **{name: value for name, value in state.items() if value is not None},
    }


def distribution(state: Json) -> JsonObject:
    """Return a distribution (Tessera's own operation)."""
    return {**state, "object": "distribution", **_dates(state, "created_at", "updated_at")}


def webhook(state: Json) -> JsonObject:
    """Return a webhook endpoint, without its secret."""
    return {
        "id": state["id"],
        "object": "webhook",
        "target_url": state["target_url"],
        "events": state["events"],
        "active": state.get("active", True),
        "created_at": instant(state["created_at"]),
    }


def project(state: Json) -> JsonObject:
    """Return a project, without keys."""
    shown = {
        "id": state["id"],
        "name": state["name"],
        "timezone": state["timezone"],
        "currency": state["currency"],
        "case_sensitive_codes": state.get("case_sensitive_codes", True),
        "api_version": "v2018-08-01",
        "webhook_version": "v2024-01-01",
        "is_sandbox": False,
        "cluster_id": "tessera",
        **SETTINGS_DEFAULTS,
        **(state.get("settings") or {}),
    }
    return _without_nothing(shown)


def own_stacking_rules(state: Json) -> JsonObject:
    """Return the stacking rules of a project that has its own, as the management API shows them."""
    shown = {
        "id": state.get("stacking_rules_id"),
        **stacking_rules(state),
        "created_at": instant(state.get("stacking_rules_created_at")),
        "updated_at": instant(
            state.get("stacking_rules_updated_at") or state.get("stacking_rules_created_at")
        ),
    }
    keep = {
        "applicable_redeemables_per_category_limit",
        "applicable_exclusive_redeemables_per_category_limit",
    }
    return _without_nothing(shown, keep=keep)


def stacking_rules(state: Json) -> JsonObject:
    """Return a project's stacking rules with the defaults filled in."""
    return {**DEFAULT_STACKING_RULES, **(state.get("stacking_rules") or {})}


def _without_nothing(
    shown: JsonObject, keep: set[str] | frozenset[str] = frozenset()
) -> JsonObject:
    return {name: value for name, value in shown.items() if value is not None or name in keep}
