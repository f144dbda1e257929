"""What each statement of those services does that read others' events: the gateway, customers, webhooks."""

from collections.abc import Sequence
from typing import Any

import orjson

from tests.sim.statements import Statements, UnknownStatement, statement
from tests.sim.store import Connection, Row, Transaction

__all__ = ["Statements"]
"""Those of all services, once this module is there."""

# -- the gateway -----------------------------------------------------------------------------------


@statement("^SELECT * FROM orders WHERE project_id = $1 AND (id = $2 OR source_id = $2)")
async def find_order(_: Connection, tx: Transaction, project_id: str, name: str) -> list[Row]:
    rows = [row for (project, _id), row in tx.scan("orders") if project == project_id]
    named = [row for row in rows if name in (row["id"], row["source_id"])]
    return sorted(named, key=lambda row: row["id"] != name)[:1]


@statement("^SELECT * FROM redemptions WHERE project_id = $1 AND id = $2")
async def find_redemption(_: Connection, tx: Transaction, project_id: str, name: str) -> list[Row]:
    row = tx.get("redemptions", (project_id, name))
    return [] if row is None else [row]


@statement("^SELECT id, parent_id, date FROM redemptions")
async def find_children(
    _: Connection, tx: Transaction, project_id: str, parents: list[str]
) -> list[Row]:
    rows = [
        {name: row[name] for name in ("id", "parent_id", "date")}
        for (project, _id), row in tx.scan("redemptions")
        if project == project_id and row["parent_id"] in parents
    ]
    return sorted(rows, key=lambda row: (row["date"], row["id"]))


@statement("^SELECT * FROM vouchers WHERE project_id = $1 AND id IN ($2, $3)")
async def find_voucher(
    _: Connection, tx: Transaction, project_id: str, derived: str, named: str
) -> list[Row]:
    rows = [tx.get("vouchers", (project_id, one)) for one in (derived, named)]
    return [row for row in rows if row is not None][:1]


@statement("^SELECT * FROM campaigns WHERE project_id = $1 AND id = ANY($2)")
async def find_campaigns(
    _: Connection, tx: Transaction, project_id: str, ids: list[str]
) -> list[Row]:
    return _by_ids(tx, "campaigns", project_id, ids)


@statement("AS redeemed_quantity, c.used AS redeemed_amount")
async def find_balances(
    _: Connection, tx: Transaction, project_id: str, ids: list[str]
) -> list[Row]:
    rows = []
    for one in ids:
        uses = tx.get("accounts", (project_id, f"uses/{one}")) or {}
        card = tx.get("accounts", (project_id, f"credits/{one}")) or {}
        holder = tx.get("voucher_holders", (project_id, one)) or {}
        rows.append(
            {
                "id": one,
                "redeemed_quantity": uses.get("used"),
                "redeemed_amount": card.get("used"),
                "balance": card.get("available"),
                "adjusted": card.get("adjusted"),
                "holder_id": holder.get("holder_id"),
                "publish_count": holder.get("publish_count"),
            }
        )
    return rows


@statement("^SELECT related_object_id, doc FROM assignments")
async def find_assignments(
    _: Connection, tx: Transaction, project_id: str, ids: list[str]
) -> list[Row]:
    found = [
        row
        for (project, _id), row in tx.scan("assignments")
        if project == project_id and row["related_object_id"] in ids
    ]
    found.sort(key=lambda row: (row["created_at"], row["id"]))
    return [{name: row[name] for name in ("related_object_id", "doc")} for row in found]


def _by_ids(tx: Transaction, table: str, project_id: str, ids: Sequence[str]) -> list[Row]:
    rows = [tx.get(table, (project_id, one)) for one in dict.fromkeys(ids)]
    return [row for row in rows if row is not None]


# -- customers -------------------------------------------------------------------------------------


@statement("^SELECT CASE WHEN is_exclusive THEN pg_advisory_xact_lock(")
async def lock_segments(
    _: Connection, __: Transaction, ___: int, ____: list[str], exclusive: list[bool]
) -> None:
    # Those who share a lock do not wait for each other, and nobody makes segments here.
    if any(exclusive):
        message = "the simulation's shop has no segments"
        raise UnknownStatement(message)


