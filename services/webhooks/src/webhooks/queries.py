"""All SQL of the service."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from contracts.errors import JsonObject
from runtime.database import Connection
from webhooks import limits
from webhooks.domain.delivery import Answer, Verdict
from webhooks.domain.endpoint import EndpointState

WAKE_CHANNEL = "webhooks_due"


# -- endpoints -----------------------------------------------------------------------------------


class Target(NamedTuple):
    """An endpoint as events need it."""

    project_id: str
    endpoint_id: str
    events: list[str]


async def keep_endpoint(connection: Connection, project_id: str, state: EndpointState) -> None:
    """Write the endpoint's row; its senders wake."""
    endpoint = state.endpoint
    await connection.execute(
        """
        INSERT INTO endpoints
            (project_id, endpoint_id, target_url, events, secret, active, replaced_secrets)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project_id, endpoint_id) DO UPDATE SET
            target_url = EXCLUDED.target_url, events = EXCLUDED.events,
            secret = EXCLUDED.secret, active = EXCLUDED.active,
            replaced_secrets = EXCLUDED.replaced_secrets
        """,
        project_id,
        endpoint.id,
        endpoint.target_url,
        endpoint.events,
        endpoint.secret,
        endpoint.active,
        [one.model_dump(mode="json") for one in state.replaced_secrets],
    )
    await wake(connection, [(project_id, endpoint.id)])


async def remove_endpoint(connection: Connection, project_id: str, endpoint_id: str) -> None:
    """Remove the endpoint's row; what it has not got is canceled."""
    await connection.execute(
        "DELETE FROM endpoints WHERE project_id = $1 AND endpoint_id = $2", project_id, endpoint_id
    )
    await connection.execute(
        """
        UPDATE deliveries SET status = 'canceled', leased_until = NULL
        WHERE project_id = $1 AND endpoint_id = $2 AND status = 'pending'
        """,
        project_id,
        endpoint_id,
    )


async def count_endpoints(connection: Connection, project_id: str) -> int:
    """Return how many endpoints a project has."""
    count: int = await connection.fetchval(
        "SELECT count(*) FROM endpoints WHERE project_id = $1", project_id
    )
    return count


async def active_endpoints(connection: Connection, projects: Sequence[str]) -> list[Target]:
    """Return the active endpoints of the projects."""
    rows = await connection.fetch(
        """
        SELECT project_id, endpoint_id, events FROM endpoints
        WHERE project_id = ANY($1) AND active ORDER BY project_id, endpoint_id
        """,
        list(projects),
    )
    return [Target(*row) for row in rows]


async def wake(connection: Connection, endpoints: Sequence[tuple[str, str]]) -> None:
    """Wake the endpoints' senders, in every process, when this transaction commits."""
    await connection.execute(
        "SELECT pg_notify($1, key) FROM unnest($2::text[]) AS k(key)",
        WAKE_CHANNEL,
        [f"{project_id}/{endpoint_id}" for project_id, endpoint_id in endpoints],
    )


# -- what is known -------------------------------------------------------------------------------


async def known(
    connection: Connection, keys: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], JsonObject]:
    """Return the documents with these (project, id)."""
    rows = await connection.fetch(
        """
        SELECT n.project_id, n.id, n.doc FROM unnest($1::text[], $2::text[]) AS k(project_id, id)
        JOIN known n USING (project_id, id)
        """,
        [key[0] for key in keys],
        [key[1] for key in keys],
    )
    return {(row["project_id"], row["id"]): row["doc"] for row in rows}


async def keep_known(
    connection: Connection, documents: Sequence[tuple[tuple[str, str], JsonObject]]
) -> None:
    """Remember documents."""
    await connection.execute(
        """
        INSERT INTO known (project_id, id, doc)
        SELECT project_id, id, doc::jsonb
        FROM unnest($1::text[], $2::text[], $3::text[]) AS d(project_id, id, doc)
        ON CONFLICT (project_id, id) DO UPDATE SET doc = EXCLUDED.doc
        """,
        [key[0] for key, _ in documents],
        [key[1] for key, _ in documents],
        [orjson.dumps(doc).decode() for _, doc in documents],
    )


# -- hooks and deliveries ------------------------------------------------------------------------


class NewHook(NamedTuple):
    """A webhook event to be stored; ``body`` is JSON text."""

    project_id: str
    hook_id: str
    name: str
    event_id: str
    body: str


class NewDelivery(NamedTuple):
    """A delivery to be made."""

    project_id: str
    delivery_id: str
    endpoint_id: str
    hook_id: str
    correlation_id: str


async def keep_hooks(connection: Connection, hooks: Sequence[NewHook], now: datetime) -> None:
    """Store webhook events, in slices."""
    for start in range(0, len(hooks), limits.INSERT_SLICE):
        part = hooks[start : start + limits.INSERT_SLICE]
        await connection.execute(
            """
            INSERT INTO hooks (project_id, hook_id, name, event_id, body, created_at)
            SELECT project_id, hook_id, name, event_id, body::jsonb, $6
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                AS h(project_id, hook_id, name, event_id, body)
            ON CONFLICT DO NOTHING
            """,
            *_columns(part, 5),
            now,
        )


