"""All SQL of the service besides its read model's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from contracts import ids as derived
from contracts.campaigns import Campaign, Voucher
from contracts.distribution import Distribution
from contracts.errors import JsonObject
from distribution.domain.publication import Code
from runtime.database import Connection

WAKE_CHANNEL = "distribution_messages"


# -- the pool ------------------------------------------------------------------------------------


async def find_campaign(
    connection: Connection, project_id: str, id_or_name: str
) -> Campaign | None:
    """Return a campaign by id, or else by name."""
    row = await connection.fetchrow(
        """
        SELECT doc FROM campaigns WHERE project_id = $1 AND (id = $2 OR name = $2)
        ORDER BY (id = $2) DESC LIMIT 1
        """,
        project_id,
        id_or_name,
    )
    return Campaign.model_validate(row["doc"]) if row else None


async def find_code(connection: Connection, project_id: str, code_or_id: str) -> Code | None:
    """Return a code of the pool by code, or else by the voucher's id."""
    row = await connection.fetchrow(
        """
        SELECT p.*, c.doc AS campaign FROM pool p
        LEFT JOIN campaigns c ON c.project_id = p.project_id AND c.id = p.campaign_id
        WHERE p.project_id = $1 AND p.voucher_id IN ($2, $3)
        ORDER BY (p.voucher_id = $2) DESC LIMIT 1
        """,
        project_id,
        derived.voucher_id(project_id, code_or_id),
        code_or_id,
    )
    return _code(row) if row else None


async def codes_of(connection: Connection, project_id: str, codes: Sequence[str]) -> list[Code]:
    """Return these codes of the pool, in their order."""
    rows = await connection.fetch(
        """
        SELECT p.*, c.doc AS campaign FROM pool p
        LEFT JOIN campaigns c ON c.project_id = p.project_id AND c.id = p.campaign_id
        WHERE p.project_id = $1 AND p.code = ANY($2) ORDER BY p.code
        """,
        project_id,
        list(codes),
    )
    return [_code(row) for row in rows]


