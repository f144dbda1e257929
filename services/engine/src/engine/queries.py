"""What a batch of requests is answered from: for all requests of the batch at once."""

from collections.abc import Collection, Iterable
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Any, NamedTuple

import asyncpg

from contracts.errors import JsonObject
from runtime.database import Connection

Key = tuple[str, str]
"""(project id, id)."""
Row = asyncpg.Record | JsonObject
"""A row, or what a statement that reads several tables made of it."""


def _columns(keys: Collection[Key]) -> tuple[list[str], list[str]]:
    ordered = list(keys)
    return [key[0] for key in ordered], [key[1] for key in ordered]


class Wanted(NamedTuple):
    """What the requests of a batch name."""

    vouchers: AbstractSet[Key]
    accounts: AbstractSet[Key]
    projects: Collection[str]
    customers: Collection[Key]
    tracking_ids: Collection[Key]
    catalogue: Collection[Key]
    orders: Collection[Key]


_NOTHING = Wanted(frozenset(), frozenset(), (), (), (), (), ())


class Found(NamedTuple):
    """What there is of it."""

    vouchers: dict[Key, JsonObject]
    """Each with the versions of its campaign and its rules.

    ``rules`` are texts ``<rule id>@<version>``; ``rules_version`` is the newest position at which any of
    them was changed, assigned or removed. A version that is missing belongs to a definition that
    is named but has not arrived yet.
    """
    accounts: dict[Key, Row]
    projects: dict[str, JsonObject]
    customers: dict[Key, JsonObject]
    tracked: dict[Key, JsonObject]
    catalogue: dict[Key, JsonObject]
    orders: dict[Key, JsonObject]
    """``sent``, ``redeemed`` and ``version`` of each."""


_KNOWN = """
    SELECT 'voucher' AS kind, v.project_id, v.id, to_jsonb(v) AS doc FROM (
        SELECT v.project_id, v.id, v.code, v.campaign_id, v.active, v.version, v.definition,
               v.created_at, v.updated_at, c.version AS campaign_version,
               ARRAY(
                   SELECT a.rule_id || '@' || coalesce(r.version::text, '')
                   FROM assignments a
                   LEFT JOIN rules r ON r.project_id = a.project_id AND r.id = a.rule_id
                   WHERE a.project_id = v.project_id AND a.rule_id IS NOT NULL
                     AND a.related_object_id IN (v.id, v.campaign_id)
                   ORDER BY a.id
               ) AS rules,
               (
                   SELECT max(greatest(a.position, r.version))
                   FROM assignments a
                   LEFT JOIN rules r ON r.project_id = a.project_id AND r.id = a.rule_id
                   WHERE a.project_id = v.project_id
                     AND a.related_object_id IN (v.id, v.campaign_id)
               ) AS rules_version
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN vouchers v ON v.project_id = g.project_id AND v.id = g.id
        LEFT JOIN campaigns c ON c.project_id = v.project_id AND c.id = v.campaign_id
    ) v
    UNION ALL
    SELECT 'account', t.project_id, t.account,
           jsonb_build_object('used', t.used, 'adjusted', t.adjusted, 'held', t.held)
    FROM unnest($3::text[], $4::text[]) AS g(project_id, account)
    JOIN accounts t ON t.project_id = g.project_id AND t.account = g.account
    UNION ALL
    SELECT 'project', project_id, '',
           jsonb_build_object('timezone', timezone, 'stacking_rules', stacking_rules,
                              'first_day_of_week', first_day_of_week)
    FROM projects WHERE project_id = ANY($5::text[])
    UNION ALL
    SELECT 'customer', t.project_id, t.id, t.doc
    FROM unnest($6::text[], $7::text[]) AS g(project_id, id)
    JOIN customers t ON t.project_id = g.project_id AND t.id = g.id
    UNION ALL
    SELECT 'tracked', t.project_id, t.tracking_id, t.doc
    FROM unnest($8::text[], $9::text[]) AS g(project_id, id)
    JOIN customers t ON t.project_id = g.project_id AND t.tracking_id = g.id
    UNION ALL
    SELECT 'catalogue', t.project_id, t.id, t.doc
    FROM unnest($10::text[], $11::text[]) AS g(project_id, id)
    JOIN catalogue t ON t.project_id = g.project_id AND t.id = g.id
    UNION ALL
    SELECT 'catalogue', p.project_id, p.id, p.doc
    FROM unnest($10::text[], $11::text[]) AS g(project_id, id)
    JOIN catalogue t ON t.project_id = g.project_id AND t.id = g.id
    JOIN catalogue p ON p.project_id = t.project_id AND p.id = t.doc->>'product_id'
    UNION ALL
    SELECT 'order', t.project_id, t.id,
           jsonb_build_object('sent', t.sent, 'redeemed', t.redeemed,
                              'version', t.redeemed_version)
    FROM unnest($12::text[], $13::text[]) AS g(project_id, id)
    JOIN orders t ON t.project_id = g.project_id AND t.id = g.id
"""