async def keep_deliveries(
    connection: Connection, deliveries: Sequence[NewDelivery], now: datetime
) -> None:
    """Store deliveries, in slices, due at once; a repeated one stays as it is."""
    for start in range(0, len(deliveries), limits.INSERT_SLICE):
        part = deliveries[start : start + limits.INSERT_SLICE]
        await connection.execute(
            """
            INSERT INTO deliveries (project_id, delivery_id, endpoint_id, hook_id, correlation_id,
                                    status, due_at)
            SELECT project_id, delivery_id, endpoint_id, hook_id, correlation_id, 'pending', $6
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
                AS d(project_id, delivery_id, endpoint_id, hook_id, correlation_id)
            ON CONFLICT DO NOTHING
            """,
            *_columns(part, 5),
            now,
        )
    await wake(connection, sorted({(one.project_id, one.endpoint_id) for one in deliveries}))


def _columns(rows: Sequence[Any], count: int) -> list[list[Any]]:
    return [[row[index] for row in rows] for index in range(count)]


# -- sending -------------------------------------------------------------------------------------


class Receiver(NamedTuple):
    """Where an endpoint is, and the secrets (ciphertext) that sign what it gets."""

    target_url: str
    secret: str
    project_secret: str | None
    replaced_secrets: list[JsonObject]
    """``{"secret", "until"}`` of those that were replaced and may still sign."""


class Delivery(NamedTuple):
    """A delivery that this process has taken; ``leased_until`` is the proof."""

    project_id: str
    delivery_id: str
    endpoint_id: str
    correlation_id: str
    attempts: int
    is_manual: bool
    first_at: datetime
    leased_until: datetime
    name: str
    event_id: str
    body: JsonObject


async def receiver(connection: Connection, project_id: str, endpoint_id: str) -> Receiver | None:
    """Return an active endpoint."""
    row = await connection.fetchrow(
        """
        SELECT e.target_url, e.secret, k.doc ->> 'webhook_secret' AS project_secret, e.replaced_secrets
        FROM endpoints e
        LEFT JOIN known k ON k.project_id = e.project_id AND k.id = e.project_id
        WHERE e.project_id = $1 AND e.endpoint_id = $2 AND e.active
        """,
        project_id,
        endpoint_id,
    )
    return Receiver(*row) if row else None


