"""SELECTs of the API's read models, and the gateway's own small tables.

Lists are put together from fixed pieces: every name in them is one of ours, every value is bound.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from contracts import ids as derived
from contracts.errors import JsonObject
from gateway import limits
from runtime.database import Connection

Record = asyncpg.Record


# -- keys ----------------------------------------------------------------------------------------


async def find_key(connection: Connection, app_id: str) -> Record | None:
    """Return an API key that is not revoked, with the settings of its project as they are now."""
    return await connection.fetchrow(
        """
        SELECT k.app_id, k.project_id, k.key_id, k.kind, k.token_hash, a.state -> 'settings' AS settings
        FROM api_keys k
        LEFT JOIN aggregates a ON a.project_id = k.project_id AND a.stream_id = 'project-' || k.project_id
        WHERE k.app_id = $1 AND NOT k.is_revoked
        """,
        app_id,
    )


async def insert_key(connection: Connection, *values: Any) -> None:
    """Keep a key: app id, project, key id, kind, hash, time; harmless if it is there."""
    await connection.execute(
        """
        INSERT INTO api_keys (app_id, project_id, key_id, kind, token_hash, issued_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (app_id) DO NOTHING
        """,
        *values,
    )


async def revoke_keys(connection: Connection, project_id: str) -> list[str]:
    """Revoke all keys of a project; returns the ids of those that worked until now."""
    rows = await connection.fetch(
        """
        UPDATE api_keys SET is_revoked = true WHERE project_id = $1 AND NOT is_revoked
        RETURNING key_id
        """,
        project_id,
    )
    return sorted(row["key_id"] for row in rows)


async def stream_end(connection: Connection, project_id: str, stream: str) -> tuple[int, bytes]:
    """Return the version and the hash of a stream's last event."""
    row = await connection.fetchrow(
        """
        SELECT stream_version, hash FROM events WHERE project_id = $1 AND stream_id = $2
        ORDER BY stream_version DESC LIMIT 1
        """,
        project_id,
        stream,
    )
    assert row is not None, f"{stream} has events"
    return row["stream_version"], row["hash"]


async def keys_kept(connection: Connection) -> list[Record]:
    """Return every key, for the audit."""
    return await connection.fetch(
        "SELECT project_id, key_id, app_id, kind, token_hash, is_revoked FROM api_keys"
    )


async def keys_told(connection: Connection) -> list[Record]:
    """Return every key as the log tells of it, for the audit."""
    return await connection.fetch(
        """
        SELECT i.project_id, i.data ->> 'key_id' AS key_id, i.data ->> 'app_id' AS app_id,
               i.data ->> 'kind' AS kind, i.data ->> 'token_hash' AS token_hash,
               r.stream_id IS NOT NULL AS is_revoked
        FROM events i
        LEFT JOIN events r ON r.project_id = i.project_id AND r.stream_id = i.stream_id
          AND r.type = 'gateway.api-key-revoked.v1'
        WHERE i.type = 'gateway.api-key-issued.v1'
        """
    )


async def claim_key(
    connection: Connection, project_id: str, key: str, fingerprint: str, now: datetime
) -> Record:
    """Return the request that the idempotency key belongs to, this one if the key is new.

    Need not survive a crash, so the commit waits for no disk: the service that answers keeps its own
    record in its transaction. One statement, because this stands in every redemption's way.
    """
    row = await connection.fetchrow(
        """
        INSERT INTO idempotency_keys (project_id, key, fingerprint, created_at)
        SELECT $1, $2, $3, $4 FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried
        ON CONFLICT (project_id, key) DO UPDATE SET fingerprint = idempotency_keys.fingerprint
        RETURNING fingerprint, status, answer
        """,
        project_id,
        key,
        fingerprint,
        now,
    )
    assert row is not None, "an upsert returns its row"
    return row


async def keep_answer(
    connection: Connection, project_id: str, key: str, status: int, answer: bytes
) -> None:
    """Keep what a request was answered."""
    await connection.execute(
        """
        UPDATE idempotency_keys SET status = $3, answer = $4
        FROM (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried
        WHERE project_id = $1 AND key = $2 AND status IS NULL
        """,
        project_id,
        key,
        status,
        answer,
    )


async def forget_keys(connection: Connection, before: datetime) -> None:
    """Drop idempotency keys whose time is over."""
    await connection.execute("DELETE FROM idempotency_keys WHERE created_at < $1", before)


# -- one object ----------------------------------------------------------------------------------


async def project(connection: Connection, project_id: str) -> dict[str, Any] | None:
    """Return a project's state."""
    found: dict[str, Any] | None = await connection.fetchval(
        "SELECT doc FROM projects WHERE project_id = $1", project_id
    )
    return found


async def timezone(connection: Connection, project_id: str) -> str:
    """Return the name of the time zone whose days a project counts by."""
    found: str | None = await connection.fetchval(
        "SELECT doc ->> 'timezone' FROM projects WHERE project_id = $1", project_id
    )
    return found or "UTC"


async def projects(
    connection: Connection, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """Return a page of all projects, the oldest first, and how many there are."""
    rows = await connection.fetch(
        "SELECT doc FROM projects ORDER BY created_at, project_id LIMIT $1 OFFSET $2", limit, offset
    )
    total: int = await connection.fetchval("SELECT count(*) FROM projects")
    return [row["doc"] for row in rows], total


async def campaign(connection: Connection, project_id: str, name: str) -> Record | None:
    """Return a campaign by its id or name."""
    return await connection.fetchrow(
        """
        SELECT * FROM campaigns WHERE project_id = $1 AND (id = $2 OR name = $2) AND doc IS NOT NULL
        ORDER BY id = $2 DESC LIMIT 1
        """,
        project_id,
        name,
    )


async def campaigns(
    connection: Connection, project_id: str, ids: Sequence[str]
) -> dict[str, Record]:
    """Return campaigns by id."""
    rows = await connection.fetch(
        "SELECT * FROM campaigns WHERE project_id = $1 AND id = ANY($2)", project_id, list(ids)
    )
    return {row["id"]: row for row in rows}


async def voucher(connection: Connection, project_id: str, code: str) -> Record | None:
    """Return a voucher by its code or id."""
    return await connection.fetchrow(
        """
        SELECT * FROM vouchers WHERE project_id = $1 AND id IN ($2, $3) ORDER BY id = $2 DESC LIMIT 1
        """,
        project_id,
        derived.voucher_id(project_id, code),
        code,
    )


async def vouchers(
    connection: Connection, project_id: str, voucher_ids: Sequence[str]
) -> list[Record]:
    """Return vouchers by their ids."""
    return await connection.fetch(
        "SELECT * FROM vouchers WHERE project_id = $1 AND id = ANY($2)",
        project_id,
        list(voucher_ids),
    )


async def balances(
    connection: Connection, project_id: str, voucher_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return what the ledger and publications say of vouchers."""
    rows = await connection.fetch(
        """
        SELECT v.id, u.used AS redeemed_quantity, c.used AS redeemed_amount, c.available AS balance,
               c.adjusted, h.holder_id, h.publish_count
        FROM unnest($2::text[]) AS v(id)
        LEFT JOIN accounts u ON u.project_id = $1 AND u.account = 'uses/' || v.id
        LEFT JOIN accounts c ON c.project_id = $1 AND c.account = 'credits/' || v.id
        LEFT JOIN voucher_holders h ON h.project_id = $1 AND h.voucher_id = v.id
        """,
        project_id,
        list(voucher_ids),
    )
    return {
        row["id"]: {name: value for name, value in row.items() if value is not None} for row in rows
    }


async def promotion_tiers(
    connection: Connection, project_id: str, tier_ids: Sequence[str]
) -> list[Record]:
    """Return promotion tiers by their ids."""
    return await connection.fetch(
        "SELECT * FROM promotion_tiers WHERE project_id = $1 AND id = ANY($2)",
        project_id,
        list(tier_ids),
    )


async def tiers_of_campaigns(
    connection: Connection, project_id: str, campaign_ids: Sequence[str]
) -> list[Record]:
    """Return the promotion tiers of campaigns, by their hierarchy."""
    return await connection.fetch(
        """
        SELECT * FROM promotion_tiers WHERE project_id = $1 AND campaign_id = ANY($2)
        ORDER BY hierarchy, created_at, id
        """,
        project_id,
        list(campaign_ids),
    )


async def promotion_stacks(
    connection: Connection, project_id: str, stack_ids: Sequence[str]
) -> list[Record]:
    """Return promotion stacks by their ids."""
    return await connection.fetch(
        "SELECT * FROM promotion_stacks WHERE project_id = $1 AND id = ANY($2)",
        project_id,
        list(stack_ids),
    )


async def tier_totals(
    connection: Connection, project_id: str, tier_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return what redemptions of tiers came to."""
    rows = await connection.fetch(
        "SELECT * FROM tier_totals WHERE project_id = $1 AND tier_id = ANY($2)",
        project_id,
        list(tier_ids),
    )
    return {row["tier_id"]: dict(row) for row in rows}


async def categories(
    connection: Connection, project_id: str, category_ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return categories by their ids."""
    if not category_ids:
        return {}
    rows = await connection.fetch(
        "SELECT id, doc FROM categories WHERE project_id = $1 AND id = ANY($2)",
        project_id,
        list(category_ids),
    )
    return {row["id"]: row["doc"] for row in rows}


async def all_categories(connection: Connection, project_id: str) -> list[dict[str, Any]]:
    """Return the project's categories, of which there are not many, by their hierarchy."""
    rows = await connection.fetch(
        "SELECT doc FROM categories WHERE project_id = $1 ORDER BY hierarchy, created_at, id",
        project_id,
    )
    return [row["doc"] for row in rows]


async def assignments_of(
    connection: Connection, project_id: str, object_ids: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Return the validation rules' assignments of objects."""
    rows = await connection.fetch(
        """
        SELECT related_object_id, doc FROM assignments
        WHERE project_id = $1 AND related_object_id = ANY($2) ORDER BY created_at, id
        """,
        project_id,
        list(object_ids),
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["related_object_id"], []).append(row["doc"])
    return found


async def campaign_totals(
    connection: Connection,
    project_id: str,
    campaign_id: str,
    begin: datetime | None,
    end: datetime | None,
) -> dict[str, int]:
    """Return the figures of a campaign's summary, from ``begin`` until before ``end``."""
    row = await connection.fetchrow(
        """
        SELECT
            coalesce(sum(redemptions_succeeded), 0)::bigint AS redemptions_succeeded,
            coalesce(sum(redemptions_failed), 0)::bigint AS redemptions_failed,
            coalesce(sum(rollbacks_succeeded), 0)::bigint AS rollbacks_succeeded,
            coalesce(sum(rollbacks_failed), 0)::bigint AS rollbacks_failed,
            coalesce(sum(discounted_amount), 0)::bigint AS discounted_amount,
            coalesce(sum(rolledback_discounted_amount), 0)::bigint AS rolledback_discounted_amount,
            coalesce(sum(amount_redeemed), 0)::bigint AS amount_redeemed,
            coalesce(sum(amount_rolledback), 0)::bigint AS amount_rolledback,
            coalesce(sum(amount_added), 0)::bigint AS amount_added,
            coalesce(sum(amount_subtracted), 0)::bigint AS amount_subtracted,
            coalesce(sum(orders_amount), 0)::bigint AS orders_amount,
            coalesce(sum(orders_rolledback_amount), 0)::bigint AS orders_rolledback_amount,
            coalesce(sum(vouchers_created), 0)::bigint AS vouchers_created,
            coalesce(sum(created_vouchers_amount), 0)::bigint AS created_vouchers_amount,
            coalesce(sum(publications_succeeded), 0)::bigint AS publications_succeeded,
            coalesce(sum(publications_failed), 0)::bigint AS publications_failed
        FROM campaign_quarters
        WHERE project_id = $1 AND campaign_id = $2
          AND ($3::timestamptz IS NULL OR quarter >= $3)
          AND ($4::timestamptz IS NULL OR quarter < $4)
        """,
        project_id,
        campaign_id,
        begin,
        end,
    )
    assert row is not None, "an aggregate has one row"
    return dict(row)


async def customer(connection: Connection, project_id: str, name: str) -> Record | None:
    """Return a customer by its id or source_id, with what redemptions came to."""
    return await connection.fetchrow(
        """
        SELECT c.doc, t.redeemed, t.failed, t.rolled_back, t.gift_amount
        FROM customers c LEFT JOIN customer_totals t ON t.project_id = c.project_id AND t.customer_id = c.id
        WHERE c.project_id = $1 AND (c.id = $2 OR c.source_id = $2)
        ORDER BY c.id = $2 DESC LIMIT 1
        """,
        project_id,
        name,
    )


async def customers(
    connection: Connection, project_id: str, customer_ids: Sequence[str]
) -> list[Record]:
    """Return customers by their ids."""
    return await connection.fetch(
        "SELECT * FROM customers WHERE project_id = $1 AND id = ANY($2)",
        project_id,
        list(customer_ids),
    )


async def customer_totals(
    connection: Connection, project_id: str, customer_ids: Sequence[str]
) -> dict[str, Record]:
    """Return what customers' redemptions came to."""
    rows = await connection.fetch(
        "SELECT * FROM customer_totals WHERE project_id = $1 AND customer_id = ANY($2)",
        project_id,
        list(customer_ids),
    )
    return {row["customer_id"]: row for row in rows}


async def order(connection: Connection, project_id: str, name: str) -> Record | None:
    """Return an order by its id or source_id."""
    return await connection.fetchrow(
        """
        SELECT * FROM orders WHERE project_id = $1 AND (id = $2 OR source_id = $2)
        ORDER BY id = $2 DESC LIMIT 1
        """,
        project_id,
        name,
    )


async def document(
    connection: Connection, table: str, project_id: str, name: str
) -> dict[str, Any] | None:
    """Return the state of an object by its id, or by its source_id where it has one."""
    found: dict[str, Any] | None = await connection.fetchval(DOCUMENTS[table], project_id, name)
    return found


async def all_documents(
    connection: Connection, table: str, project_id: str
) -> list[dict[str, Any]]:
    """Return the states of all objects of a project."""
    rows = await connection.fetch(ALL_DOCUMENTS[table], project_id)
    return [row["doc"] for row in rows]


ALL_DOCUMENTS = {
    "endpoints": "SELECT doc FROM endpoints WHERE project_id = $1 ORDER BY id",
    "distributions": "SELECT doc FROM distributions WHERE project_id = $1 ORDER BY id",
}
DOCUMENTS = {
    "segments": "SELECT doc FROM segments WHERE project_id = $1 AND id = $2",
    "products": "SELECT doc FROM products WHERE project_id = $1 AND (id = $2 OR source_id = $2)"
    " ORDER BY id = $2 DESC LIMIT 1",
    "skus": "SELECT doc FROM skus WHERE project_id = $1 AND (id = $2 OR source_id = $2)"
    " ORDER BY id = $2 DESC LIMIT 1",
    "validation_rules": "SELECT doc FROM validation_rules WHERE project_id = $1 AND id = $2",
    "product_collections": "SELECT doc FROM product_collections WHERE project_id = $1 AND id = $2",
    "endpoints": "SELECT doc FROM endpoints WHERE project_id = $1 AND id = $2",
    "distributions": "SELECT doc FROM distributions WHERE project_id = $1 AND id = $2",
}


async def redemption(connection: Connection, project_id: str, redemption_id: str) -> Record | None:
    """Return a redemption or rollback."""
    return await connection.fetchrow(
        "SELECT * FROM redemptions WHERE project_id = $1 AND id = $2", project_id, redemption_id
    )


async def children(
    connection: Connection, project_id: str, parent_ids: Sequence[str]
) -> dict[str, list[Record]]:
    """Return the redemptions of stacks by their parents."""
    rows = await connection.fetch(
        """
        SELECT id, parent_id, date FROM redemptions
        WHERE project_id = $1 AND parent_id = ANY($2) ORDER BY date, id
        """,
        project_id,
        list(parent_ids),
    )
    found: dict[str, list[Record]] = {}
    for row in rows:
        found.setdefault(row["parent_id"], []).append(row)
    return found


async def async_action(connection: Connection, project_id: str, action_id: str) -> Record | None:
    """Return an asynchronous action."""
    return await connection.fetchrow(
        "SELECT * FROM async_actions WHERE project_id = $1 AND id = $2", project_id, action_id
    )


async def rule_uses(
    connection: Connection, project_id: str, rule_ids: Sequence[str]
) -> dict[str, int]:
    """Return how often validation rules are assigned."""
    rows = await connection.fetch(
        """
        SELECT rule_id, count(*) AS count FROM assignments
        WHERE project_id = $1 AND rule_id = ANY($2) GROUP BY rule_id
        """,
        project_id,
        list(rule_ids),
    )
    return {row["rule_id"]: row["count"] for row in rows}


async def documents(
    connection: Connection, table: str, project_id: str, ids: Sequence[str]
) -> dict[str, JsonObject]:
    """Return the states of objects by id."""
    assert table in TABLES, "a table's name is written into SQL"
    select = " ".join(["SELECT id, doc FROM", table, "WHERE project_id = $1 AND id = ANY($2)"])  # noqa: FLY002
    rows = await connection.fetch(select, project_id, list(ids)) if ids else []
    return {row["id"]: row["doc"] for row in rows}


async def documents_naming(
    connection: Connection, table: str, project_id: str, name: str
) -> list[str]:
    """Return the ids of the first few objects whose state has the id ``name`` somewhere."""
    assert table in TABLES, "a table's name is written into SQL"
    select = " ".join(  # noqa: FLY002
        [
            "SELECT id FROM",
            table,
            "WHERE project_id = $1 AND position($2 in doc::text) > 0 ORDER BY id LIMIT $3",
        ]
    )
    rows = await connection.fetch(select, project_id, f'"{name}"', limits.USERS_SHOWN_MAX)
    return [row["id"] for row in rows]


async def project_timezone(connection: Connection, project_id: str) -> str | None:
    """Return the time zone of a project."""
    found: str | None = await connection.fetchval(
        "SELECT doc->>'timezone' FROM projects WHERE project_id = $1", project_id
    )
    return found


async def catalogue(
    connection: Connection, project_id: str, ids: Sequence[str] | None, order: str
) -> AsyncIterator[JsonObject]:
    """Yield products and SKUs, all or those with these ids, in an order of columns of ``t``."""
    select = " ".join([CATALOGUE, "ORDER BY", order, "LIMIT $3"])  # noqa: FLY002
    async with connection.transaction():
        listed = None if ids is None else list(ids)
        cursor = connection.cursor(select, project_id, listed, limits.CATALOGUE_SCANNED_MAX)
        async for row in cursor:
            yield row["doc"]


CATALOGUE = """
    SELECT t.doc FROM (
        SELECT id, created_at, updated_at, name, source_id, doc FROM products
        WHERE project_id = $1 AND ($2::text[] IS NULL OR id = ANY($2))
        UNION ALL
        SELECT id, created_at, (doc->>'updated_at')::timestamptz, doc->>'sku', source_id, doc
        FROM skus WHERE project_id = $1 AND ($2::text[] IS NULL OR id = ANY($2))
    ) t
"""


# -- lists ---------------------------------------------------------------------------------------


@dataclass
class Conditions:
    """A WHERE clause: pieces of ours, values bound. The project is always the first."""

    project_id: str
    pieces: list[str] = field(default_factory=lambda: ["t.project_id = $1"])
    values: list[Any] = field(default_factory=list)
    junction: str = "AND"
    filters: list[str] = field(default_factory=list)
    """Conditions of the client's filters, one a field, which the junction ties together."""
    behind: tuple[str, tuple[Any, ...]] = ("", ())
    """Where the page starts: a condition with its values, which the count leaves out."""

    def __post_init__(self) -> None:
        self.values = [self.project_id, *self.values]

    def bind(self, value: Any) -> str:
        """Return the placeholder of a value."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add(self, piece: str, *values: Any) -> None:
        """Add a condition that always holds; ``{}`` in it stands for each value."""
        self.pieces.append(piece.format(*(self.bind(value) for value in values)))

    def start_behind(self, table: str, column: str, sign: str, row_id: str) -> None:
        """Start the page behind another row of the same list."""
        parts = (
            "(SELECT",
            column,
            ", t.id FROM",
            TABLES[table],
            "WHERE t.project_id = $1 AND t.id",
        )
        self.behind = f"({column}, t.id) {sign} {' '.join(parts)} = {{}})", (row_id,)

    @property
    def sql(self) -> str:
        """The clause."""
        filters = [f"({f' {self.junction} '.join(self.filters)})"] if self.filters else []
        return " AND ".join([*self.pieces, *filters])


async def page(
    connection: Connection, table: str, conditions: Conditions, order: str, limit: int, offset: int
) -> tuple[list[Record], int]:
    """Return a page of rows and how many there are in all.

    The count is exact: it reads the index of the project's rows, about 0.1 ms per thousand.
    """
    where, values = conditions.sql, list(conditions.values)
    source = TABLES[table]
    count = " ".join(["SELECT count(*) FROM", source, "WHERE", where])  # noqa: FLY002
    total: int = await connection.fetchval(count, *values)
    piece, behind = conditions.behind
    values += [*behind, limit, offset]
    *placed, last, skipped = [
        f"${number + 1}" for number in range(len(conditions.values), len(values))
    ]
    if piece:
        where = f"{where} AND {piece.format(*placed)}"
    bounds = f"LIMIT {last} OFFSET {skipped}"
    select = " ".join(["SELECT t.* FROM", source, "WHERE", where, "ORDER BY", order, bounds])  # noqa: FLY002
    rows = await connection.fetch(select, *values)
    return rows, total


TABLES = {
    name: f"{name} t"
    for name in (
        "campaigns",
        "customers",
        "segments",
        "products",
        "product_collections",
        "skus",
        "redemptions",
        "publications",
        "validation_rules",
        "assignments",
        "async_actions",
        "endpoints",
        "distributions",
        "deliveries",
        "voucher_transactions",
        "orders",
        "promotion_stacks",
    )
} | {
    "promotion_tiers": "promotion_tiers t LEFT JOIN campaigns c"
    " ON c.project_id = t.project_id AND c.id = t.campaign_id",
    "vouchers": "vouchers t LEFT JOIN campaigns c ON c.project_id = t.project_id AND c.id = t.campaign_id",
}
