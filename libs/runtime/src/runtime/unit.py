"""What the handling of one message reads and stages, and how a batch of them is written at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

import asyncpg
from pydantic import BaseModel

from contracts import topics
from contracts.messages import Envelope, Event, Message, Position
from runtime import event_store, ids
from runtime.aggregate import Aggregate
from runtime.database import Connection
from runtime.event_store import StoredEvent

S = TypeVar("S", bound=BaseModel)
StreamKey = tuple[str, str]


class Slot(NamedTuple):
    """The folded state of a stream, as read or staged."""

    version: int
    hash: bytes
    state: BaseModel | None


NO_STREAM = Slot(0, b"", None)


class Forwarded(NamedTuple):
    """A message to send after the commit in place of a reply."""

    topic: str
    key: str
    message: Message


@dataclass
class Batch:
    """Everything that one transaction stages. Units add to it as they succeed."""

    connection: Connection
    service: str
    partitions: int
    now: datetime
    context: Any = None
    slots: dict[StreamKey, Slot] = field(default_factory=dict)
    changed: set[StreamKey] = field(default_factory=set)
    events: list[StoredEvent] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    found_at: dict[StreamKey, Position] = field(default_factory=dict)
    """Where the newest events are of streams that were answered from, and not changed."""

    async def prefetch(self, streams: Sequence[tuple[str, Aggregate[Any], str]]) -> None:
        """Load the aggregates ``(project_id, aggregate, id)``; one query."""
        wanted = {
            (project_id, aggregate.stream(aggregate_id)): aggregate
            for project_id, aggregate, aggregate_id in streams
        }
        missing = {key: found for key, found in wanted.items() if key not in self.slots}
        if not missing:
            return
        rows = await self.connection.fetch(
            """
            SELECT a.project_id, a.stream_id, a.version, a.hash, a.state
            FROM unnest($1::text[], $2::text[]) AS k(project_id, stream_id)
            JOIN aggregates a USING (project_id, stream_id)
            """,
            [key[0] for key in missing],
            [key[1] for key in missing],
        )
        self.slots.update(dict.fromkeys(missing, NO_STREAM))
        for row in rows:
            key = (row["project_id"], row["stream_id"])
            state = missing[key].state_type.model_validate(row["state"])
            self.slots[key] = Slot(row["version"], row["hash"], state)

    async def write(self) -> None:
        """Write aggregates, then events: the append is last because it takes the log's lock."""
        if self.changed:
            await self._write_aggregates()
        if self.events:
            self.positions = await event_store.append(self.connection, self.events)

    async def find(self, unchanged: Iterable[StreamKey]) -> None:
        """Look up where the streams' newest events are: whoever is told of them may read them next."""
        wanted = {key: self.slots[key].version for key in unchanged}
        if wanted:
            rows = await event_store.places_of(self.connection, wanted)
            self.found_at = {
                key: Position(self.service, partition, at) for key, (partition, at) in rows.items()
            }

    async def _write_aggregates(self) -> None:
        keys = sorted(self.changed)
        slots = [self.slots[key] for key in keys]
        states = [slot.state for slot in slots]
        await self.connection.execute(
            """
            INSERT INTO aggregates (project_id, stream_id, version, hash, state)
            SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::bytea[], $5::jsonb[])
            ON CONFLICT (project_id, stream_id)
            DO UPDATE SET version = EXCLUDED.version, hash = EXCLUDED.hash, state = EXCLUDED.state
            """,
            [key[0] for key in keys],
            [key[1] for key in keys],
            [slot.version for slot in slots],
            [slot.hash for slot in slots],
            [None if state is None else state.model_dump(mode="json") for state in states],
        )

    def positions_of(self, first: int, count: int) -> list[Position]:
        """Return where ``count`` events from index ``first`` ended up, newest per partition."""
        newest: dict[int, int] = {}
        for index in range(first, first + count):
            newest[self.events[index].partition] = self.positions[index]
        return [Position(self.service, part, at) for part, at in sorted(newest.items())]


