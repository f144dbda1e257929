"""What each statement of the runtime and of the ledger does, in Python: one function a statement.

A statement is found by words that only it has. The tables of projections need none of their own: their
four statements are made from the table's columns, here as there.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from runtime.read_model import Projection, Table
from tests.sim.store import Connection, Row, Transaction

Function = Callable[..., Awaitable[list[Row] | None]]
_BY_WORDS: dict[str, Function] = {}


def statement(words: str) -> Callable[[Function], Function]:
    """Register the function of the statement that has these words."""

    def register(function: Function) -> Function:
        _BY_WORDS[words] = function
        return function

    return register


class UnknownStatement(BaseException):
    """No handler of faults may take this for one of them."""


class Statements:
    """Finds the function of a statement by its text."""

    def __init__(self, schema: str = "", *projections: Projection) -> None:
        self._known: dict[str, Function] = {}
        for projection in projections:
            for table in projection.tables.values():
                self._known.update(_of_table(table, schema))

    def find(self, sql: str) -> Function:
        """Return the function; a statement that is unknown, or might be two, stops the run."""
        if sql not in self._known:
            text = " ".join(sql.split())
            # A caret stands for the beginning, as text cannot.
            found = [one for words, one in _BY_WORDS.items() if words in f"^{text}"]
            if len(found) != 1:
                message = f"the simulation has {len(found)} functions for: {text}"
                raise UnknownStatement(message)
            self._known[sql] = found[0]
        return self._known[sql]


# -- the log ---------------------------------------------------------------------------------------

EVENT_COLUMNS = (
    "project_id",
    "stream_id",
    "stream_version",
    "event_id",
    "type",
    "topic",
    "partition",
    "data",
    "hash",
    "occurred_at",
    "correlation_id",
    "causation_id",
)


@statement("SELECT rule_id FROM assigned_rules")
async def rules_of(_: Connection, __: Transaction, *___: Any) -> list[Row]:
    """Return nothing: no rule is assigned in the simulation."""
    return []


@statement("INSERT INTO events (")
async def append_events(_: Connection, tx: Transaction, lock: int, *columns: Any) -> list[Row]:
    await tx.lock("advisory", lock)
    positions = []
    for values in zip(*columns, strict=True):
        position = tx.schema.next("position")
        row = dict(zip(EVENT_COLUMNS, values, strict=True)) | {"position": position}
        await tx.insert("events", values[:3], row)
        positions.append({"position": position})
    return positions


@statement("SELECT * FROM events WHERE position > $1 ORDER BY position LIMIT $2")
async def read_after(_: Connection, tx: Transaction, position: int, limit: int) -> list[Row]:
    return tx.log_after(position)[:limit]


@statement("^SELECT e.project_id, e.stream_id, e.partition, e.position")
async def places_of(_: Connection, tx: Transaction, *columns: Any) -> list[Row]:
    rows = [tx.get("events", key) for key in zip(*columns, strict=True)]
    names = ("project_id", "stream_id", "partition", "position")
    return [{name: row[name] for name in names} for row in rows if row is not None]


@statement(".events ORDER BY position")
async def read_log(_: Connection, tx: Transaction) -> list[Row]:
    return _log(tx)


def _log(tx: Transaction) -> list[Row]:
    return tx.log_after(0)


@statement("FROM unnest($1::text[], $2::text[]) AS k(project_id, stream_id) JOIN aggregates")
async def load_aggregates(
    _: Connection, tx: Transaction, projects: list[str], ids: list[str]
) -> list[Row]:
    rows = [tx.get("aggregates", key) for key in zip(projects, ids, strict=True)]
    return [row for row in rows if row is not None]


@statement(".aggregates")
async def read_aggregates(_: Connection, tx: Transaction) -> list[Row]:
    return [row for _, row in tx.scan("aggregates")]


@statement("INSERT INTO aggregates (")
async def store_aggregates(_: Connection, tx: Transaction, *columns: Any) -> None:
    names = ("project_id", "stream_id", "version", "hash", "state")
    for values in zip(*columns, strict=True):
        await tx.lock("aggregates", *values[:2])
        tx.put("aggregates", values[:2], dict(zip(names, values, strict=True)))


# -- the inbox -------------------------------------------------------------------------------------


@statement("JOIN idempotency_records r")
async def known_replies(
    _: Connection, tx: Transaction, projects: list[str], keys: list[str]
) -> list[Row]:
    rows = [tx.get("idempotency_records", key) for key in zip(projects, keys, strict=True)]
    return [row for row in rows if row is not None]


@statement("INSERT INTO idempotency_records (")
async def store_replies(_: Connection, tx: Transaction, *columns: Any) -> None:
    names = ("project_id", "key", "fingerprint", "reply", "created_at")
    for values in zip(*columns, strict=True):
        row = dict(zip(names, values, strict=True))
        await tx.insert("idempotency_records", values[:2], row)


@statement("UPDATE consumer_offsets o")
async def advance(_: Connection, tx: Transaction, consumer: str, *columns: Any) -> list[Row]:
    rows = []
    for topic, partition, next_offset, position in zip(*columns, strict=True):
        key = (consumer, topic, partition)
        await tx.lock("consumer_offsets", *key)
        before = tx.get("consumer_offsets", key)
        if before is None:
            continue
        row = before | {
            "next_offset": max(before["next_offset"], next_offset),
            "previous_offset": before["next_offset"],
            "position": max(before["position"], position),
            "previous_position": before["position"],
        }
        tx.put("consumer_offsets", key, row)
        rows.append(row)
    return rows


@statement("INSERT INTO consumer_offsets (")
async def start_offsets(_: Connection, tx: Transaction, consumer: str, *columns: Any) -> None:
    for topic, partition in zip(*columns, strict=True):
        key = (consumer, topic, partition)
        await tx.lock("consumer_offsets", *key)
        if tx.get("consumer_offsets", key) is None:
            row: Row = {"consumer": consumer, "topic": topic, "partition": partition}
            names = ("next_offset", "previous_offset", "position", "previous_position")
            tx.put("consumer_offsets", key, row | dict.fromkeys(names, 0))


@statement("JOIN consumer_offsets o ON")
async def read_offsets(_: Connection, tx: Transaction, consumer: str, *columns: Any) -> list[Row]:
    rows = [tx.get("consumer_offsets", (consumer, *place)) for place in zip(*columns, strict=True)]
    return [row for row in rows if row is not None]


@statement("CROSS JOIN LATERAL ( SELECT d.id FROM dead_letters")
async def held_streams(
    _: Connection, tx: Transaction, consumer: str, projects: list[str], streams: list[str]
) -> list[Row]:
    wanted = set(zip(projects, streams, strict=True))
    found: dict[tuple[str, str], int] = {}
    for _key, row in tx.scan("dead_letters"):
        stream = (row["project_id"], row["stream_id"])
        if row["consumer"] == consumer and stream in wanted:
            found[stream] = max(found.get(stream, 0), row["id"])
    for letter in sorted(found.values()):
        await tx.lock("dead_letters", letter)
    return [{"project_id": one[0], "stream_id": one[1]} for one in sorted(found)]


@statement("INSERT INTO dead_letters (")
async def store_dead(_: Connection, tx: Transaction, *values: Any) -> None:
    names = (
        "project_id",
        "consumer",
        "topic",
        "partition",
        "record_offset",
        "stream_id",
        "status",
        "reason",
        "key",
        "headers",
        "value",
        "stored_at",
    )
    letter = tx.schema.next("dead_letters")
    row = dict(zip(names, values, strict=True)) | {"id": letter}
    await tx.insert("dead_letters", (letter,), row)


# -- the relay -------------------------------------------------------------------------------------


@statement("SELECT pg_try_advisory_lock(")
async def elect(connection: Connection, _: Transaction, lock: int) -> list[Row]:
    name = ("advisory", lock)
    is_free = connection.session.is_free(*name)
    if is_free:
        await connection.session.lock(*name)
    return [{"pg_try_advisory_lock": is_free}]


@statement("SELECT pg_notify($1, '')")
async def notify(connection: Connection, _: Transaction, channel: str) -> None:
    for listener, heard, callback in list(connection.schema.listeners):
        if heard == channel:
            callback(listener, 0, channel, "")


@statement("^SET ")
async def set_option(_: Connection, __: Transaction) -> None:
    return None


@statement("SELECT position, published FROM relay_cursor")
async def read_cursor(_: Connection, tx: Transaction) -> list[Row]:
    row = tx.get("relay_cursor", (True,))
    assert row is not None
    return [row]


@statement("SELECT topic, partition, max(position) AS position FROM events")
async def published_up_to(_: Connection, tx: Transaction, position: int) -> list[Row]:
    newest: dict[tuple[str, int], int] = {}
    for row in _log(tx):
        if row["position"] <= position:
            newest[row["topic"], row["partition"]] = row["position"]
    return [{"topic": t, "partition": n, "position": at} for (t, n), at in newest.items()]


@statement("UPDATE relay_cursor SET position")
async def save_cursor(
    _: Connection, tx: Transaction, position: int, published: dict[str, int]
) -> None:
    await tx.lock("relay_cursor", True)
    tx.put("relay_cursor", (True,), {"position": position, "published": published})


@statement(".relay_cursor c WHERE e.position > c.position")
async def count_unpublished(_: Connection, tx: Transaction) -> list[Row]:
    cursor = tx.get("relay_cursor", (True,))
    assert cursor is not None
    return [{"count": len(tx.log_after(cursor["position"]))}]


@statement("^SELECT count(*) FROM ledger.dead_letters")
@statement("^SELECT count(*) FROM campaigns.dead_letters")
@statement("^SELECT count(*) FROM customers.dead_letters")
@statement("^SELECT count(*) FROM webhooks.dead_letters")
async def count_dead(_: Connection, tx: Transaction) -> list[Row]:
    return [{"count": len(tx.scan("dead_letters"))}]


# -- the ledger ------------------------------------------------------------------------------------

ACCOUNT_COLUMNS = (
    "project_id",
    "account",
    "unit",
    "limit_amount",
    "limit_version",
    "adjusted",
    "used",
    "held",
    "last_fact",
)


@statement("FOR UPDATE OF a")
async def lock_accounts(
    _: Connection, tx: Transaction, projects: list[str], names: list[str]
) -> list[Row]:
    rows = []
    for key in sorted(zip(projects, names, strict=True)):
        if tx.get("accounts", key) is None:
            continue
        await tx.lock("accounts", *key)
        row = tx.get("accounts", key)
        if row is not None:
            rows.append({name: row[name] for name in ACCOUNT_COLUMNS})
    return rows


@statement("UPDATE accounts a")
async def store_accounts(_: Connection, tx: Transaction, *columns: Any) -> None:
    for *values, is_new in zip(*columns, strict=True):
        key = tuple(values[:2])
        row = dict(zip(ACCOUNT_COLUMNS, values, strict=True))
        if is_new:
            await tx.insert("accounts", key, _checked(row))
            continue
        await tx.lock("accounts", *key)
        before = tx.get("accounts", key)
        if before is not None:
            tx.put("accounts", key, _checked(before | row | {"unit": before["unit"]}))


def _checked(row: Row) -> Row:
    if row["used"] < 0 or row["held"] < 0:
        raise asyncpg.CheckViolationError("accounts_used_check")
    limit = row["limit_amount"]
    if limit is not None and limit + row["adjusted"] - row["used"] - row["held"] < 0:
        raise asyncpg.CheckViolationError("never_over")
    return row


@statement("SELECT * FROM accounts")
async def read_accounts(_: Connection, tx: Transaction) -> list[Row]:
    return [row for _, row in tx.scan("accounts")]


@statement("SELECT k.project_id, k.id, e.type, e.hash, e.data")
async def read_redemptions(
    _: Connection, tx: Transaction, projects: list[str], ids: list[str]
) -> list[Row]:
    return _of_redemptions(tx, projects, ids, 1)


@statement("AND e.stream_version = 2")
async def read_rolled_back(
    _: Connection, tx: Transaction, projects: list[str], ids: list[str]
) -> list[Row]:
    return _of_redemptions(tx, projects, ids, 2)


def _of_redemptions(
    tx: Transaction, projects: list[str], ids: list[str], version: int
) -> list[Row]:
    rows = []
    for project_id, name in zip(projects, ids, strict=True):
        row = tx.get("events", (project_id, f"redemption-{name}", version))
        if row is not None:
            told = {column: row[column] for column in ("type", "hash", "data")}
            rows.append({"project_id": project_id, "id": name} | told)
    return rows


@statement("JOIN redemption_children c")
async def read_parents(
    _: Connection, tx: Transaction, projects: list[str], ids: list[str]
) -> list[Row]:
    rows = [tx.get("redemption_children", key) for key in zip(projects, ids, strict=True)]
    return [row for row in rows if row is not None]


@statement("SELECT * FROM redemption_children")
async def all_parents(_: Connection, tx: Transaction) -> list[Row]:
    return [row for _, row in tx.scan("redemption_children")]


@statement("INSERT INTO redemption_children (")
async def store_children(_: Connection, tx: Transaction, *columns: Any) -> None:
    for values in zip(*columns, strict=True):
        row = dict(zip(("project_id", "child_id", "parent_id"), values, strict=True))
        await tx.insert("redemption_children", values[:2], row)


@statement("e.data -> 'order' AS order")
async def read_orders(_: Connection, tx: Transaction, *columns: Any) -> list[Row]:
    rows = []
    for project_id, order_id, stream, version in zip(*columns, strict=True):
        row = tx.get("events", (project_id, stream, version))
        if row is not None:
            order = orjson.dumps(orjson.loads(row["data"])["order"]).decode()
            rows.append({"project_id": project_id, "order_id": order_id, "order": order})
    return rows


HOLD_COLUMNS = (
    "project_id",
    "session_key",
    "postings",
    "expires_at",
    "order_id",
    "stream_version",
    "hash",
)


@statement("SELECT pg_advisory_xact_lock($3, hashtext(k.project_id")
async def lock_session_names(
    _: Connection, tx: Transaction, projects: list[str], keys: list[str], lock: int
) -> None:
    for key in zip(projects, keys, strict=True):
        await tx.lock("advisory", lock, *key)


@statement("FOR UPDATE OF h")
async def lock_holds(
    _: Connection, tx: Transaction, projects: list[str], keys: list[str]
) -> list[Row]:
    rows = []
    for key in sorted(zip(projects, keys, strict=True)):
        if tx.get("holds", key) is None:
            continue
        await tx.lock("holds", *key)
        row = tx.get("holds", key)
        if row is not None:
            rows.append(row)
    return rows


@statement("JOIN holds h ON h.project_id")
async def sessions_of_orders(
    _: Connection, tx: Transaction, projects: list[str], orders: list[str]
) -> list[Row]:
    wanted = set(zip(projects, orders, strict=True))
    return [
        row
        for _, row in tx.scan("holds")
        if (row["project_id"], row["order_id"]) in wanted and row["postings"]
    ]


@statement("FOR UPDATE SKIP LOCKED")
async def due_holds(_: Connection, tx: Transaction, now: Any, limit: int) -> list[Row]:
    due = [
        (row["expires_at"], key)
        for key, row in tx.scan("holds")
        if row["postings"] and row["expires_at"] <= now and tx.is_free("holds", *key)
    ]
    rows = []
    for _, key in sorted(due)[:limit]:
        await tx.lock("holds", *key)
        rows.append({"project_id": key[0], "session_key": key[1]})
    return rows


@statement("INSERT INTO holds (")
async def store_holds(_: Connection, tx: Transaction, *columns: Any) -> None:
    for values in zip(*columns, strict=True):
        await tx.lock("holds", *values[:2])
        row = dict(zip(HOLD_COLUMNS, values, strict=True))
        tx.put("holds", values[:2], row | {"postings": orjson.loads(row["postings"])})


@statement("SELECT * FROM holds")
async def read_holds(_: Connection, tx: Transaction) -> list[Row]:
    return [row for _, row in tx.scan("holds")]


# -- campaigns -------------------------------------------------------------------------------------


@statement("^WITH listed AS ( INSERT INTO codes")
async def insert_codes(
    _: Connection,
    tx: Transaction,
    project_id: str,
    voucher_ids: list[str],
    codes: list[str],
    *rest: Any,
) -> list[Row]:
    campaign_id, action_id, now, wanted = rest
    listed = []
    for voucher_id, code in zip(voucher_ids, codes, strict=True):
        key = (project_id, voucher_id)
        await tx.lock("codes", *key)
        if tx.get("codes", key) is None:
            row = {"code": code, "voucher_id": voucher_id, "campaign_id": campaign_id}
            tx.put("codes", key, row | {"action_id": action_id, "created_at": now})
            listed.append(code)
    return [{"count": len(listed), "codes": (listed or None) if len(listed) < wanted else None}]


@statement("SELECT c.code, c.voucher_id, c.campaign_id, c.created_at, j.definition")
async def find_code(
    _: Connection, tx: Transaction, project_id: str, derived: str, named: str
) -> list[Row]:
    rows = [tx.get("codes", (project_id, one)) for one in (derived, named)]
    # Generated codes would have a definition of their generation; here nobody generates.
    return [row | {"definition": None} for row in rows if row is not None][:1]


# -- the engine's replica --------------------------------------------------------------------------


@statement("SELECT topic, partition, min(position) AS position FROM consumer_offsets")
async def stored_positions(
    _: Connection, tx: Transaction, consumers: list[str], topics: list[str]
) -> list[Row]:
    least: dict[tuple[str, int], int] = {}
    for _key, row in tx.scan("consumer_offsets"):
        if row["consumer"] in consumers and row["topic"] in topics:
            place = (row["topic"], row["partition"])
            least[place] = min(row["position"], least.get(place, row["position"]))
    return [{"topic": t, "partition": n, "position": at} for (t, n), at in least.items()]


@statement("SELECT 'voucher' AS kind")
async def known_facts(connection: Connection, tx: Transaction, *columns: list[str]) -> list[Row]:
    vouchers, accounts, (projects,) = columns[:2], columns[2:4], columns[4:5]
    pairs = [list(zip(columns[at], columns[at + 1], strict=True)) for at in range(5, 13, 2)]
    customers, tracked, catalogue, orders = pairs
    if customers or tracked or catalogue:
        message = "the simulation's shop has neither customers nor products"
        raise UnknownStatement(message)
    found = [
        _fact("voucher", row["project_id"], row["id"], row | _texts(row))
        for row in _vouchers(tx, *vouchers)
    ]
    for row in await seen_accounts(connection, tx, *accounts):
        doc = {name: row[name] for name in ("used", "adjusted", "held")}
        found.append(_fact("account", row["project_id"], row["account"], doc))
    names = ("timezone", "stacking_rules", "first_day_of_week")
    for project_id in dict.fromkeys(projects):
        row = tx.get("projects", (project_id,))
        if row is not None:
            found.append(_fact("project", project_id, "", {name: row[name] for name in names}))
    for key in orders:
        row = tx.get("orders", key)
        if row is not None:
            doc = {"sent": row["sent"], "redeemed": row["redeemed"]}
            found.append(_fact("order", *key, doc | {"version": row["redeemed_version"]}))
    return found


def _texts(row: Row) -> Row:
    """Return the instants of a row as JSON has them."""
    return {name: value.isoformat() for name, value in row.items() if isinstance(value, datetime)}


def _fact(kind: str, project_id: str, name: str, doc: Row) -> Row:
    return {"kind": kind, "project_id": project_id, "id": name, "doc": doc}


def _vouchers(tx: Transaction, projects: list[str], ids: list[str]) -> list[Row]:
    if any(row["rule_id"] for _key, row in tx.scan("assignments")):
        message = "the simulation's shop has no validation rules"
        raise UnknownStatement(message)
    rows = []
    for project_id, name in zip(projects, ids, strict=True):
        row = tx.get("vouchers", (project_id, name))
        if row is not None:
            campaign = tx.get("campaigns", (project_id, row["campaign_id"] or ""))
            version = campaign and campaign["version"]
            rules = {"rules": [], "rules_version": None}
            rows.append(row | {"campaign_version": version} | rules)
    return rows


@statement("JOIN campaigns t ON t.project_id")
async def read_campaigns(
    _: Connection, tx: Transaction, projects: list[str], ids: list[str]
) -> list[Row]:
    return _of_columns(tx, "campaigns", projects, ids)


@statement("SELECT t.project_id, t.account, t.used, t.adjusted, t.held")
async def seen_accounts(
    _: Connection, tx: Transaction, projects: list[str], names: list[str]
) -> list[Row]:
    return _of_columns(tx, "accounts", projects, names)


@statement("SELECT t.project_id, t.session_key, t.amounts")
async def seen_holds(
    _: Connection, tx: Transaction, projects: list[str], keys: list[str]
) -> list[Row]:
    return _of_columns(tx, "holds", projects, keys)


def _of_columns(tx: Transaction, table: str, projects: list[str], names: list[str]) -> list[Row]:
    rows = [tx.get(table, key) for key in zip(projects, names, strict=True)]
    return [row for row in rows if row is not None]


# -- read models -----------------------------------------------------------------------------------


def _of_table(table: Table, schema: str) -> dict[str, Function]:
    name, width = table.name, len(table.key)

    def row_of(values: tuple[Any, ...]) -> Row:
        return {
            column: orjson.loads(value) if kind == "jsonb" and value is not None else value
            for (column, kind), value in zip(table.all_columns.items(), values, strict=True)
        }

    async def select_rows(_: Connection, tx: Transaction, *columns: Any) -> list[Row]:
        rows = []
        for key in zip(*columns, strict=True):
            if tx.get(name, key) is not None:
                await tx.lock(name, *key)
                row = tx.get(name, key)
                rows += [row] if row is not None else []
        return rows

    async def insert_rows(_: Connection, tx: Transaction, *columns: Any) -> None:
        for values in zip(*columns, strict=True):
            await tx.insert(name, values[:width], row_of(values))

    async def upsert_rows(_: Connection, tx: Transaction, *columns: Any) -> None:
        for values in zip(*columns, strict=True):
            await tx.lock(name, *values[:width])
            tx.put(name, values[:width], row_of(values))

    async def delete_rows(_: Connection, tx: Transaction, *columns: Any) -> None:
        for key in zip(*columns, strict=True):
            await tx.lock(name, *key)
            tx.put(name, key, None)

    async def all_rows(_: Connection, tx: Transaction) -> list[Row]:
        return [row for _, row in tx.scan(name)]

    everything = f"SELECT {', '.join(table.all_columns)} FROM {schema}.{name}"
    return {
        everything: all_rows,
        table.select_sql: select_rows,
        table.insert_sql: insert_rows,
        table.upsert_sql: upsert_rows,
        table.delete_sql: delete_rows,
    }
