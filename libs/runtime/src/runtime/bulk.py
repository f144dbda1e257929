"""Asynchronous changes of many things, part by part, each a transaction; fair between projects and actions.

A service says what a change of each kind is (``Bulk``), takes the parts by a command and runs the worker.
An element that is refused changes nothing and is told with its reason; the others are done. Killed
anywhere, a worker leaves whole parts: the row lock ends with its connection, and the next one goes on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import structlog

from contracts.bulk import (
    BulkAction,
    BulkAdvanced,
    BulkElement,
    BulkPart,
    BulkRefusal,
    BulkStarted,
    evolve,
)
from contracts.errors import DomainError, ErrorBody, JsonObject
from contracts.limits import BULK_PART_ELEMENTS_MAX
from contracts.messages import Envelope
from contracts.payload import refuse
from runtime import clock, ids, limits, metrics
from runtime.aggregate import Aggregate
from runtime.consumer import Handler, Prepare
from runtime.database import CONTENTION_ERRORS, Connection, is_passing
from runtime.service import Service
from runtime.unit import Batch, Unit, savepoint

logger = structlog.get_logger()

Change = Callable[[Unit, JsonObject], Awaitable[None]]


class Kind(NamedTuple):
    """What an action of one public type does with each of its elements."""

    change: Change
    streams: Callable[[str, JsonObject], Iterable[tuple[Aggregate[Any], str]]]
    """The aggregates that an element names, so that a part reads them at once; lenient."""


class Job(NamedTuple):
    """An action that waits, or is at work."""

    project_id: str
    action_id: str
    correlation_id: str


class Bulk:
    """A service's asynchronous changes: its command's handler, and the worker that carries them out."""

    def __init__(
        self,
        service: str,
        started: type[BulkStarted],
        advanced: type[BulkAdvanced],
        kinds: Mapping[str, Kind],
        prepare: Prepare | None = None,
    ) -> None:
        self.aggregate = Aggregate("bulk", BulkAction, evolve, service=service)
        self._started = started
        self._advanced = advanced
        self._kinds = kinds
        self._prepare = prepare

    @property
    def handler(self) -> Handler:
        """What the service's command of a part calls."""
        return Handler(
            self.take_part, streams=lambda command: [(self.aggregate, command.action_id)]
        )

    async def take_part(self, unit: Unit, command: BulkPart) -> JsonObject:
        """Keep a part; with the last one the action begins."""
        if command.kind not in self._kinds:
            raise refuse("kind", "must be an action of this service")
        if not 1 <= len(command.elements) <= BULK_PART_ELEMENTS_MAX:
            raise refuse("elements", f"must be 1 to {BULK_PART_ELEMENTS_MAX}")
        job = Job(
            unit.project_id, command.action_id, unit.envelope.correlation_id or unit.envelope.id
        )
        assert await unit.load(self.aggregate, job.action_id) is None, "its parts come first"
        await _forget_unfinished(unit)
        await _insert_part(unit, command)
        if command.is_last:
            parts, total = await _received(unit.connection, job)
            if parts != command.part + 1:
                raise refuse("part", f"must follow the others: {parts} are there")
            event = self._started(
                action_id=job.action_id, kind=command.kind, total=total, started_at=unit.now
            )
            unit.append(self.aggregate, job.action_id, event)
            await _insert_job(unit, job)
        return {"async_action_id": job.action_id}

    async def work(self, service: Service) -> None:
        """Carry out what waits, for ever; any number of processes may."""
        while True:
            if not await self.run_part(service):
                await asyncio.sleep(limits.BULK_IDLE_S)

    async def run_part(self, service: Service) -> bool:
        """Do one part of the action that waited longest; False if none waits that is free."""
        async with service.pool.acquire() as connection:
            waiting = await _waiting(connection)
        for job in waiting:
            try:
                if await self._do_part(service, job):
                    return True
            except CONTENTION_ERRORS as error:
                # Somebody changed one of the things meanwhile: nothing was written, the next try sees it.
                logger.info("part_repeated", action_id=job.action_id, error=type(error).__name__)
                return True
        return False

    async def _do_part(self, service: Service, job: Job) -> bool:
        envelope = Envelope(
            id=ids.new_id("job"),
            type="",
            source=service.name,
            time=clock.now(),
            project_id=job.project_id,
            correlation_id=job.correlation_id,
        )
        async with service.pool.acquire() as connection, connection.transaction():
            if not await _claim(connection, job):
                return False
            batch = Batch(
                connection, service.name, service.settings.event_partitions, envelope.time
            )
            await self._change_all(batch, envelope, job)
            await batch.write()
        metrics.EVENTS.inc(len(batch.events))
        service.wake_relay()
        return True

    async def _change_all(self, batch: Batch, envelope: Envelope, job: Job) -> None:
        number, elements = await _first_part(batch.connection, job)
        await batch.prefetch([(job.project_id, self.aggregate, job.action_id)])
        unit = Unit(batch, envelope)
        state = await unit.load(self.aggregate, job.action_id)
        assert state is not None, f"{job.action_id} is queued and was never started"
        kind = self._kinds[state.kind]
        bodies = [one.body for one in elements]
        if self._prepare is not None:
            messages = [(envelope, body) for body in bodies]
            batch.context = await self._prepare(batch.connection, messages)
        named = [found for body in bodies for found in kind.streams(job.project_id, body)]
        await batch.prefetch([(job.project_id, aggregate, one) for aggregate, one in named])
        judged = [await _change(batch, envelope, kind, one) for one in elements]
        event = self._advanced(
            action_id=job.action_id,
            done=state.done + len(elements),
            total=state.total,
            refused=[one for one in judged if one is not None],
            advanced_at=batch.now,
        )
        unit.append(self.aggregate, job.action_id, event)
        unit.keep()
        await _end_part(batch.connection, job, number, is_done=event.done == event.total)