@statement("^SELECT project_id, segment FROM dynamic_segments WHERE project_id = ANY")
async def dynamic_segments(_: Connection, tx: Transaction, ___: list[str]) -> list[Row]:
    assert not tx.scan("dynamic_segments"), "the simulation's shop has no segments"
    return []


# -- webhooks --------------------------------------------------------------------------------------


@statement("^SELECT count(*) FROM endpoints WHERE project_id = $1")
async def count_endpoints(_: Connection, tx: Transaction, project_id: str) -> list[Row]:
    return [{"count": sum(key[0] == project_id for key, _row in tx.scan("endpoints"))}]


@statement("INSERT INTO endpoints")
async def keep_endpoint(_: Connection, tx: Transaction, *values: Any) -> None:
    names = ("project_id", "endpoint_id", "target_url", "events", "secret", "active")
    await tx.lock("endpoints", *values[:2])
    row = dict(zip((*names, "replaced_secrets"), values, strict=True))
    tx.put("endpoints", values[:2], row)


@statement("^SELECT project_id, endpoint_id, events FROM endpoints")
async def active_endpoints(_: Connection, tx: Transaction, projects: list[str]) -> list[Row]:
    rows = [row for _key, row in tx.scan("endpoints") if row["active"]]
    rows = [row for row in rows if row["project_id"] in projects]
    names = ("project_id", "endpoint_id", "events")
    told = [{name: row[name] for name in names} for row in rows]
    return sorted(told, key=lambda row: (row["project_id"], row["endpoint_id"]))


@statement("^SELECT pg_notify($1, key)")
async def notify_lanes(_: Connection, __: Transaction, ___: str, ____: list[str]) -> None:
    # What is sent, and to whom, is not simulated: nobody listens.
    return None


@statement("JOIN known n USING (project_id, id)")
async def known_documents(
    _: Connection, tx: Transaction, projects: list[str], ids: list[str]
) -> list[Row]:
    rows = [tx.get("known", key) for key in zip(projects, ids, strict=True)]
    return [row for row in rows if row is not None]


@statement("INSERT INTO known (project_id, id, doc)")
async def keep_known(_: Connection, tx: Transaction, *columns: Any) -> None:
    for project_id, name, doc in zip(*columns, strict=True):
        await tx.lock("known", project_id, name)
        row = {"project_id": project_id, "id": name, "doc": orjson.loads(doc)}
        tx.put("known", (project_id, name), row)


@statement("INSERT INTO hooks (")
async def keep_hooks(_: Connection, tx: Transaction, *columns: Any) -> None:
    *lists, now = columns
    names = ("project_id", "hook_id", "name", "event_id", "body")
    for values in zip(*lists, strict=True):
        row = dict(zip(names, values, strict=True)) | {"created_at": now}
        await _insert_new(tx, "hooks", values[:2], row | {"body": orjson.loads(row["body"])})


@statement("INSERT INTO deliveries (")
async def keep_deliveries(_: Connection, tx: Transaction, *columns: Any) -> None:
    *lists, now = columns
    names = ("project_id", "delivery_id", "endpoint_id", "hook_id", "correlation_id")
    for values in zip(*lists, strict=True):
        row = dict(zip(names, values, strict=True))
        row |= {"status": "pending", "due_at": now, "attempts": 0}
        await _insert_new(tx, "deliveries", values[:2], row)


@statement("^SELECT count(*) FROM deliveries")
async def count_deliveries(_: Connection, tx: Transaction) -> list[Row]:
    return [{"count": len(tx.scan("deliveries"))}]


async def _insert_new(tx: Transaction, table: str, key: tuple[Any, ...], row: Row) -> None:
    """Insert; ON CONFLICT DO NOTHING."""
    await tx.lock(table, *key)
    if tx.get(table, key) is None:
        tx.put(table, key, row)