def _code(row: Any) -> Code:
    voucher = Voucher(
        id=row["voucher_id"],
        code=row["code"],
        campaign_id=row["campaign_id"],
        active=row["active"],
        definition=row["definition"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )
    return Code(voucher, Campaign.model_validate(row["campaign"]) if row["campaign"] else None)


async def generic_codes(
    connection: Connection, project_id: str, campaign_id: str, count: int
) -> list[str]:
    """Return active codes of a campaign whose codes anybody may get."""
    rows = await connection.fetch(
        """
        SELECT code FROM pool WHERE project_id = $1 AND campaign_id = $2 AND active
        ORDER BY code LIMIT $3
        """,
        project_id,
        campaign_id,
        count,
    )
    return [row["code"] for row in rows]


async def free_codes(
    connection: Connection, project_id: str, campaign_id: str, count: int
) -> list[str]:
    """Lock and return up to ``count`` free codes.

    First those that nobody else is about to take. Only when these are too few: wait for the others,
    for who holds them may yet let go; then what is missing is really missing.
    """
    rows = await connection.fetch(
        """
        SELECT f.code FROM free_codes f JOIN pool p USING (project_id, code)
        WHERE f.project_id = $1 AND f.campaign_id = $2 AND p.active
        ORDER BY f.code LIMIT $3 FOR UPDATE OF f SKIP LOCKED
        """,
        project_id,
        campaign_id,
        count,
    )
    if len(rows) < count:
        rows = await connection.fetch(
            """
            SELECT f.code FROM free_codes f JOIN pool p USING (project_id, code)
            WHERE f.project_id = $1 AND f.campaign_id = $2 AND p.active
            ORDER BY f.code LIMIT $3 FOR UPDATE OF f
            """,
            project_id,
            campaign_id,
            count,
        )
    return [row["code"] for row in rows]


async def assign(
    connection: Connection, project_id: str, codes: Sequence[str], publication_id: str
) -> list[str]:
    """Give the codes to a publication; returns those that nobody had."""
    rows = await connection.fetch(
        """
        INSERT INTO assigned_codes (project_id, code, publication_id)
        SELECT $1, code, $3 FROM unnest($2::text[]) AS c(code) ORDER BY code
        ON CONFLICT DO NOTHING RETURNING code
        """,
        project_id,
        list(codes),
        publication_id,
    )
    return [row["code"] for row in rows]


# -- what is once --------------------------------------------------------------------------------


async def claim_membership(
    connection: Connection,
    project_id: str,
    campaign_id: str,
    customer_id: str,
    publication_id: str,
) -> str:
    """Return the customer's first publication of the campaign; it is this one if there was none.

    Waits for another transaction that is just claiming the same.
    """
    row = await connection.fetchrow(
        """
        INSERT INTO memberships (project_id, campaign_id, customer_id, publication_id)
        VALUES ($1, $2, $3, $4) ON CONFLICT (project_id, campaign_id, customer_id)
        DO UPDATE SET publication_id = memberships.publication_id RETURNING publication_id
        """,
        project_id,
        campaign_id,
        customer_id,
        publication_id,
    )
    assert row is not None, "an upsert returns its row"
    return str(row["publication_id"])


async def claim_source(
    connection: Connection, project_id: str, source_id: str, publication_id: str
) -> str:
    """Return the publication that has this ``source_id``; it is this one if there was none."""
    row = await connection.fetchrow(
        """
        INSERT INTO publication_sources (project_id, source_id, publication_id)
        VALUES ($1, $2, $3) ON CONFLICT (project_id, source_id)
        DO UPDATE SET publication_id = publication_sources.publication_id RETURNING publication_id
        """,
        project_id,
        source_id,
        publication_id,
    )
    assert row is not None, "an upsert returns its row"
    return str(row["publication_id"])


async def release_claims(connection: Connection, project_id: str, publication_id: str) -> None:
    """Forget what a publication claimed that then failed."""
    await connection.execute(
        """
        WITH released AS (DELETE FROM memberships WHERE project_id = $1 AND publication_id = $2)
        DELETE FROM publication_sources WHERE project_id = $1 AND publication_id = $2
        """,
        project_id,
        publication_id,
    )


# -- distributions -------------------------------------------------------------------------------


async def keep_trigger(
    connection: Connection, project_id: str, distribution: Distribution, event_name: str
) -> None:
    """Let a live distribution be found by its event; one that is stopped no more."""
    await connection.execute(
        "DELETE FROM triggers WHERE project_id = $1 AND distribution_id = $2",
        project_id,
        distribution.id,
    )
    if distribution.active:
        await connection.execute(
            """
            INSERT INTO triggers (project_id, event_name, distribution_id) VALUES ($1, $2, $3)
            """,
            project_id,
            event_name,
            distribution.id,
        )


async def count_triggers(
    connection: Connection, project_id: str, event_name: str, distribution_id: str
) -> int:
    """Return how many other live distributions the event starts."""
    count: int = await connection.fetchval(
        """
        SELECT count(*) FROM triggers
        WHERE project_id = $1 AND event_name = $2 AND distribution_id <> $3
        """,
        project_id,
        event_name,
        distribution_id,
    )
    return count


async def triggered(
    connection: Connection, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], list[str]]:
    """Return the live distributions of each (project, event name)."""
    rows = await connection.fetch(
        """
        SELECT t.project_id, t.event_name, t.distribution_id
        FROM unnest($1::text[], $2::text[]) AS n(project_id, event_name)
        JOIN triggers t USING (project_id, event_name) ORDER BY 1, 2, 3
        """,
        [name[0] for name in names],
        [name[1] for name in names],
    )
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        key = (row["project_id"], row["event_name"])
        found.setdefault(key, []).append(row["distribution_id"])
    return found


class Waiting(NamedTuple):
    """A trigger whose campaign has yet to make a code."""

    project_id: str
    distribution_id: str
    trigger_id: str
    event: JsonObject
    correlation_id: str
    attempts: int


async def keep_waiting(connection: Connection, waiting: Waiting, due_at: datetime) -> None:
    """Try the trigger again at ``due_at``."""
    await connection.execute(
        """
        INSERT INTO waiting_triggers
            (project_id, distribution_id, trigger_id, event, correlation_id, attempts, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (project_id, distribution_id, trigger_id)
        DO UPDATE SET attempts = EXCLUDED.attempts, due_at = EXCLUDED.due_at
        """,
        waiting.project_id,
        waiting.distribution_id,
        waiting.trigger_id,
        waiting.event,
        waiting.correlation_id,
        waiting.attempts,
        due_at,
    )


async def due_waiting(connection: Connection, now: datetime, count: int) -> list[Waiting]:
    """Return triggers that are due, without locking them."""
    rows = await connection.fetch(
        """
        SELECT project_id, distribution_id, trigger_id, event, correlation_id, attempts
        FROM waiting_triggers WHERE due_at <= $1 ORDER BY due_at LIMIT $2
        """,
        now,
        count,
    )
    return [Waiting(*row) for row in rows]


async def take_waiting(connection: Connection, waiting: Waiting) -> bool:
    """Remove the row for this transaction; False if another process was faster."""
    row = await connection.fetchrow(
        """
        DELETE FROM waiting_triggers WHERE ctid IN (
            SELECT ctid FROM waiting_triggers
            WHERE project_id = $1 AND distribution_id = $2 AND trigger_id = $3 AND attempts = $4
            FOR UPDATE SKIP LOCKED)
        RETURNING attempts
        """,
        waiting.project_id,
        waiting.distribution_id,
        waiting.trigger_id,
        waiting.attempts,
    )
    return row is not None