async def known(connection: Connection, wanted: Wanted) -> Found:
    """Read it in one round trip: a request alone waits for each of them."""
    rows = await connection.fetch(
        _KNOWN,
        *_columns(wanted.vouchers),
        *_columns(wanted.accounts),
        list(wanted.projects),
        *_columns(wanted.customers),
        *_columns(wanted.tracking_ids),
        *_columns(wanted.catalogue),
        *_columns(wanted.orders),
    )
    found = Found({}, {}, {}, {}, {}, {}, {})
    places: dict[str, dict[Key, Any]] = {
        "voucher": found.vouchers,
        "account": found.accounts,
        "customer": found.customers,
        "tracked": found.tracked,
        "catalogue": found.catalogue,
        "order": found.orders,
    }
    for row in rows:
        if row["kind"] == "project":
            found.projects[row["project_id"]] = row["doc"]
        else:
            places[row["kind"]][row["project_id"], row["id"]] = row["doc"]
    for voucher in found.vouchers.values():
        for name in ("created_at", "updated_at"):
            moment = voucher[name]
            voucher[name] = moment and datetime.fromisoformat(moment).astimezone(UTC)
    return found


async def catalogue(connection: Connection, keys: Collection[Key]) -> dict[Key, JsonObject]:
    """Return products and SKUs by id, and the products of those SKUs."""
    rows = await connection.fetch(
        """
        WITH named AS (
            SELECT t.project_id, t.id, t.doc
            FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
            JOIN catalogue t ON t.project_id = g.project_id AND t.id = g.id
        )
        SELECT project_id, id, doc FROM named
        UNION
        SELECT t.project_id, t.id, t.doc
        FROM named n
        JOIN catalogue t ON t.project_id = n.project_id AND t.id = n.doc ->> 'product_id'
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row["doc"] for row in rows}


async def vouchers(connection: Connection, keys: Iterable[Key]) -> dict[Key, JsonObject]:
    """Return codes by id, as :func:`known` has them."""
    return (await known(connection, _NOTHING._replace(vouchers=set(keys)))).vouchers


async def tiers(connection: Connection, keys: Collection[Key]) -> dict[Key, asyncpg.Record]:
    """Return promotion tiers by id, each with the versions of its campaign and its rules."""
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.campaign_id, t.version, t.doc, c.version AS campaign_version,
               ARRAY(
                   SELECT a.rule_id || '@' || coalesce(r.version::text, '')
                   FROM assignments a
                   LEFT JOIN rules r ON r.project_id = a.project_id AND r.id = a.rule_id
                   WHERE a.project_id = t.project_id AND a.rule_id IS NOT NULL
                     AND a.related_object_id IN (t.id, t.campaign_id)
                   ORDER BY a.id
               ) AS rules,
               (
                   SELECT max(greatest(a.position, r.version))
                   FROM assignments a
                   LEFT JOIN rules r ON r.project_id = a.project_id AND r.id = a.rule_id
                   WHERE a.project_id = t.project_id
                     AND a.related_object_id IN (t.id, t.campaign_id)
               ) AS rules_version
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN tiers t ON t.project_id = g.project_id AND t.id = g.id
        LEFT JOIN campaigns c ON c.project_id = t.project_id AND c.id = t.campaign_id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


async def stacks(connection: Connection, keys: Collection[Key]) -> dict[Key, asyncpg.Record]:
    """Return promotion stacks by id."""
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.name, t.campaign_id, t.tier_ids
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN stacks t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


async def categories(connection: Connection, keys: Collection[Key]) -> dict[Key, JsonObject]:
    """Return categories by id."""
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN categories t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row["doc"] for row in rows}


async def campaign_documents(connection: Connection, keys: Collection[Key]) -> dict[Key, Any]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.version, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN campaigns t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


async def rule_documents(connection: Connection, keys: Collection[Key]) -> dict[Key, Any]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.version, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN rules t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


async def segment_versions(connection: Connection, keys: Collection[Key]) -> dict[Key, int]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.version
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN segments t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row["version"] for row in rows}


async def segment_documents(connection: Connection, keys: Collection[Key]) -> dict[Key, Any]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.version, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN segments t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


async def collection_versions(connection: Connection, keys: Collection[Key]) -> dict[Key, int]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.version
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN collections t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row["version"] for row in rows}


async def collection_documents(connection: Connection, keys: Collection[Key]) -> dict[Key, Any]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.version, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN collections t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


async def holders(
    connection: Connection, keys: Collection[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Return those of (project, voucher, customer) where the code was published to the customer."""
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.voucher_id, t.customer_id
        FROM unnest($1::text[], $2::text[], $3::text[]) AS g(project_id, voucher_id, customer_id)
        JOIN holders t ON t.project_id = g.project_id AND t.voucher_id = g.voucher_id
         AND t.customer_id = g.customer_id
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
    )
    return {(row["project_id"], row["voucher_id"], row["customer_id"]) for row in rows}


