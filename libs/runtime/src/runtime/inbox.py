"""What all consumers share: offsets in Postgres, retries, dead letters, streams held back.

One fetched batch is one transaction. Postgres holds the offsets, beside what the records produced;
Kafka's own are a hint for tools. A handler's fault is retried alone a bounded number of times and
then kept as a dead letter; a fault of the infrastructure is retried until it has gone.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol

import asyncpg
import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka import KafkaBroker

from contracts import topics
from contracts.errors import DomainError, Unavailable
from contracts.messages import Envelope
from runtime import batches, clock, limits, log, metrics
from runtime.batches import Place, Record, Standing
from runtime.bus import Bus, Outgoing
from runtime.crash_points import crash_point
from runtime.database import (
    CONTENTION_ERRORS,
    INFRASTRUCTURE_ERRORS,
    Connection,
    Pool,
    is_passing,
    unavailable_by,
)
from runtime.positions import Positions
from runtime.settings import Settings

logger = structlog.get_logger()
BUSY = {topics.events("ledger"), topics.events("customers")}
"""What checkouts write. Consumers of definitions alone are not paced: commands read what these fold."""
CORRELATION_IDS_MAX = 20
"""Of a batch that failed, so many are named in its line of the log."""


class Read(NamedTuple):
    """A record with its envelope; ``reason`` says why it has none."""

    record: Record
    envelope: Envelope | None
    reason: str = ""


class Item(NamedTuple):
    """A record that the consumer understands."""

    record: Record
    envelope: Envelope
    message: Any


class Unreadable(Exception):
    """The record is no message of this topic; it becomes a dead letter at once."""


class _Gap(Exception):
    """Records between the stored offset and the first one fetched were never handled."""


class Missing(NamedTuple):
    """An event of the log that is not in the topic, where a partition therefore stands still."""

    place: Place
    offset: int
    """Of the record that cannot be taken before it."""
    applied: int
    """Position of the last event applied."""
    expected: int
    """Position of the event that is missing; others may be missing between the two."""

    def __str__(self) -> str:
        return f"{self.place[0]}/{self.place[1]}: position {self.expected} after {self.applied}"


class _MissingEvent(Exception):
    def __init__(self, missing: Missing) -> None:
        super().__init__(str(missing))
        self.missing = missing


class TryAgain(Exception):
    """The same batch succeeds when it is taken again."""


class Result(NamedTuple):
    """How one message ended, for the log and the metrics; ``error`` is a refusal's key."""

    envelope: Envelope | None
    outcome: str
    error: str = ""


@dataclass
class Outcome:
    """What is left to do after the commit."""

    sends: list[Outgoing] = field(default_factory=list)
    event_count: int = 0
    results: list[Result] = field(default_factory=list)


class Progress(NamedTuple):
    """When a partition moved on (monotonic), and how old its newest record then was."""

    at: float
    age_s: float


NO_PROGRESS = Progress(0.0, 0.0)


class Host(Protocol):
    """What a consumer needs of its service."""

    name: str
    settings: Settings
    pool: Pool
    bus: Bus
    positions: Positions
    caught_up: asyncio.Event

    def wake_relay(self) -> None:
        """Tell the relay that events were committed."""