class Unit:
    """What one message may read and stage. Nothing of it is kept if the handler raises."""

    def __init__(self, batch: Batch, envelope: Envelope) -> None:
        self.envelope = envelope
        self.project_id = envelope.project_id
        self.now = batch.now
        self.context = batch.context
        self.has_used_sql = False
        self.forwarded: Forwarded | None = None
        self._batch = batch
        self._slots: dict[StreamKey, Slot] = {}
        self._loaded: set[StreamKey] = set()
        self._events: list[StoredEvent] = []
        self._first = 0
        self._is_kept = False

    @property
    def connection(self) -> Connection:
        """The transaction's connection; what is written through it goes if the handler raises."""
        self.has_used_sql = True
        return self._batch.connection

    @property
    def events(self) -> Sequence[StoredEvent]:
        """What this unit staged."""
        return self._events

    @property
    def positions(self) -> list[Position]:
        """Where in the log this unit's events are, and those that it answered from; known after the write.

        Who asks for what is so already changes nothing, and is shown it all the same.
        """
        if not self._is_kept:
            return []
        newest = {
            one.partition: one for one in self._batch.positions_of(self._first, len(self._events))
        }
        for key in self.unchanged:
            if key in self._batch.found_at:
                found = self._batch.found_at[key]
                newest[found.partition] = max(found, newest.get(found.partition, found))
        return [newest[partition] for partition in sorted(newest)]

    @property
    def unchanged(self) -> set[StreamKey]:
        """The streams that this unit has read, and left as they were."""
        return {key for key in self._loaded - self._slots.keys() if self._batch.slots[key].version}

    def new_id(self, prefix: str) -> str:
        """Return a fresh random id."""
        return ids.new_id(prefix)

    async def load(self, aggregate: Aggregate[S], aggregate_id: str) -> S | None:
        """Return the aggregate's state, with what was staged before; None if it has no events."""
        key = (self.project_id, aggregate.stream(aggregate_id))
        if key not in self._slots and key not in self._batch.slots:
            await self._batch.prefetch([(self.project_id, aggregate, aggregate_id)])
        self._loaded.add(key)
        state = self._slot(key).state
        assert state is None or isinstance(state, aggregate.state_type), f"{key} is another type"
        return state

    def append(self, aggregate: Aggregate[S], aggregate_id: str, *events: Event) -> S:
        """Stage events of a loaded aggregate; returns its new state."""
        stream = aggregate.stream(aggregate_id)
        key = (self.project_id, stream)
        slot = self._slot(key)
        for event in events:
            staged = self._stage(stream, event, slot.version + 1, slot.hash, None)
            state = aggregate.evolve(slot.state, event)  # type: ignore[arg-type]
            slot = Slot(staged.stream_version, staged.hash, state)
        if events:
            self._slots[key] = slot
        assert slot.state is not None, f"{stream} has no events"
        return slot.state  # type: ignore[return-value]

    def publish_event(
        self,
        stream: str,
        event: Event,
        *,
        version: int = 1,
        previous_hash: bytes = b"",
        topic: str | None = None,
    ) -> StoredEvent:
        """Stage an event of a stream that has no aggregate; ``topic`` if it is not the service's own.

        ``version`` and ``previous_hash`` continue a stream whose last event the caller knows.
        """
        return self._stage(stream, event, version, previous_hash, topic)

    def forward(self, topic: str, key: str, message: Message) -> None:
        """Pass the request on after the commit; whoever gets it answers the caller."""
        assert self.forwarded is None, "a request is passed on once"
        self.forwarded = Forwarded(topic, key, message)

    def keep(self) -> None:
        """Merge what was staged into the batch: the handler has succeeded."""
        assert not self._is_kept, "a unit is kept once"
        self._is_kept = True
        self._first = len(self._batch.events)
        self._batch.events.extend(self._events)
        self._batch.slots.update(self._slots)
        self._batch.changed.update(self._slots)

    def _slot(self, key: StreamKey) -> Slot:
        slot = self._slots.get(key) or self._batch.slots.get(key)
        assert slot is not None, f"load {key[1]} before appending to it"
        return slot

    def _stage(
        self, stream: str, event: Event, version: int, previous_hash: bytes, topic: str | None
    ) -> StoredEvent:
        event_id = ids.new_id("ev")
        data = event.to_json().decode()
        batch = self._batch
        staged = StoredEvent(
            project_id=self.project_id,
            stream_id=stream,
            stream_version=version,
            event_id=event_id,
            type=event.TYPE,
            topic=topic or topics.events(batch.service),
            partition=event_store.partition_of(self.project_id, stream, batch.partitions),
            data=data,
            hash=event_store.chain_hash(previous_hash, event_id, event.TYPE, version, data),
            occurred_at=batch.now,
            correlation_id=self.envelope.correlation_id or self.envelope.id,
            causation_id=self.envelope.id,
        )
        self._events.append(staged)
        return staged


async def savepoint(connection: Connection) -> asyncpg.transaction.Transaction:
    """Start a savepoint inside the transaction."""
    point = connection.transaction()
    await point.start()
    return point
