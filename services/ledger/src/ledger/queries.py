"""Reads and writes of the ledger's tables, each for a whole batch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from pydantic import TypeAdapter

from contracts.errors import JsonObject
from contracts.ledger import Posting, RedemptionFailed, RedemptionSucceeded
from ledger.domain.accounts import Account
from ledger.domain.rollback import Redemption
from runtime.database import Connection
from runtime.read_model import parse_event

_POSTINGS = TypeAdapter(list[Posting])
Key = tuple[str, str]
"""Project and the name of the thing."""
SESSION_LOCK = 4
"""The class of advisory locks of sessions; 1 and 2 are the log's (runtime.event_store), 3 that of replies
(runtime.rpc)."""


class Hold(NamedTuple):
    """A session's hold, and where its stream ends."""

    postings: list[Posting]
    expires_at: datetime | None = None
    order_id: str | None = None
    version: int = 0
    hash: bytes = b""


def _columns(keys: Iterable[Key]) -> tuple[list[str], list[str]]:
    ordered = sorted(keys)
    return [key[0] for key in ordered], [key[1] for key in ordered]


async def lock_accounts(connection: Connection, keys: set[Key]) -> dict[Key, Account]:
    """Read the accounts and lock them, in one order for everybody."""
    if not keys:
        return {}
    rows = await connection.fetch(
        """
        SELECT a.project_id, a.account, a.unit, a.limit_amount, a.limit_version, a.adjusted, a.used,
               a.held, a.last_fact
        FROM unnest($1::text[], $2::text[]) AS k(project_id, account)
        JOIN accounts a USING (project_id, account)
        ORDER BY a.project_id, a.account
        FOR UPDATE OF a
        """,
        *_columns(keys),
    )
    return {
        (row[0], row[1]): Account(
            row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], is_new=False
        )
        for row in rows
    }


async def read_redemptions(connection: Connection, keys: set[Key]) -> dict[Key, Redemption]:
    """Read redemptions from the log, and whose children the others are."""
    if not keys:
        return {}
    projects, ids = _columns(keys)
    rows = await connection.fetch(
        """
        SELECT k.project_id, k.id, e.type, e.hash, e.data
        FROM unnest($1::text[], $2::text[]) AS k(project_id, id)
        JOIN events e ON e.project_id = k.project_id AND e.stream_id = 'redemption-' || k.id
                     AND e.stream_version = 1
        """,
        projects,
        ids,
    )
    found = dict.fromkeys(keys, Redemption(None))
    for row in rows:
        key = (row["project_id"], row["id"])
        event = parse_event(row["type"], row["data"])
        if isinstance(event, RedemptionSucceeded):
            found[key] = Redemption(event, row["hash"])
        else:
            assert isinstance(event, RedemptionFailed), "a redemption begins so or so"
            found[key] = Redemption(None, is_failed=True)
    children = await connection.fetch(
        """
        SELECT c.project_id, c.child_id, c.parent_id
        FROM unnest($1::text[], $2::text[]) AS k(project_id, child_id)
        JOIN redemption_children c USING (project_id, child_id)
        """,
        projects,
        ids,
    )
    for row in children:
        found[row["project_id"], row["child_id"]] = Redemption(None, parent_id=row["parent_id"])
    return found


async def read_rolled_back(connection: Connection, keys: set[Key]) -> list[Key]:
    """Return those redemptions whose stream goes on after its first event: they were given back."""
    if not keys:
        return []
    rows = await connection.fetch(
        """
        SELECT k.project_id, k.id
        FROM unnest($1::text[], $2::text[]) AS k(project_id, id)
        JOIN events e ON e.project_id = k.project_id AND e.stream_id = 'redemption-' || k.id
                     AND e.stream_version = 2
        """,
        *_columns(keys),
    )
    return [(row["project_id"], row["id"]) for row in rows]


async def read_orders(
    connection: Connection, last_facts: Mapping[Key, str]
) -> dict[Key, JsonObject]:
    """Return orders as these events (``<stream>@<version>``) left them."""
    if not last_facts:
        return {}
    keys = sorted(last_facts)
    facts = [last_facts[key].rpartition("@") for key in keys]
    rows = await connection.fetch(
        """
        SELECT k.project_id, k.order_id, e.data -> 'order' AS order
        FROM unnest($1::text[], $2::text[], $3::text[], $4::int[])
             AS k(project_id, order_id, stream_id, stream_version)
        JOIN events e USING (project_id, stream_id, stream_version)
        """,
        *_columns(keys),
        [stream for stream, _, _ in facts],
        [int(version) for _, _, version in facts],
    )
    return {(row["project_id"], row["order_id"]): orjson.loads(row["order"]) for row in rows}