async def due_endpoints(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """Return the endpoints for which something is due."""
    rows = await connection.fetch(
        """
        SELECT e.project_id, e.endpoint_id FROM endpoints e WHERE e.active AND EXISTS (
            SELECT 1 FROM deliveries d
            WHERE d.project_id = e.project_id AND d.endpoint_id = e.endpoint_id
              AND d.status = 'pending' AND d.due_at <= $1
              AND (d.leased_until IS NULL OR d.leased_until <= $1))
        """,
        now,
    )
    return [(row[0], row[1]) for row in rows]


async def take_deliveries(
    connection: Connection,
    project_id: str,
    endpoint_id: str,
    now: datetime,
    leased_until: datetime,
    count: int,
) -> list[Delivery]:
    """Lease deliveries of an endpoint that are due."""
    rows = await connection.fetch(
        """
        WITH due AS (
            SELECT project_id, delivery_id FROM deliveries
            WHERE project_id = $1 AND endpoint_id = $2 AND status = 'pending' AND due_at <= $3
              AND (leased_until IS NULL OR leased_until <= $3)
            ORDER BY due_at LIMIT $5 FOR UPDATE SKIP LOCKED),
        taken AS (
            UPDATE deliveries d SET leased_until = $4, first_at = coalesce(d.first_at, $3)
            FROM due WHERE d.project_id = due.project_id AND d.delivery_id = due.delivery_id
            RETURNING d.*)
        SELECT t.project_id, t.delivery_id, t.endpoint_id, t.correlation_id, t.attempts, t.is_manual,
               t.first_at, t.leased_until, h.name, h.event_id, h.body
        FROM taken t JOIN hooks h ON h.project_id = t.project_id AND h.hook_id = t.hook_id
        ORDER BY t.due_at
        """,
        project_id,
        endpoint_id,
        now,
        leased_until,
        count,
    )
    return [Delivery(*row) for row in rows]


async def postpone(connection: Connection, delivery: Delivery, due_at: datetime) -> None:
    """Give a delivery back without an attempt."""
    await connection.execute(
        """
        UPDATE deliveries SET due_at = $3, leased_until = NULL
        WHERE project_id = $1 AND delivery_id = $2 AND leased_until = $4
        """,
        delivery.project_id,
        delivery.delivery_id,
        due_at,
        delivery.leased_until,
    )


async def keep_attempt(
    connection: Connection,
    delivery: Delivery,
    attempt: int,
    at: datetime,
    answer: Answer,
    verdict: Verdict,
) -> bool:
    """Record an attempt; False if the delivery is no longer this process's."""
    done = await connection.execute(
        """
        UPDATE deliveries SET status = $4, attempts = $5, due_at = coalesce($6, due_at),
            leased_until = NULL, is_manual = false
        WHERE project_id = $1 AND delivery_id = $2 AND leased_until = $3 AND status = 'pending'
        """,
        delivery.project_id,
        delivery.delivery_id,
        delivery.leased_until,
        verdict.status,
        attempt,
        verdict.next_attempt_at,
    )
    if str(done) != "UPDATE 1":
        return False
    await connection.execute(
        """
        INSERT INTO attempts (project_id, delivery_id, attempt, at, status, response_status, reason,
                              duration_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        delivery.project_id,
        delivery.delivery_id,
        attempt,
        at,
        verdict.status,
        answer.status,
        answer.reason,
        answer.duration_ms,
    )
    return True


async def resend(
    connection: Connection, project_id: str, delivery_id: str, now: datetime
) -> str | None:
    """Make a delivery due again; returns its endpoint, None if there is no such delivery."""
    endpoint_id: str | None = await connection.fetchval(
        """
        UPDATE deliveries SET status = 'pending', due_at = $3, is_manual = true
        WHERE project_id = $1 AND delivery_id = $2 RETURNING endpoint_id
        """,
        project_id,
        delivery_id,
        now,
    )
    if endpoint_id is not None:
        await wake(connection, [(project_id, endpoint_id)])
    return endpoint_id


async def forget_before(connection: Connection, before: datetime, count: int) -> int:
    """Remove webhook events that are old and have ended everywhere; returns how many."""
    rows = await connection.fetch(
        """
        WITH old AS (
            SELECT h.project_id, h.hook_id FROM hooks h
            WHERE h.created_at < $1 AND NOT EXISTS (
                SELECT 1 FROM deliveries d WHERE d.project_id = h.project_id
                AND d.hook_id = h.hook_id AND d.status = 'pending')
            LIMIT $2),
        gone AS (
            DELETE FROM deliveries d USING old
            WHERE d.project_id = old.project_id AND d.hook_id = old.hook_id
            RETURNING d.project_id, d.delivery_id),
        tried AS (
            DELETE FROM attempts a USING gone
            WHERE a.project_id = gone.project_id AND a.delivery_id = gone.delivery_id)
        DELETE FROM hooks h USING old
        WHERE h.project_id = old.project_id AND h.hook_id = old.hook_id RETURNING 1
        """,
        before,
        count,
    )
    return len(rows)


# -- audit ---------------------------------------------------------------------------------------


async def inconsistent_deliveries(connection: Connection, count: int) -> list[str]:
    """Return what differs between deliveries, their attempts and their streams."""
    rows = await connection.fetch(
        """
        SELECT d.project_id, d.delivery_id, d.status, d.attempts, count(a.attempt) AS recorded,
               coalesce((s.state ->> 'attempts')::int, 0) AS logged, s.state ->> 'status' AS told
        FROM deliveries d
        LEFT JOIN attempts a ON a.project_id = d.project_id AND a.delivery_id = d.delivery_id
        LEFT JOIN aggregates s
            ON s.project_id = d.project_id AND s.stream_id = 'delivery-' || d.delivery_id
        GROUP BY d.project_id, d.delivery_id, s.state
        HAVING d.attempts <> count(a.attempt)
            OR d.attempts <> coalesce((s.state ->> 'attempts')::int, 0)
            OR (d.status IN ('delivered', 'exhausted') AND d.status <> s.state ->> 'status')
        LIMIT $1
        """,
        count,
    )
    return [
        f"project {row['project_id']}: delivery {row['delivery_id']} is {row['status']} after"
        f" {row['attempts']} attempts; {row['recorded']} are recorded,"
        f" the log has {row['logged']} and says {row['told']}"
        for row in rows
    ]


async def endpoints_that_differ(connection: Connection, count: int) -> list[str]:
    """Return endpoints whose row is not what their stream says."""
    rows = await connection.fetch(
        """
        SELECT coalesce(a.project_id, e.project_id) AS project_id,
               coalesce(a.stream_id, 'endpoint-' || e.endpoint_id) AS stream_id
        FROM (SELECT * FROM aggregates WHERE stream_id LIKE 'endpoint-%'
              AND NOT (state ->> 'is_deleted')::boolean) a
        FULL JOIN endpoints e
            ON e.project_id = a.project_id AND a.stream_id = 'endpoint-' || e.endpoint_id
        WHERE a.stream_id IS NULL OR e.endpoint_id IS NULL
           OR e.target_url <> a.state -> 'endpoint' ->> 'target_url'
           OR e.active <> (a.state -> 'endpoint' ->> 'active')::boolean
           OR e.events <> a.state -> 'endpoint' -> 'events'
           OR e.secret <> a.state -> 'endpoint' ->> 'secret'
           OR e.replaced_secrets <> coalesce(a.state -> 'replaced_secrets', '[]')
        LIMIT $1
        """,
        count,
    )
    return [
        f"project {row['project_id']}: the row of {row['stream_id']} is not what its log says"
        for row in rows
    ]