# -- messages ------------------------------------------------------------------------------------


class Message(NamedTuple):
    """A message that this process has taken."""

    project_id: str
    message_id: str
    correlation_id: str
    content: JsonObject
    status: str
    attempts: int


async def queue_message(
    connection: Connection,
    project_id: str,
    message_id: str,
    distribution_id: str,
    customer_id: str,
    correlation_id: str,
    content: JsonObject,
    now: datetime,
) -> None:
    """Queue the message; the senders wake when this transaction commits."""
    await connection.execute(
        """
        INSERT INTO messages (project_id, message_id, distribution_id, customer_id, correlation_id,
                              content, status, due_at)
        VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7)
        """,
        project_id,
        message_id,
        distribution_id,
        customer_id,
        correlation_id,
        content,
        now,
    )
    await connection.execute("SELECT pg_notify($1, '')", WAKE_CHANNEL)


async def take_messages(
    connection: Connection, now: datetime, leased_until: datetime, count: int
) -> list[Message]:
    """Lease messages that are due; of ``sending`` ones those whose process is gone."""
    rows = await connection.fetch(
        """
        UPDATE messages m SET leased_until = $2 FROM (
            SELECT project_id, message_id FROM messages
            WHERE status IN ('queued', 'sending') AND due_at <= $1
              AND (leased_until IS NULL OR leased_until <= $1)
            ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) AS due
        WHERE m.project_id = due.project_id AND m.message_id = due.message_id
        RETURNING m.project_id, m.message_id, m.correlation_id, m.content, m.status, m.attempts
        """,
        now,
        leased_until,
        count,
    )
    return [Message(*row) for row in rows]


async def mark_sending(connection: Connection, message: Message, now: datetime) -> bool:
    """Record that the server is about to get the message. False if the lease was lost."""
    done = await connection.execute(
        """
        UPDATE messages SET status = 'sending', attempts = attempts + 1
        WHERE project_id = $1 AND message_id = $2 AND status = 'queued' AND attempts = $3
          AND leased_until > $4
        """,
        message.project_id,
        message.message_id,
        message.attempts,
        now,
    )
    return str(done) == "UPDATE 1"


async def retry_message(
    connection: Connection, message: Message, attempts: int, due_at: datetime, reason: str
) -> None:
    """Try again at ``due_at``: the server definitely does not have the message."""
    await connection.execute(
        """
        UPDATE messages SET status = 'queued', attempts = $3, due_at = $4, leased_until = NULL,
            reason = $5
        WHERE project_id = $1 AND message_id = $2 AND status IN ('queued', 'sending')
        """,
        message.project_id,
        message.message_id,
        attempts,
        due_at,
        reason,
    )


async def end_message(
    connection: Connection, message: Message, status: str, attempts: int, reason: str | None
) -> bool:
    """End the message; False if somebody else did."""
    done = await connection.execute(
        """
        UPDATE messages SET status = $3, attempts = $4, reason = $5, leased_until = NULL
        WHERE project_id = $1 AND message_id = $2 AND status IN ('queued', 'sending')
        """,
        message.project_id,
        message.message_id,
        status,
        attempts,
        reason,
    )
    return str(done) == "UPDATE 1"


# -- audit ---------------------------------------------------------------------------------------


async def assignments(connection: Connection) -> list[tuple[str, str, str]]:
    """Return (project, code, publication) of every assigned code."""
    rows = await connection.fetch("SELECT project_id, code, publication_id FROM assigned_codes")
    return [(row[0], row[1], row[2]) for row in rows]


async def wrong_free_codes(connection: Connection, count: int) -> list[tuple[str, str]]:
    """Return (project, code) where free_codes is not the pool minus the assigned codes."""
    rows = await connection.fetch(
        """
        (SELECT project_id, code FROM pool WHERE campaign_id IS NOT NULL
         EXCEPT SELECT project_id, code FROM assigned_codes
         EXCEPT SELECT project_id, code FROM free_codes)
        UNION ALL
        (SELECT f.project_id, f.code FROM free_codes f
         WHERE NOT EXISTS (SELECT 1 FROM pool p WHERE p.project_id = f.project_id
                           AND p.code = f.code AND p.campaign_id = f.campaign_id)
            OR EXISTS (SELECT 1 FROM assigned_codes a WHERE a.project_id = f.project_id
                       AND a.code = f.code))
        LIMIT $1
        """,
        count,
    )
    return [(row[0], row[1]) for row in rows]


async def message_statuses(connection: Connection) -> dict[tuple[str, str], str]:
    """Return the status of every message's row."""
    rows = await connection.fetch("SELECT project_id, message_id, status FROM messages")
    return {(row[0], row[1]): row[2] for row in rows}