async def _change(
    batch: Batch, envelope: Envelope, kind: Kind, element: BulkElement
) -> BulkRefusal | None:
    """Make one change, or return why it was refused; a refusal leaves nothing behind.

    So does a fault of the change itself: it would come again, and hold up everybody's actions.
    """
    unit = Unit(batch, envelope)
    point = await savepoint(batch.connection)
    try:
        await kind.change(unit, element.body)
    except Exception as error:
        if is_passing(error) or isinstance(error, CONTENTION_ERRORS):
            raise
        await point.rollback()
        told = _told(error, envelope)
        return BulkRefusal(
            row=element.row,
            source_id=_text(element.body.get("source_id")),
            code=_text(element.body.get("code")),
            key=told.key,
            message=told.message,
            details=told.details or told.message,
        )
    await point.commit()
    unit.keep()
    return None


def _told(error: Exception, envelope: Envelope) -> ErrorBody:
    if isinstance(error, DomainError):
        return error.body()
    logger.error("change_failed", correlation_id=envelope.correlation_id, exc_info=error)
    return ErrorBody(code=500, key="internal_error", message="Internal error")


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


async def audit(connection: Connection, service: str) -> list[str]:
    """Return where the queue and the streams of actions differ: what is left is what is not done."""
    rows = await connection.fetch(
        """
        WITH left_over AS (
            SELECT j.project_id, j.action_id, sum(jsonb_array_length(p.elements)) AS count
            FROM bulk_jobs j LEFT JOIN bulk_parts p USING (project_id, action_id) GROUP BY 1, 2
        ), logged AS (
            SELECT project_id, state ->> 'action_id' AS action_id,
                   (state ->> 'total')::bigint - (state ->> 'done')::bigint AS count
            FROM aggregates WHERE stream_id LIKE 'bulk-%'
        )
        SELECT coalesce(o.project_id, l.project_id) AS project_id,
               coalesce(o.action_id, l.action_id) AS action_id,
               coalesce(o.count, 0) AS waiting, coalesce(l.count, 0) AS open
        FROM left_over o FULL JOIN logged l
          ON l.project_id = o.project_id AND l.action_id = o.action_id
        WHERE coalesce(o.count, 0) <> coalesce(l.count, 0)
        ORDER BY 1, 2 LIMIT $1
        """,
        limits.BULK_FINDINGS_MAX,
    )
    return [
        f"{service}: action {row['action_id']} of project {row['project_id']} has {row['open']}"
        f" changes to make, {row['waiting']} wait"
        for row in rows
    ]


