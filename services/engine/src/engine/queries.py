"""What a batch of requests is answered from: one query per table, for all requests of the batch."""

from collections.abc import Collection
from typing import Any

import asyncpg

from runtime.database import Connection

Key = tuple[str, str]
"""(project id, id)."""


def _columns(keys: Collection[Key]) -> tuple[list[str], list[str]]:
    ordered = list(keys)
    return [key[0] for key in ordered], [key[1] for key in ordered]


async def projects(
    connection: Connection, project_ids: Collection[str]
) -> dict[str, asyncpg.Record]:
    rows = await connection.fetch(
        """
        SELECT project_id, timezone, case_sensitive_codes, stacking_rules
        FROM projects WHERE project_id = ANY($1::text[])
        """,
        list(project_ids),
    )
    return {row["project_id"]: row for row in rows}


async def vouchers(connection: Connection, keys: Collection[Key]) -> dict[Key, asyncpg.Record]:
    """Return codes by id, each with the versions of its campaign and its rules.

    ``rules`` are texts ``<rule id>@<version>``. A version that is missing belongs to a definition that
    is named but has not arrived yet.
    """
    rows = await connection.fetch(
        """
        SELECT v.project_id, v.id, v.code, v.campaign_id, v.active, v.version, v.definition,
               v.created_at, v.updated_at, c.version AS campaign_version,
               ARRAY(
                   SELECT a.rule_id || '@' || coalesce(r.version::text, '')
                   FROM assignments a
                   LEFT JOIN rules r ON r.project_id = a.project_id AND r.id = a.rule_id
                   WHERE a.project_id = v.project_id
                     AND a.related_object_id IN (v.id, v.campaign_id)
                   ORDER BY a.id
               ) AS rules
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN vouchers v ON v.project_id = g.project_id AND v.id = g.id
        LEFT JOIN campaigns c ON c.project_id = v.project_id AND c.id = v.campaign_id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


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


async def customers(connection: Connection, keys: Collection[Key]) -> dict[Key, Any]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN customers t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row["doc"] for row in rows}


async def customers_by_tracking_id(connection: Connection, keys: Collection[Key]) -> dict[Key, Any]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.tracking_id, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, tracking_id)
        JOIN customers t ON t.project_id = g.project_id AND t.tracking_id = g.tracking_id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["tracking_id"]): row["doc"] for row in rows}


async def catalogue(connection: Connection, keys: Collection[Key]) -> dict[Key, Any]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.doc
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN catalogue t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row["doc"] for row in rows}


async def orders(connection: Connection, keys: Collection[Key]) -> dict[Key, asyncpg.Record]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.id, t.sent, t.redeemed
        FROM unnest($1::text[], $2::text[]) AS g(project_id, id)
        JOIN orders t ON t.project_id = g.project_id AND t.id = g.id
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["id"]): row for row in rows}


async def accounts(connection: Connection, keys: Collection[Key]) -> dict[Key, asyncpg.Record]:
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.account, t.used, t.adjusted
        FROM unnest($1::text[], $2::text[]) AS g(project_id, account)
        JOIN accounts t ON t.project_id = g.project_id AND t.account = g.account
        """,
        *_columns(keys),
    )
    return {(row["project_id"], row["account"]): row for row in rows}