async def publications(
    connection: Connection, keys: Collection[tuple[str, str, str]]
) -> dict[tuple[str, str, str], asyncpg.Record]:
    """Return of (project, voucher, customer) how often the code was published, and the metadata of it.

    The metadata are those of the newest publication to the customer; else of the newest at all.
    """
    rows = await connection.fetch(
        """
        SELECT g.project_id, g.voucher_id, g.customer_id, counted.publish_count, newest.metadata
        FROM unnest($1::text[], $2::text[], $3::text[]) AS g(project_id, voucher_id, customer_id)
        CROSS JOIN LATERAL (
            SELECT count(*) AS publish_count FROM publications t
            WHERE t.project_id = g.project_id AND t.voucher_id = g.voucher_id
        ) counted
        LEFT JOIN LATERAL (
            SELECT t.metadata FROM publications t
            WHERE t.project_id = g.project_id AND t.voucher_id = g.voucher_id
            ORDER BY t.customer_id IS NOT DISTINCT FROM g.customer_id DESC,
                     t.published_at DESC, t.id DESC
            LIMIT 1
        ) newest ON true
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
    )
    return {(row["project_id"], row["voucher_id"], row["customer_id"]): row for row in rows}


async def accounts(connection: Connection, keys: Collection[Key]) -> dict[Key, asyncpg.Record]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.account, t.used, t.adjusted, t.held
        FROM unnest($1::text[], $2::text[]) AS g(project_id, account)
        JOIN accounts t ON t.project_id = g.project_id AND t.account = g.account
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["account"]): row for row in rows}


async def holds(connection: Connection, keys: Collection[Key]) -> dict[Key, dict[str, int]]:
    """Return what sessions hold, by account."""
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.session_key, t.amounts
        FROM unnest($1::text[], $2::text[]) AS g(project_id, session_key)
        JOIN holds t ON t.project_id = g.project_id AND t.session_key = g.session_key
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["session_key"]): row["amounts"] for row in rows}


# -- what is offered without being named --------------------------------------------------------------


async def definition_changes(connection: Connection, project_id: str) -> int:
    """Return the position of the newest change of the project's definitions."""
    position = await connection.fetchval(
        "SELECT position FROM definition_changes WHERE project_id = $1", project_id
    )
    return position or 0


async def standalone_ids(connection: Connection, project_id: str, count_max: int) -> list[str]:
    """Return the newest codes that belong to no campaign."""
    rows = await connection.fetch(
        """
        SELECT id FROM vouchers WHERE project_id = $1 AND campaign_id IS NULL
        ORDER BY created_at DESC LIMIT $2
        """,
        project_id,
        count_max,
    )
    return [row["id"] for row in rows]


async def tier_ids(connection: Connection, project_id: str, count_max: int) -> list[str]:
    """Return the newest promotion tiers."""
    rows = await connection.fetch(
        "SELECT id FROM tiers WHERE project_id = $1 ORDER BY version DESC LIMIT $2",
        project_id,
        count_max,
    )
    return [row["id"] for row in rows]


async def all_stacks(
    connection: Connection, project_id: str, count_max: int
) -> list[asyncpg.Record]:
    """Return the promotion stacks of a project."""
    return await connection.fetch(
        "SELECT id, name, campaign_id, tier_ids, created_at FROM stacks WHERE project_id = $1 LIMIT $2",
        project_id,
        count_max,
    )


async def campaign_offers(
    connection: Connection, project_id: str, count_max: int
) -> list[asyncpg.Record]:
    """Return the newest campaigns of codes, each as a code of it that nobody has drawn yet."""
    return await connection.fetch(
        """
        SELECT c.project_id, c.id, c.id AS campaign_id, c.version AS campaign_version,
               ARRAY(
                   SELECT a.rule_id || '@' || coalesce(r.version::text, '')
                   FROM assignments a
                   LEFT JOIN rules r ON r.project_id = a.project_id AND r.id = a.rule_id
                   WHERE a.project_id = c.project_id AND a.rule_id IS NOT NULL
                     AND a.related_object_id = c.id
                   ORDER BY a.id
               ) AS rules,
               (
                   SELECT max(greatest(a.position, r.version))
                   FROM assignments a
                   LEFT JOIN rules r ON r.project_id = a.project_id AND r.id = a.rule_id
                   WHERE a.project_id = c.project_id AND a.related_object_id = c.id
               ) AS rules_version
        FROM campaigns c
        WHERE c.project_id = $1 AND c.doc ->> 'campaign_type' = ANY($3::text[])
        ORDER BY c.version DESC LIMIT $2
        """,
        project_id,
        count_max,
        ["DISCOUNT_COUPONS", "GIFT_VOUCHERS", "REFERRAL_PROGRAM"],
    )


async def held_ids(
    connection: Connection, project_id: str, customer_id: str, count_max: int
) -> list[str]:
    """Return the codes that were published to a customer."""
    rows = await connection.fetch(
        """
        SELECT voucher_id FROM holders WHERE project_id = $1 AND customer_id = $2 LIMIT $3
        """,
        project_id,
        customer_id,
        count_max,
    )
    return [row["voucher_id"] for row in rows]