class Consumer:
    """Base of all consumers; a subclass says what a record means and what a batch does."""

    reads_events: ClassVar[bool] = False
    """Its topics carry logs: positions are tracked, repeated events dropped, streams held back."""
    feeds_read_models: ClassVar[bool] = False
    """Whoever waits for what was just written waits for it. No other consumer counts: a reaction to the
    same topic may be ahead of the projection."""

    def __init__(self, name: str, topics: Iterable[str]) -> None:
        self.name = name
        self.topics = sorted(topics)
        self._host: Host | None = None
        self._kafka: Any = None
        self._subscriber: Any = None
        self._done: dict[Place, int] = {}
        self._hints = batches.Hints()
        self._applied: dict[Place, int] = {}
        self._accepted_gaps: dict[Place, int] = {}
        self.missing: dict[Place, Missing] = {}
        """Partitions that stand still because the topic lacks an event of the log."""
        self._standing_still: set[Place] = set()
        self.progress: dict[Place, Progress] = {}
        """When each partition was last moved on, and how old what it applied then was."""

    def bind(self, host: Host) -> None:
        """Attach to the service that runs it."""
        self._host = host

    @property
    def host(self) -> Host:
        """The service."""
        assert self._host is not None, "the consumer is not bound to a service"
        return self._host

    def parse(self, envelope: Envelope, record: Record) -> Any:
        """Return the message, or None if it does not concern this consumer."""
        raise NotImplementedError

    def read(self, record: Record) -> Read:
        """Read the record's envelope."""
        try:
            return Read(record, Envelope.from_headers(record.headers))
        except (ValueError, UnicodeDecodeError) as error:
            return Read(record, None, str(error))

    async def apply(self, connection: Connection, items: Sequence[Item]) -> Outcome:
        """Handle the batch inside the transaction; raises ``TryAgain`` to have it taken anew."""
        raise NotImplementedError

    def refuse(self, read: Read, reason: str) -> list[Outgoing]:
        """Return what to tell whoever sent a record that became a dead letter."""
        del read, reason
        return []

    def put_off(self, read: Read, error: Unavailable) -> list[Outgoing]:
        """Return what to tell whoever waits for a record that is tried again until there is room."""
        del read, error
        return []

    # -- taking batches -------------------------------------------------------------------------

    async def take_paced(self, records: Sequence[Record]) -> None:
        """Handle the records, and rest: what comes meanwhile is one batch (ADR 0017).

        A backlog is worked off without a rest, and none is taken while somebody waits for a projection.
        """
        started = time.monotonic()
        await self.take(records)
        rest_s = started + self.host.settings.event_batch_interval_s - time.monotonic()
        if rest_s > 0 and len(records) < limits.BACKLOG_RECORDS:
            await self.host.positions.rest(rest_s)

    async def take(self, records: Sequence[Record]) -> None:
        """Handle the records; returns when they are committed, refused, or left to be fetched again.

        A fault that came after a long time may have come of it: half as many are tried from then on.
        """
        conflicts = 0
        faults = 0
        records = self._moving(records)
        size = len(records)
        while records:
            part = batches.beginning(records, size)
            started = time.monotonic()
            try:
                await self._once(part)
            except _MissingEvent as error:
                self._stand_still(error.missing)
                records = self._before(records, error.missing)
            except ValueError as error:
                # Also what asyncpg raises, as an InterfaceError, for an argument of the wrong type.
                self._tell_failed(records, error)
                break
            except asyncpg.DiskFullError as error:
                await self._wait_for_room(records, error)
                return
            except INFRASTRUCTURE_ERRORS as error:
                faults += 1
                if time.monotonic() - started > limits.BATCH_S_MAX:
                    size = max(len(part) // 2, 1)
                await self._pause(faults, "infrastructure", error)
            except TryAgain:
                continue
            except CONTENTION_ERRORS as error:
                conflicts += 1
                if conflicts > limits.CONTENTION_RETRIES_MAX:
                    break
                await self._pause(conflicts, "contention", error)
            except _Gap as gap:
                logger.warning("offset_gap", consumer=self.name, gap=str(gap))
                await self.seek_to_stored({(r.topic, r.partition) for r in records})
                return
            except Exception as error:  # noqa: BLE001 - whatever a handler raises is isolated below
                self._tell_failed(records, error)
                break
            else:
                records = records[len(part) :]
        for record in records:
            if (record.topic, record.partition) not in self._standing_still:
                await self._take_alone(record)

    async def _take_alone(self, record: Record) -> None:
        attempts = 0
        faults = 0
        while True:
            try:
                await self._once([record])
            except _MissingEvent as error:
                self._stand_still(error.missing)
                return
            except _Gap:
                await self.seek_to_stored({(record.topic, record.partition)})
                return
            except TryAgain:
                continue
            except Exception as error:
                if is_passing(error):
                    faults += 1
                    await self._pause(faults, "infrastructure", error)
                    continue
                attempts += 1
                given_up = attempts >= self.host.settings.retry_attempts_max
                if given_up or isinstance(error, DomainError):
                    is_refusal = isinstance(error, DomainError)  # whose words name codes
                    logger.exception(
                        "message_given_up",
                        consumer=self.name,
                        topic=record.topic,
                        correlation_id=correlation_id(self.read(record).envelope),
                        error=type(error).__name__,
                        exc_info=None if is_refusal else error,
                    )
                    await self._give_up(record, repr(error))
                    return
                await self._pause(attempts, "handler", error)
            else:
                return

    async def _give_up(self, record: Record, reason: str) -> None:
        faults = 0
        while True:
            try:
                await self._once([record], dead_because=reason)
            except INFRASTRUCTURE_ERRORS as error:
                faults += 1
                await self._pause(faults, "infrastructure", error)
            else:
                return

    async def _wait_for_room(self, records: Sequence[Record], error: asyncpg.DiskFullError) -> None:
        """Let nobody wait for room on a disk, which may take hours; those that come meanwhile neither."""
        logger.error("storage_full", consumer=self.name, records=len(records), error=repr(error))
        metrics.RETRIES.labels(self.name, "infrastructure").inc()
        told = unavailable_by(error)
        reads = [self.read(record) for record in records]
        await self.host.bus.send([one for read in reads for one in self.put_off(read, told)])
        await asyncio.sleep(limits.STORAGE_FULL_PAUSE_S)
        first = {(one.topic, one.partition): one.offset for one in reversed(records)}
        for place, offset in first.items():
            self._seek(place, offset)

    def _seek(self, place: Place, offset: int) -> None:
        if self._kafka is not None:
            partition = TopicPartition(self.host.settings.topic_prefix + place[0], place[1])
            with contextlib.suppress(KafkaError):  # taken away meanwhile: its new owner seeks
                self._kafka.seek(partition, offset)

    def _tell_failed(self, records: Sequence[Record], error: Exception) -> None:
        named = [correlation_id(self.read(one).envelope) for one in records[:CORRELATION_IDS_MAX]]
        logger.warning(
            "batch_failed",
            consumer=self.name,
            records=len(records),
            correlation_ids=named,
            error=repr(error),
        )

    # -- events that are missing ----------------------------------------------------------------

    def _moving(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return the records without those of partitions that stand still."""
        if not self._standing_still:
            return records
        return [one for one in records if (one.topic, one.partition) not in self._standing_still]

    @staticmethod
    def _before(records: Sequence[Record], missing: Missing) -> Sequence[Record]:
        return [
            one
            for one in records
            if (one.topic, one.partition) != missing.place or one.offset < missing.offset
        ]

    def _stand_still(self, missing: Missing) -> None:
        """Take nothing more of the partition; every second it is tried whether the event has come."""
        place = missing.place
        if self.missing.get(place) != missing:
            logger.error(
                "event_missing",
                consumer=self.name,
                topic=place[0],
                partition=place[1],
                offset=missing.offset,
                applied_position=missing.applied,
                missing_position=missing.expected,
                mend="make republish",
            )
        self.missing[place] = missing
        self._standing_still.add(place)
        self._call_kafka("pause", {place})
        metrics.MISSING_EVENTS.labels(self.name).set(len(self.missing))

    def _call_kafka(self, action: str, places: Iterable[Place]) -> None:
        if self._kafka is None:
            return
        prefix = self.host.settings.topic_prefix
        with contextlib.suppress(KafkaError):  # taken away meanwhile
            getattr(self._kafka, action)(*(TopicPartition(prefix + t, n) for t, n in places))

    def _goes_on(self, places: Iterable[Place]) -> None:
        for place in places:
            if self.missing.pop(place, None) is not None:
                logger.info("event_came", consumer=self.name, topic=place[0], partition=place[1])
                metrics.MISSING_EVENTS.labels(self.name).set(len(self.missing))

    async def _pause(self, attempt: int, reason: str, error: BaseException) -> None:
        metrics.RETRIES.labels(self.name, reason).inc()
        if isinstance(error, TimeoutError):
            # The other end of this connection is gone without a word, so that of the others may be.
            await self.host.pool.expire_connections()
        logger.info("batch_retried", consumer=self.name, reason=reason, error=repr(error))
        delay = self.host.settings.retry_delay_s * 2 ** min(attempt - 1, 10)
        await asyncio.sleep(min(delay, limits.RETRY_DELAY_S_MAX))

    async def _once(self, records: Sequence[Record], *, dead_because: str | None = None) -> None:
        started = time.perf_counter()
        reads = [self.read(record) for record in records]
        crash_point("before_tx")
        async with self.host.pool.acquire() as connection:
            async with connection.transaction():
                try:
                    fresh, places = await self._advance(connection, reads)
                    outcome = await self._process(connection, fresh, dead_because)
                except TimeoutError:
                    # The other end is gone without a word: a ROLLBACK would wait for it as long again. That
                    # of the other connections may be, too; the retry shall not find out one by one.
                    connection.terminate()
                    await self.host.pool.expire_connections()
                    raise
                crash_point("before_commit")
            crash_point("after_commit")
        took_s = time.perf_counter() - started
        self._done.update({place: at.next_offset for place, at in places.items()})
        self._note_progress(places)
        if self.missing:
            self._goes_on(
                place
                for place, at in places.items()
                if place in self.missing and at.position >= self.missing[place].expected
            )
        if self.reads_events:
            self._applied.update(
                {place: at.position for place, at in places.items() if at.position}
            )
        if self.feeds_read_models:
            self.host.positions.applied(
                {
                    (topic.partition(".")[0], part): at.position
                    for (topic, part), at in places.items()
                }
            )
        if outcome.event_count:
            metrics.EVENTS.inc(outcome.event_count)
            self.host.wake_relay()
        if outcome.sends:
            crash_point("before_reply")
            await self.host.bus.send(outcome.sends)
        metrics.BATCH_SIZE.labels(self.name).observe(len(records))
        metrics.BATCH_SECONDS.labels(self.name).observe(took_s)
        dropped = {
            "repeated": len(records) - len(fresh),
            "ignored": len(fresh) - len(outcome.results),
        }
        tell_results(self.name, outcome.results, took_s, dropped)

    async def replay(self, connection: Connection, record: Record) -> Outcome:
        """Handle a dead letter again, inside the caller's transaction, whatever the offsets say."""
        read = self.read(record)
        if read.envelope is None:
            raise Unreadable(read.reason)
        message = self.parse(read.envelope, record)
        if message is None:
            return Outcome()
        items = [Item(record, read.envelope, message)]
        try:
            async with connection.transaction():
                return await self.apply(connection, items)
        except TryAgain:
            return await self.apply(connection, items)

    async def _process(
        self,
        connection: Connection,
        reads: Sequence[Read],
        dead_because: str | None,
    ) -> Outcome:
        items, dead = await self._sort_out(connection, reads, dead_because)
        outcome = Outcome()
        if items:
            outcome = await self.apply(connection, items)
            if not outcome.results:
                outcome.results = [Result(item.envelope, "ok") for item in items]
            if self.reads_events:
                crash_point("inbox_after_apply")
        if dead:
            await self._store_dead(connection, dead)
            outcome.results.extend(Result(read.envelope, status) for read, status, _ in dead)
            for read, status, reason in dead:
                if status == "failed":
                    outcome.sends.extend(self.refuse(read, reason))
        return outcome

    async def _sort_out(
        self, connection: Connection, reads: Sequence[Read], dead_because: str | None
    ) -> tuple[list[Item], list[tuple[Read, str, str]]]:
        held = await self._held_streams(connection, reads) if self.reads_events else set()
        items: list[Item] = []
        dead: list[tuple[Read, str, str]] = []
        for read in reads:
            stream = _stream_of(read)
            if stream in held:
                dead.append((read, "held", "an earlier event of this stream could not be handled"))
                continue
            reason = dead_because or read.reason
            if not reason and read.envelope is not None:
                try:
                    message = self.parse(read.envelope, read.record)
                except Unreadable as error:
                    reason = str(error)
                else:
                    if message is not None:
                        items.append(Item(read.record, read.envelope, message))
            if reason:
                dead.append((read, "failed", reason))
                if self.reads_events:
                    held.add(stream)
        return items, dead

    async def _held_streams(
        self, connection: Connection, reads: Sequence[Read]
    ) -> set[tuple[str, str]]:
        """Return which of the batch's streams are held back.

        Locks each one's newest letter: whoever replays it waits until what is held behind it now is
        stored, or has replayed it already, and then the stream is free. Without the lock an event
        could be stored as held behind a letter that has just gone, and wait for ever.
        """
        streams = sorted({_stream_of(read) for read in reads})
        if not streams:
            return set()
        rows = await connection.fetch(
            """
            SELECT s.project_id, s.stream_id
            FROM unnest($2::text[], $3::text[]) AS s(project_id, stream_id)
            CROSS JOIN LATERAL (
                SELECT d.id FROM dead_letters d
                WHERE d.consumer = $1 AND d.project_id = s.project_id AND d.stream_id = s.stream_id
                ORDER BY d.id DESC LIMIT 1 FOR SHARE) AS newest
            """,
            self.name,
            [stream[0] for stream in streams],
            [stream[1] for stream in streams],
        )
        return {(row["project_id"], row["stream_id"]) for row in rows}

    async def _store_dead(
        self, connection: Connection, dead: Sequence[tuple[Read, str, str]]
    ) -> None:
        now = clock.now()
        for read, status, reason in dead:
            record = read.record
            project_id, stream_id = _stream_of(read)
            metrics.DEAD_LETTERS.labels(self.name, status).inc()
            logger.error(
                "dead_letter",
                consumer=self.name,
                topic=record.topic,
                partition=record.partition,
                offset=record.offset,
                status=status,
                reason=reason.partition("(")[0],  # its words, which name codes, are in the row
                correlation_id=correlation_id(read.envelope),
            )
            await connection.execute(
                """
                INSERT INTO dead_letters (project_id, consumer, topic, partition, record_offset,
                                          stream_id, status, reason, key, headers, value, stored_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                """,
                project_id,
                self.name,
                record.topic,
                record.partition,
                record.offset,
                stream_id,
                status,
                reason.replace("\x00", "\ufffd")[:2000],
                record.key,
                pack_headers(record.headers),
                record.value,
                now,
            )

    # -- offsets --------------------------------------------------------------------------------

    async def _advance(
        self, connection: Connection, reads: Sequence[Read]
    ) -> tuple[list[Read], dict[Place, "_Advanced"]]:
        """Move the stored offsets past the batch; returns what was not handled before."""
        places: dict[Place, _Advanced] = {}
        for read in reads:
            place = (read.record.topic, read.record.partition)
            known = places.get(place)
            position = read.envelope.position if read.envelope else 0
            places[place] = _Advanced(
                known.first_offset if known else read.record.offset,
                read.record.offset + 1,
                max(known.position if known else 0, position),
                read.envelope.time if read.envelope else None,
            )
        rows = await connection.fetch(
            """
            UPDATE consumer_offsets o
            SET next_offset = GREATEST(o.next_offset, g.next_offset), previous_offset = o.next_offset,
                position = GREATEST(o.position, g.position), previous_position = o.position
            FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[])
                 AS g(topic, partition, next_offset, position)
            WHERE o.consumer = $1 AND o.topic = g.topic AND o.partition = g.partition
            RETURNING o.topic, o.partition, o.previous_offset, o.previous_position
            """,
            self.name,
            [place[0] for place in places],
            [place[1] for place in places],
            [at.next_offset for at in places.values()],
            [at.position for at in places.values()],
        )
        stored = {(row["topic"], row["partition"]): row for row in rows}
        if len(stored) < len(places):
            async with self.host.pool.acquire() as other:
                # Those alone: this transaction holds the others, and would be waited for.
                await self._ensure_offsets(other, places.keys() - stored.keys())
            raise TryAgain
        self._check_gaps(places, stored)
        return self._fresh(reads, stored), places

    def _check_gaps(self, places: dict[Place, "_Advanced"], stored: dict[Place, Any]) -> None:
        for place, at in places.items():
            expected = stored[place]["previous_offset"]
            if at.first_offset > expected and self._accepted_gaps.get(place) != at.first_offset:
                # The second time the broker has nothing in between: retention has removed it.
                self._accepted_gaps[place] = at.first_offset
                message = f"{place}: stored {expected}, fetched {at.first_offset}"
                raise _Gap(message)

    def _fresh(self, reads: Sequence[Read], stored: dict[Place, Any]) -> list[Read]:
        """Return what was not handled before.

        An event that its relay published twice has two offsets and one position; both may stand in this
        very batch, most surely when a read model is rebuilt.
        """
        newest = {place: row["previous_position"] for place, row in stored.items()}
        fresh = []
        for read in reads:
            place = (read.record.topic, read.record.partition)
            position = read.envelope.position if self.reads_events and read.envelope else 0
            if position and read.envelope:
                is_fresh = position > newest[place]
                previous = read.envelope.previous_position
                if is_fresh and previous > newest[place]:
                    raise _MissingEvent(Missing(place, read.record.offset, newest[place], previous))
                newest[place] = max(position, newest[place])
            else:
                is_fresh = read.record.offset >= stored[place]["previous_offset"]
            if is_fresh:
                fresh.append(read)
        return fresh

    async def _ensure_offsets(self, connection: Connection, places: set[Place]) -> dict[Place, Any]:
        """Return the stored offsets of the partitions; starts those that are new at zero."""
        ordered = sorted(places)
        names = [place[0] for place in ordered]
        numbers = [place[1] for place in ordered]
        await connection.execute(
            """
            INSERT INTO consumer_offsets (consumer, topic, partition, next_offset)
            SELECT $1, topic, partition, 0 FROM unnest($2::text[], $3::int[]) AS g(topic, partition)
            ON CONFLICT DO NOTHING
            """,
            self.name,
            names,
            numbers,
        )
        rows = await connection.fetch(
            """
            SELECT o.topic, o.partition, o.next_offset, o.position
            FROM unnest($2::text[], $3::int[]) AS g(topic, partition)
            JOIN consumer_offsets o ON o.consumer = $1 AND o.topic = g.topic AND o.partition = g.partition
            """,
            self.name,
            names,
            numbers,
        )
        return {(row["topic"], row["partition"]): row for row in rows}

    async def seek_to_stored(self, places: set[Place]) -> None:
        """Fetch from the stored offsets; called on assignment, after a gap and after a rebuild."""
        async with self.host.pool.acquire() as connection:
            stored = await self._ensure_offsets(connection, places)
        positions = {}
        for (topic, number), row in stored.items():
            self._done[topic, number] = row["next_offset"]
            self._applied[topic, number] = row["position"]
            positions[topic.partition(".")[0], number] = row["position"]
            self._seek((topic, number), row["next_offset"])
        if self.feeds_read_models:
            self.host.positions.owned(positions)

    # -- Kafka ----------------------------------------------------------------------------------

    def subscribe(self, broker: KafkaBroker) -> None:
        """Register with FastStream; the broker starts and stops the fetching."""
        settings = self.host.settings
        self._subscriber = batches.subscribe(
            broker,
            settings,
            f"{self.host.name}.{self.name}",
            self.topics,
            self.take_paced if BUSY.intersection(self.topics) else self.take,
            _Assignment(self, settings.topic_prefix),
        )

    async def on_assigned(self, places: set[Place]) -> None:
        """Start fetching at the stored offsets. A fault here is mended by the offsets' own check."""
        self._kafka = self._subscriber.consumer
        await self.seek_to_stored(places)

    def on_revoked(self, places: set[Place]) -> None:
        """Forget partitions that another process may now own."""
        for place in places:
            self._done.pop(place, None)
            self._applied.pop(place, None)
            self.progress.pop(place, None)
            self._standing_still.discard(place)
        self._goes_on(places)
        if self.feeds_read_models:
            self.host.positions.lost({(topic.partition(".")[0], part) for topic, part in places})

    async def look_after_offsets(self) -> None:
        """Once: notice that a rebuild has set the offsets back, and hint Kafka at where we are."""
        if self._kafka is None or not self._done:
            return
        if self._standing_still:
            places = set(self._standing_still)
            await self.seek_to_stored(places)
            self._standing_still -= places
            self._call_kafka("resume", places)
        done = dict(self._done)
        async with self.host.pool.acquire() as connection:
            stored = await self._ensure_offsets(connection, set(done))
        set_back = {place for place, row in stored.items() if row["next_offset"] < done[place]}
        if set_back:
            logger.info("offsets_set_back", consumer=self.name, partitions=len(set_back))
            await self.seek_to_stored(set_back)
            return
        prefix = self.host.settings.topic_prefix
        hints = {TopicPartition(prefix + topic, part): at for (topic, part), at in done.items()}
        with contextlib.suppress(KafkaError, ValueError):
            await self._hints.tell(self._kafka, hints)

    @property
    def is_subscribed(self) -> bool:
        """Whether a broker feeds it; in unit tests nothing does."""
        return self._subscriber is not None

    async def topic_ends(self) -> dict[Place, int]:
        """Return where its topics end, of all partitions that hold anything; raises without a broker."""
        kafka, prefix = self._subscriber.consumer, self.host.settings.topic_prefix
        places = [
            TopicPartition(prefix + topic, number)
            for topic in self.topics
            for number in kafka.partitions_for_topic(prefix + topic) or ()
        ]
        begins = await kafka.beginning_offsets(places)
        ends = await kafka.end_offsets(places)
        return {
            (place.topic.removeprefix(prefix), place.partition): end
            for place, end in ends.items()
            if end > begins[place]
        }

    async def stored_offsets(self, connection: Connection) -> dict[Place, int]:
        """Return up to where the partitions are handled, by whichever process."""
        rows = await connection.fetch(
            "SELECT topic, partition, next_offset FROM consumer_offsets WHERE consumer = $1",
            self.name,
        )
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    def _note_progress(self, places: dict[Place, "_Advanced"]) -> None:
        now = clock.now()
        for place, at in places.items():
            age_s = (now - at.newest).total_seconds() if at.newest is not None else 0.0
            self.progress[place] = Progress(time.monotonic(), max(age_s, 0.0))

    def position_of(self, place: Place) -> int:
        """Return the position of the last event applied in a partition of this process."""
        return self._applied.get(place, 0)

    async def ends(self) -> dict[Place, Standing]:
        """Return where each of this process's partitions stands and ends, from the broker."""
        if self._kafka is None:
            return {}
        prefix = self.host.settings.topic_prefix
        return await batches.standings(self._kafka, prefix, dict(self._done))


class _Advanced(NamedTuple):
    first_offset: int
    next_offset: int
    position: int
    newest: datetime | None


class _Assignment(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumer: Consumer, prefix: str) -> None:
        self._consumer = consumer
        self._prefix = prefix

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self._consumer.on_revoked(self._places(revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._consumer.on_assigned(self._places(assigned))

    def _places(self, partitions: set[TopicPartition]) -> set[Place]:
        return {(p.topic.removeprefix(self._prefix), p.partition) for p in partitions}


def correlation_id(envelope: Envelope | None) -> str:
    """Return the id that ties this message to the request that began it all."""
    return (envelope.correlation_id or envelope.id) if envelope is not None else ""


def tell_results(
    consumer: str, results: Sequence[Result], took_s: float, dropped: Mapping[str, int]
) -> None:
    """Count the messages of a batch and write one line of the log for each that was handled."""
    counts = Counter(result.outcome for result in results)
    for outcome, count in (*counts.items(), *dropped.items()):
        metrics.MESSAGES.labels(consumer, outcome).inc(count)
    took_ms = round(took_s * 1000, 2)
    log.lines(
        "handled",
        [
            {
                "consumer": consumer,
                "type": envelope.type if envelope is not None else "",
                "project": envelope.project_id if envelope is not None else "",
                "correlation_id": correlation_id(envelope),
                "outcome": outcome,
                **({"error": error} if error else {}),
                "ms": took_ms,
            }
            for envelope, outcome, error in results
        ],
    )


def pack_headers(headers: Iterable[tuple[str, bytes]]) -> list[list[str]]:
    """Return headers as JSON that Postgres takes: U+FFFD, which is not Latin-1, stands for NUL."""
    return [
        [name.replace("\x00", "\ufffd"), value.decode("latin-1").replace("\x00", "\ufffd")]
        for name, value in headers
    ]


def unpack_headers(packed: Iterable[Sequence[str]]) -> tuple[tuple[str, bytes], ...]:
    """Return the headers as they came."""
    return tuple(
        (name.replace("\ufffd", "\x00"), value.replace("\ufffd", "\x00").encode("latin-1"))
        for name, value in packed
    )


def _stream_of(read: Read) -> tuple[str, str]:
    """Return what is held back behind the record; whatever is in it, Postgres can index this."""
    if read.envelope is not None:
        return _indexable(read.envelope.project_id), _indexable(read.envelope.stream)
    return "", _indexable((read.record.key or b"").decode("utf-8", "replace"))


def _indexable(text: str) -> str:
    return text.replace("\x00", "\ufffd")[: limits.STREAM_LENGTH_MAX]