# -- the queue -------------------------------------------------------------------------------------


async def _forget_unfinished(unit: Unit) -> None:
    """Drop parts whose last one never came: whoever sent them has gone and was told nothing."""
    await unit.connection.execute(
        """
        DELETE FROM bulk_parts p WHERE p.project_id = $1 AND p.received_at < $2 AND NOT EXISTS (
            SELECT 1 FROM bulk_jobs j WHERE j.project_id = $1 AND j.action_id = p.action_id)
        """,
        unit.project_id,
        unit.now - timedelta(hours=limits.BULK_UNFINISHED_HOURS),
    )


async def _insert_part(unit: Unit, command: BulkPart) -> None:
    await unit.connection.execute(
        """
        INSERT INTO bulk_parts (project_id, action_id, part, elements, received_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project_id, action_id, part) DO NOTHING
        """,
        unit.project_id,
        command.action_id,
        command.part,
        [one.model_dump(mode="json") for one in command.elements],
        unit.now,
    )


async def _received(connection: Connection, job: Job) -> tuple[int, int]:
    """Return how many parts of the action are there, and how many elements."""
    row = await connection.fetchrow(
        """
        SELECT count(*) AS parts, coalesce(sum(jsonb_array_length(elements)), 0) AS total
        FROM bulk_parts WHERE project_id = $1 AND action_id = $2
        """,
        job.project_id,
        job.action_id,
    )
    assert row is not None, "an aggregate has a row"
    return row["parts"], int(row["total"])


async def _insert_job(unit: Unit, job: Job) -> None:
    await unit.connection.execute(
        """
        INSERT INTO bulk_jobs (project_id, action_id, correlation_id, created_at)
        VALUES ($1, $2, $3, $4)
        """,
        *job,
        unit.now,
    )


async def _waiting(connection: Connection) -> list[Job]:
    """Return actions to go on with, of every project the one that waited longest, in turn."""
    rows = await connection.fetch(
        """
        SELECT project_id, action_id, correlation_id FROM (
            SELECT DISTINCT ON (project_id) project_id, action_id, correlation_id, turn, created_at
            FROM bulk_jobs ORDER BY project_id, turn, created_at, action_id) AS first
        ORDER BY turn, created_at, action_id LIMIT $1
        """,
        limits.BULK_CANDIDATES_MAX,
    )
    return [Job(*row) for row in rows]


async def _claim(connection: Connection, job: Job) -> bool:
    """Lock the action until the transaction ends; False if another worker has it, or had its end."""
    found = await connection.fetchval(
        """
        SELECT 1 FROM bulk_jobs WHERE project_id = $1 AND action_id = $2 FOR UPDATE SKIP LOCKED
        """,
        job.project_id,
        job.action_id,
    )
    return found is not None


async def _first_part(connection: Connection, job: Job) -> tuple[int, list[BulkElement]]:
    row = await connection.fetchrow(
        """
        SELECT part, elements FROM bulk_parts WHERE project_id = $1 AND action_id = $2
        ORDER BY part LIMIT 1
        """,
        job.project_id,
        job.action_id,
    )
    assert row is not None, f"{job.action_id} is queued and has no parts left"
    return row["part"], [BulkElement.model_validate(one) for one in row["elements"]]


async def _end_part(connection: Connection, job: Job, part: int, *, is_done: bool) -> None:
    """Remove the part; the action goes to the end of the queue, or out of it."""
    await connection.execute(
        "DELETE FROM bulk_parts WHERE project_id = $1 AND action_id = $2 AND part = $3",
        job.project_id,
        job.action_id,
        part,
    )
    if is_done:
        await connection.execute(
            "DELETE FROM bulk_jobs WHERE project_id = $1 AND action_id = $2",
            job.project_id,
            job.action_id,
        )
        return
    await connection.execute(
        """
        UPDATE bulk_jobs SET turn = nextval('bulk_turns') WHERE project_id = $1 AND action_id = $2
        """,
        job.project_id,
        job.action_id,
    )
