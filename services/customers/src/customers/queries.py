"""What is read and kept besides aggregates by id: segments with a filter, slices of customers."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from contracts.customers import Segment
from customers import limits
from customers.domain.customer import CustomerState
from runtime.database import Connection

SEGMENTS_LOCK = 0x5E6
"""First half of the advisory lock of a project's segments."""


class DueSweep(NamedTuple):
    """A segment whose customers are to be evaluated, those after ``after`` next."""

    segment: Segment
    after: str


async def lock_segments(
    connection: Connection, shared: Sequence[str], exclusive: Sequence[str]
) -> None:
    """Keep the projects' segments as they are until the transaction ends.

    Whoever changes customers holds the lock shared; whoever makes a segment holds it alone. So a
    customer is evaluated either by its own change or by the sweep after the segment was made.
    """
    await connection.execute(
        """
        SELECT CASE WHEN is_exclusive THEN pg_advisory_xact_lock($1, lock_key)
                    ELSE pg_advisory_xact_lock_shared($1, lock_key) END
        FROM (
            SELECT hashtext(project_id) AS lock_key, bool_or(is_exclusive) AS is_exclusive
            FROM unnest($2::text[], $3::boolean[]) AS wanted(project_id, is_exclusive)
            GROUP BY 1 ORDER BY 1
        ) AS locks
        """,
        SEGMENTS_LOCK,
        [*shared, *exclusive],
        [*[False] * len(shared), *[True] * len(exclusive)],
    )


async def dynamic_segments(
    connection: Connection, project_ids: Sequence[str]
) -> dict[str, list[Segment]]:
    """Return the projects' segments with a filter."""
    rows = await connection.fetch(
        "SELECT project_id, segment FROM dynamic_segments"
        " WHERE project_id = ANY($1) ORDER BY project_id, segment_id",
        project_ids,
    )
    found: dict[str, list[Segment]] = {project_id: [] for project_id in project_ids}
    for row in rows:
        found[row["project_id"]].append(Segment.model_validate(row["segment"]))
    return found


async def catalogue_prices(
    connection: Connection, wanted: Sequence[tuple[str, str]]
) -> dict[str, dict[str, int]]:
    """Return by project the prices of products and SKUs; a SKU without one has its product's."""
    rows = await connection.fetch(
        """
        SELECT w.project_id, w.id, coalesce(own.price, product.price) AS price
        FROM unnest($1::text[], $2::text[]) AS w(project_id, id)
        JOIN catalogue_prices own USING (project_id, id)
        LEFT JOIN catalogue_prices product
          ON product.project_id = own.project_id AND product.id = own.product_id
        WHERE coalesce(own.price, product.price) IS NOT NULL
        """,
        [one[0] for one in wanted],
        [one[1] for one in wanted],
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        found.setdefault(row["project_id"], {})[row["id"]] = row["price"]
    return found


async def keep_dynamic_segment(
    connection: Connection, project_id: str, segment: Segment, due_at: datetime | None
) -> None:
    """Keep a new segment with a filter; ``due_at`` asks for the evaluation of all customers."""
    await connection.execute(
        "INSERT INTO dynamic_segments (project_id, segment_id, segment, due_at)"
        " VALUES ($1, $2, $3, $4)",
        project_id,
        segment.id,
        segment.model_dump(mode="json", exclude_none=True),
        due_at,
    )


async def next_due(connection: Connection, now: datetime) -> tuple[str, str] | None:
    """Return (project, segment id) of one that waits for its evaluation; a deleted project waits for ever."""
    row = await connection.fetchrow(
        """
        SELECT s.project_id, s.segment_id FROM dynamic_segments s
        LEFT JOIN known_projects k ON k.project_id = s.project_id
        WHERE s.due_at <= $1 AND k.deleted_at IS NULL ORDER BY s.due_at LIMIT 1
        """,
        now,
    )
    return (row["project_id"], row["segment_id"]) if row is not None else None


async def take_due(
    connection: Connection, project_id: str, segment_id: str, now: datetime
) -> DueSweep | None:
    """Lock the segment's sweep; None if another process has it or has just ended it."""
    row = await connection.fetchrow(
        "SELECT segment, sweep_after FROM dynamic_segments"
        " WHERE project_id = $1 AND segment_id = $2 AND due_at <= $3 FOR UPDATE SKIP LOCKED",
        project_id,
        segment_id,
        now,
    )
    if row is None:
        return None
    return DueSweep(Segment.model_validate(row["segment"]), row["sweep_after"])


async def save_sweep(
    connection: Connection, project_id: str, segment_id: str, after: str, due_at: datetime | None
) -> None:
    """Keep how far the sweep has come, and when it goes on."""
    await connection.execute(
        "UPDATE dynamic_segments SET sweep_after = $3, due_at = $4"
        " WHERE project_id = $1 AND segment_id = $2",
        project_id,
        segment_id,
        after,
        due_at,
    )


async def customers_after(
    connection: Connection, project_id: str, after: str, limit: int
) -> list[tuple[str, CustomerState]]:
    """Return the next customers of a project in the order of their streams: (stream, state)."""
    rows = await connection.fetch(
        """
        SELECT stream_id, state FROM aggregates
        WHERE project_id = $1 AND stream_id LIKE 'customer-%' AND stream_id COLLATE "C" > $2
        ORDER BY stream_id COLLATE "C" LIMIT $3
        """,
        project_id,
        after,
        limit,
    )
    return [(row["stream_id"], CustomerState.model_validate(row["state"])) for row in rows]


async def swept_segments(connection: Connection) -> list[tuple[str, Segment]]:
    """Return (project, segment) of those whose customers were all evaluated."""
    rows = await connection.fetch(
        "SELECT project_id, segment FROM dynamic_segments"
        " WHERE due_at IS NULL ORDER BY project_id, segment_id"
    )
    return [(row["project_id"], Segment.model_validate(row["segment"])) for row in rows]


async def segments_that_differ(connection: Connection) -> list[tuple[str, str]]:
    """Return (project, segment id) whose row in ``dynamic_segments`` is not what the log says."""
    rows = await connection.fetch(
        """
        SELECT coalesce(a.project_id, d.project_id) AS project_id,
               coalesce(a.state->>'id', d.segment_id) AS segment_id
        FROM (SELECT * FROM aggregates
              WHERE stream_id LIKE 'segment-%' AND state->>'type' <> 'static') a
        FULL JOIN dynamic_segments d
          ON d.project_id = a.project_id AND 'segment-' || d.segment_id = a.stream_id
        WHERE jsonb_strip_nulls(a.state) IS DISTINCT FROM jsonb_strip_nulls(d.segment)
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [(row["project_id"], row["segment_id"]) for row in rows]


async def orders_without_customer(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (project, stream, customer id) of orders whose customer has no stream."""
    rows = await connection.fetch(
        """
        SELECT o.project_id, o.stream_id, o.state->'order'->>'customer_id' AS customer_id
        FROM aggregates o
        LEFT JOIN aggregates c
          ON c.project_id = o.project_id
         AND c.stream_id = 'customer-' || (o.state->'order'->>'customer_id')
        WHERE o.stream_id LIKE 'order-%' AND o.state->'order'->>'customer_id' IS NOT NULL
          AND c.stream_id IS NULL
        ORDER BY 1, 2
        LIMIT $1
        """,
        limits.AUDIT_FINDINGS_MAX,
    )
    return [(row["project_id"], row["stream_id"], row["customer_id"]) for row in rows]
