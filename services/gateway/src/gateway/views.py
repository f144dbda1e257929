"""Objects of the API as they are shown: rows of the read models, rendered with all they name."""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts import public
from contracts.errors import JsonObject
from gateway import queries
from gateway.queries import Record
from gateway.read_models.orders import shown
from runtime.database import Connection


async def campaigns(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show campaigns."""
    assigned = await queries.assignments_of(connection, project_id, [row["id"] for row in rows])
    known = await _categories(connection, project_id, [row["doc"] for row in rows])
    tiers = await _tiers_of(connection, project_id, rows)
    return [
        _campaign(dict(row), assigned.get(row["id"], []), _category(row["doc"], known))
        | tiers.get(row["id"], {})
        for row in rows
    ]


async def _tiers_of(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> dict[str, JsonObject]:
    """Return what campaigns of type PROMOTION show besides."""
    ids = [row["id"] for row in rows if row["campaign_type"] == "PROMOTION"]
    if not ids:
        return {}
    found = await queries.tiers_of_campaigns(connection, project_id, ids)
    shown = await promotion_tiers(connection, project_id, found)
    return {
        one: {
            "promotion": public.listing(
                "tiers",
                tiers := [tier for tier in shown if tier["campaign_id"] == one],
                len(tiers),
                has_more=False,
            )
        }
        for one in ids
    }


async def promotion_tiers(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show promotion tiers: their campaigns, rules, categories, and what redemptions came to."""
    ids = [row["id"] for row in rows]
    campaign_ids = {row["campaign_id"] for row in rows}
    campaigns_by_id = await queries.campaigns(connection, project_id, list(campaign_ids))
    assigned = await queries.assignments_of(connection, project_id, ids)
    totals = await queries.tier_totals(connection, project_id, ids)
    known = await _categories(connection, project_id, [row["doc"] for row in rows])
    shown = []
    for row in rows:
        campaign = campaigns_by_id.get(row["campaign_id"])
        tier = public.promotion_tier(
            row["doc"],
            campaign["doc"] if campaign is not None else None,
            assignments=[public.assignment(one) for one in assigned.get(row["id"], [])],
            totals=totals.get(row["id"], {}),
            category=_category(row["doc"], known),
        )
        shown.append(tier)
    return shown


async def promotion_stacks(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show promotion stacks with their categories."""
    known = await _categories(connection, project_id, [row["doc"] for row in rows])
    return [public.promotion_stack(row["doc"], _category(row["doc"], known)) for row in rows]


async def _categories(
    connection: Connection, project_id: str, docs: Sequence[JsonObject | None]
) -> dict[str, JsonObject]:
    """Return the categories that states name."""
    named = {doc["category_id"] for doc in docs if doc and doc.get("category_id")}
    return await queries.categories(connection, project_id, sorted(named))


def _category(doc: JsonObject | None, known: Mapping[str, JsonObject]) -> JsonObject | None:
    found = known.get((doc or {}).get("category_id") or "")
    return public.category(found) if found is not None else None


def _campaign(
    row: Mapping[str, Any], assigned: Sequence[JsonObject], category: JsonObject | None
) -> JsonObject:
    state = {
        **row["doc"],
        "vouchers_count": row["vouchers_count"] or 0,
        "vouchers_generation_status": row["generation_status"] or "DONE",
    }
    return public.campaign(state, [public.assignment(one) for one in assigned], category)


async def vouchers(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show vouchers: what they inherit, their balances, their rules."""
    ids = [row["id"] for row in rows]
    campaign_ids = {row["campaign_id"] for row in rows if row["campaign_id"]}
    campaigns_by_id = await queries.campaigns(connection, project_id, list(campaign_ids))
    balances = await queries.balances(connection, project_id, ids)
    assigned = await queries.assignments_of(connection, project_id, ids)
    docs = [_definition(row, campaigns_by_id.get(row["campaign_id"])) for row in rows]
    known = await _categories(connection, project_id, docs)
    return [
        _voucher(
            row,
            campaigns_by_id.get(row["campaign_id"]),
            balances,
            assigned,
            _category(definition, known),
        )
        for row, definition in zip(rows, docs, strict=True)
    ]


def _definition(row: Record, campaign: Record | None) -> JsonObject:
    """Return what the voucher is: its own definition, or its campaign's template and category."""
    doc: JsonObject = (campaign["doc"] if campaign is not None else None) or {}
    found: JsonObject = row["definition"] or doc.get("voucher") or {"type": "DISCOUNT_VOUCHER"}
    category_id = found.get("category_id") or doc.get("category_id")
    return {**found, "category_id": category_id} if category_id else found


def _voucher(
    row: Record,
    campaign: Record | None,
    balances: Mapping[str, JsonObject],
    assigned: Mapping[str, Sequence[JsonObject]],
    category: JsonObject | None,
) -> JsonObject:
    doc = (campaign["doc"] if campaign is not None else None) or {}
    definition = _definition(row, campaign)
    state = {
        "id": row["id"],
        "code": row["code"],
        "campaign_id": row["campaign_id"],
        "active": row["active"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }
    return public.voucher(
        state,
        definition,
        campaign_name=doc.get("name"),
        balances=balances.get(row["id"], {}),
        assignments=[public.assignment(one) for one in assigned.get(row["id"], [])],
        category=category,
    )


async def customers(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show customers."""
    totals = await queries.customer_totals(connection, project_id, [row["id"] for row in rows])
    return [public.customer(row["doc"], dict(totals.get(row["id"]) or {})) for row in rows]


async def customer_of(connection: Connection, project_id: str, snapshot: JsonObject) -> JsonObject:
    """Show the customer that a snapshot names as it is now; one of whom nothing is known, as named."""
    found = await queries.customers(connection, project_id, [snapshot["id"]])
    shown = await customers(connection, project_id, found)
    return public.complete_customer(shown[0] if shown else public.customer_reference(snapshot))


async def publications(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show publications with their customers and single vouchers as they are now."""
    customer_ids = [row["customer_id"] for row in rows if row["customer_id"]]
    found = await queries.customers(connection, project_id, customer_ids)
    shown = await customers(connection, project_id, found)
    known = {one["id"]: one for one in shown}
    single = [row["doc"]["vouchers"][0]["id"] for row in rows if _is_single(row["doc"])]
    rendered = await vouchers(
        connection, project_id, await queries.vouchers(connection, project_id, single)
    )
    by_id = {one["id"]: one for one in rendered}
    return [_publication(project_id, row, known, by_id) for row in rows]


def _is_single(doc: JsonObject) -> bool:
    return len(doc.get("vouchers") or []) == 1


def _publication(
    project_id: str,
    row: Record,
    known: Mapping[str, JsonObject],
    rendered: Mapping[str, JsonObject],
) -> JsonObject:
    doc = row["doc"]
    snapshot = public.customer_reference(doc["customer"]) or {}
    voucher = rendered.get(doc["vouchers"][0]["id"]) if _is_single(doc) else None
    customer = known.get(row["customer_id"], snapshot)
    return public.publication_entry(project_id, doc, row["error"], customer, voucher)


def order(row: Record) -> JsonObject:
    """Show an order."""
    return public.order(shown(dict(row)))


async def redemptions(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show redemptions and rollbacks with what they lead to."""
    parents = [row["id"] for row in rows if row["related_object_type"] == "redemption"]
    children = await queries.children(connection, project_id, parents)
    return [_redemption(row, children.get(row["id"], [])) for row in rows]


def _redemption(row: Record, children: Sequence[Record]) -> JsonObject:
    shown: JsonObject = dict(row["doc"])
    related: JsonObject = {}
    if row["rollback_id"] is not None:
        shown["status"] = "ROLLED_BACK"
        related["rollbacks"] = [
            {"id": row["rollback_id"], "date": public.instant(row["rolled_back_at"])}
        ]
    if children:
        related["redemptions"] = [
            {"id": one["id"], "date": public.instant(one["date"])} for one in children
        ]
    if related and shown["object"] == "redemption":
        shown["related_redemptions"] = related
    return shown


def async_action(row: Record, *, with_result: bool) -> JsonObject:
    """Show an asynchronous action; lists leave the results out."""
    took = None
    if row["updated_at"] is not None and row["status"] != "IN_PROGRESS":
        took = int((row["updated_at"] - row["created_at"]).total_seconds() * 1000)
    return public.async_action({**dict(row), "processing_time": took}, with_result=with_result)


async def validation_rules(
    connection: Connection, project_id: str, rows: Sequence[Record]
) -> list[JsonObject]:
    """Show validation rules."""
    uses = await queries.rule_uses(connection, project_id, [row["id"] for row in rows])
    return [public.validation_rule(row["doc"], uses.get(row["id"], 0)) for row in rows]


def delivery(row: Record) -> JsonObject:
    """Show a webhook's delivery with its attempts (Tessera's own operation)."""
    return {
        "id": row["id"],
        "object": "webhook_delivery",
        "webhook_id": row["endpoint_id"],
        "event": row["event_type"],
        "status": row["status"],
        "attempts": row["attempts"],
        "updated_at": public.instant(row["updated_at"]),
    }