async def lock_session_names(connection: Connection, keys: set[Key]) -> None:
    """Let others wait who name the same sessions: one that is new has no row to lock yet."""
    if keys:
        await connection.execute(
            """
            SELECT pg_advisory_xact_lock($3, hashtext(k.project_id || '/' || k.session_key))
            FROM unnest($1::text[], $2::text[]) AS k(project_id, session_key)
            """,
            *_columns(keys),
            SESSION_LOCK,
        )


async def lock_holds(connection: Connection, keys: set[Key]) -> dict[Key, Hold]:
    """Read the sessions' holds and lock them."""
    if not keys:
        return {}
    rows = await connection.fetch(
        """
        SELECT h.project_id, h.session_key, h.postings, h.expires_at, h.order_id, h.stream_version,
               h.hash
        FROM unnest($1::text[], $2::text[]) AS k(project_id, session_key)
        JOIN holds h USING (project_id, session_key)
        ORDER BY h.project_id, h.session_key
        FOR UPDATE OF h
        """,
        *_columns(keys),
    )
    return {
        (row[0], row[1]): Hold(
            [Posting.model_validate(one) for one in row[2]], row[3], row[4], row[5], row[6]
        )
        for row in rows
    }


async def sessions_of_orders(connection: Connection, orders: set[Key]) -> set[Key]:
    """Return the sessions that hold something for these orders."""
    if not orders:
        return set()
    rows = await connection.fetch(
        """
        SELECT h.project_id, h.session_key
        FROM unnest($1::text[], $2::text[]) AS k(project_id, order_id)
        JOIN holds h ON h.project_id = k.project_id AND h.order_id = k.order_id
        WHERE h.postings <> '[]'::jsonb
        """,
        *_columns(orders),
    )
    return {(row["project_id"], row["session_key"]) for row in rows}


async def due_holds(connection: Connection, now: datetime, limit: int) -> set[Key]:
    """Return sessions whose time is up and that no other process is about to release."""
    rows = await connection.fetch(
        """
        SELECT project_id, session_key FROM holds
        WHERE expires_at <= $1 AND postings <> '[]'::jsonb ORDER BY expires_at LIMIT $2
        FOR UPDATE SKIP LOCKED
        """,
        now,
        limit,
    )
    return {(row["project_id"], row["session_key"]) for row in rows}


async def store_accounts(connection: Connection, changed: Iterable[tuple[str, Account]]) -> None:
    """Write accounts back: new ones collide with another process's, which is then tried again."""
    rows = sorted(
        (
            project_id,
            a.name,
            a.unit,
            a.limit,
            a.limit_version,
            a.adjusted,
            a.used,
            a.held,
            a.last_fact,
            a.is_new,
        )
        for project_id, a in changed
    )
    if rows:
        await connection.execute(
            """
            WITH n AS MATERIALIZED (
                SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::int[],
                                     $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::bool[])
                     AS n(project_id, account, unit, limit_amount, limit_version, adjusted, used, held,
                          last_fact, is_new)
            ), opened AS (
                INSERT INTO accounts (project_id, account, unit, limit_amount, limit_version, adjusted,
                                      used, held, last_fact)
                SELECT project_id, account, unit, limit_amount, limit_version, adjusted, used, held,
                       last_fact
                FROM n WHERE is_new
            )
            UPDATE accounts a
            SET limit_amount = n.limit_amount, limit_version = n.limit_version, adjusted = n.adjusted,
                used = n.used, held = n.held, last_fact = n.last_fact
            FROM n WHERE NOT n.is_new AND a.project_id = n.project_id AND a.account = n.account
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )


async def store_children(connection: Connection, rows: Sequence[tuple[str, str, str]]) -> None:
    """Remember the parents of stacked redemptions."""
    if rows:
        await connection.execute(
            """
            INSERT INTO redemption_children (project_id, child_id, parent_id)
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
            """,
            *(list(column) for column in zip(*rows, strict=True)),
        )


async def store_holds(connection: Connection, holds: Sequence[tuple[Key, Hold]]) -> None:
    """Write holds; an empty one stays, because its stream goes on from there."""
    if holds:
        await connection.execute(
            """
            INSERT INTO holds (project_id, session_key, postings, expires_at, order_id, stream_version,
                               hash)
            SELECT n.project_id, n.session_key, n.postings::jsonb, n.expires_at, n.order_id, n.version,
                   n.hash
            FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::int[],
                        $7::bytea[])
                 AS n(project_id, session_key, postings, expires_at, order_id, version, hash)
            ON CONFLICT (project_id, session_key) DO UPDATE
            SET postings = EXCLUDED.postings, expires_at = EXCLUDED.expires_at,
                order_id = EXCLUDED.order_id, stream_version = EXCLUDED.stream_version, hash = EXCLUDED.hash
            """,
            [key[0] for key, _ in holds],
            [key[1] for key, _ in holds],
            [_POSTINGS.dump_json(hold.postings).decode() for _, hold in holds],
            [hold.expires_at for _, hold in holds],
            [hold.order_id for _, hold in holds],
            [hold.version for _, hold in holds],
            [hold.hash for _, hold in holds],
        )
