"""A service's real handlers on a real Postgres, without Kafka: records go in, the log comes out."""

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Self

import orjson

from contracts import topics
from contracts.gateway import Project, ProjectCreated
from contracts.messages import Command, Envelope, Event, Message, Reply, Request
from runtime import clock, event_store, ids, migrate
from runtime.admin import migrate_service
from runtime.batches import Record
from runtime.bus import Outgoing
from runtime.database import open_pool
from runtime.read_model import parse_event
from runtime.requests import RequestConsumer
from runtime.service import Service

REPLIES = "test.replies"
_LANES = itertools.count(1000)
"""A second process reads partitions of its own, as it would in a consumer group."""


class MemoryBus:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Keep the records."""
        self.sent.extend(records)

    async def send_and_wait(self, records: Sequence[Outgoing]) -> None:
        """Keep the records."""
        self.sent.extend(records)


class Harness:
    """``async with Harness(build(settings)) as harness``; the database must be a leased one.

    ``appended`` has all events of the service's log, ``sent`` what it sent besides replies.
    ``is_new`` False joins a database that another harness has set up: a second process.
    """

    def __init__(self, service: Service, *, is_new: bool = True) -> None:
        self.service = service
        self.bus = MemoryBus()
        self.appended: list[Event] = []
        self.envelopes: list[Envelope] = []
        self._is_new = is_new
        self._lane = 0 if is_new else next(_LANES)
        self._read_until = 0
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)
        self._positions: dict[str, int] = defaultdict(int)

    async def __aenter__(self) -> Self:
        if self._is_new:
            await self._set_up()
        self.service.pool = await open_pool(self.service.settings, self.service.name)
        self.service.bus = self.bus
        return self

    async def _set_up(self) -> None:
        import asyncpg  # noqa: PLC0415

        service = self.service
        administrator = await asyncpg.connect(service.settings.database_url)
        try:
            await migrate.create_role_and_schema(administrator, service.settings, service.name)
        finally:
            await administrator.close()
        await migrate_service(service)

    async def __aexit__(self, *error: object) -> None:
        await self.service.pool.close()

    @property
    def sent(self) -> list[Outgoing]:
        """What was sent except replies: requests passed on."""
        return [record for record in self.bus.sent if record.topic != REPLIES]

    async def command(
        self, project_id: str, command: Command, *, key: str = "", fingerprint: str = ""
    ) -> Reply:
        """Handle one command; returns its reply."""
        replies = await self.commands([(project_id, command)], key=key, fingerprint=fingerprint)
        assert replies[0] is not None, "the command was passed on, not answered"
        return replies[0]

    async def commands(
        self, commands: Sequence[tuple[str, Command]], *, key: str = "", fingerprint: str = ""
    ) -> list[Reply | None]:
        """Handle commands as one batch; None stands for those that were passed on."""
        topic = topics.commands(self.service.name)
        envelopes = [
            self._envelope(project_id, command, key=key, fingerprint=fingerprint)
            for project_id, command in commands
        ]
        records = [
            self._record(topic, command.to_json(), envelope.to_headers())
            for envelope, (_, command) in zip(envelopes, commands, strict=True)
        ]
        await self._feed(topic, records)
        return [self._reply_to(envelope) for envelope in envelopes]

    async def request(self, project_id: str, request: Request) -> Reply | None:
        """Handle a request; None if it was passed on (see ``sent``)."""
        envelope = self._envelope(project_id, request, key=ids.new_id("key"))
        record = self._record(topics.ENGINE_REQUESTS, request.to_json(), envelope.to_headers())
        await self._feed(topics.ENGINE_REQUESTS, [record])
        return self._reply_to(envelope)

    async def event(
        self, project_id: str, event: Event, *, source: str, stream: str = "test-1"
    ) -> None:
        """Deliver another service's event."""
        await self.events([(project_id, event)], source=source, stream=stream)

    async def projects(self, *project_ids: str) -> None:
        """Tell the service that these projects were created."""
        made = [
            Project(
                id=one,
                name=one,
                timezone="UTC",
                currency="EUR",
                created_at=clock.now(),
                webhook_secret="x",  # noqa: S106 - none
            )
            for one in project_ids
        ]
        told = [(one.id, ProjectCreated(project=one)) for one in made]
        await self.events(told, source="gateway", stream="project-1")

    async def events(
        self, events: Sequence[tuple[str, Event]], *, source: str, stream: str = "test-1"
    ) -> None:
        """Deliver events of one service as one batch."""
        records = []
        for project_id, event in events:
            self._positions[source] += 1
            envelope = self._envelope(project_id, event)._replace(
                source=source,
                stream=stream,
                stream_version=1,
                position=self._positions[source],
                reply_to="",
            )
            partition = event_store.partition_of(
                project_id, stream, self.service.settings.event_partitions
            )
            records.append(
                self._record(
                    topics.events(source), event.to_json(), envelope.to_headers(), partition
                )
            )
        await self._feed(topics.events(source), records)

    async def deliver_own(self, *, times: int = 1, again: bool = False) -> None:
        """Deliver the service's own new events to those of its consumers that read its topic.

        ``times``: how often they stand in the batch, as after a relay that died before it noted them.
        ``again``: the old ones, too.
        """
        source = self.service.name
        start = 0 if again else self._positions[source]
        async with self.service.pool.acquire() as connection:
            rows = await event_store.read_after(connection, start, 100_000)
        records = [
            self._record(
                row["topic"],
                row["data"].encode(),
                event_store.envelope_of(row, source).to_headers(),
                row["partition"],
            )
            for row in rows * times
        ]
        if rows:
            self._positions[source] = rows[-1]["position"]
            await self._feed(topics.events(source), records)

    async def intake(self, topic: str, project_id: str, element: Any) -> None:
        """Deliver an upstream record: an object, a list, or raw bytes."""
        value = element if isinstance(element, bytes) else orjson.dumps(element)
        headers = [("ce_project", project_id.encode())] if project_id else []
        await self._feed(topic, [self._record(topic, value, headers)])

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table of the service's schema."""
        async with self.service.pool.acquire() as connection:
            records = await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")  # noqa: S608
        return [dict(record) for record in records]

    async def refresh(self) -> None:
        """Read what was appended outside the harness's own calls (timers, jobs)."""
        async with self.service.pool.acquire() as connection:
            rows = await event_store.read_after(connection, self._read_until, 100_000)
        for row in rows:
            if row["position"] <= self._read_until:
                continue  # another call has read it meanwhile
            self.appended.append(parse_event(row["type"], row["data"]))
            self.envelopes.append(event_store.envelope_of(row, self.service.name))
            self._read_until = row["position"]

    async def _feed(self, topic: str, records: Sequence[Record]) -> None:
        readers = [one for one in self.service.consumers if topic in one.topics]
        assert readers, f"{self.service.name} does not read {topic}"
        for reader in readers:
            if not isinstance(reader, RequestConsumer):
                places = {(record.topic, record.partition) for record in records}
                async with self.service.pool.acquire() as connection:
                    await reader._ensure_offsets(connection, places)  # noqa: SLF001
                    await self._skip_to(connection, reader.name, records)
            await reader.take(records)
        await self.refresh()

    async def _skip_to(self, connection: Any, consumer: str, records: Sequence[Record]) -> None:
        # A second harness numbers its records from zero again; here every record is a new one.
        first: dict[tuple[str, int], int] = {}
        for record in records:
            first.setdefault((record.topic, record.partition), record.offset)
        for (topic, partition), offset in first.items():
            await connection.execute(
                "UPDATE consumer_offsets SET next_offset = $4"
                " WHERE consumer = $1 AND topic = $2 AND partition = $3",
                consumer,
                topic,
                partition,
                offset,
            )

    def _envelope(
        self, project_id: str, message: Message, *, key: str = "", fingerprint: str = ""
    ) -> Envelope:
        message_id = ids.new_id("msg")
        return Envelope(
            id=message_id,
            type=message.TYPE,
            source="test",
            time=clock.now(),
            project_id=project_id,
            subject=message_id,
            reply_to=REPLIES,
            idempotency_key=key or ids.new_id("key"),
            fingerprint=fingerprint,
        )

    def _record(
        self,
        topic: str,
        value: bytes,
        headers: Sequence[tuple[str, bytes]],
        partition: int | None = None,
    ) -> Record:
        partition = self._lane if partition is None else partition
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        return Record(topic, partition, offset, b"key", value, tuple(headers))

    def _reply_to(self, envelope: Envelope) -> Reply | None:
        for record in self.bus.sent:
            is_reply = record.topic == REPLIES
            if is_reply and Envelope.from_headers(record.headers).subject == envelope.subject:
                return Reply.from_json(record.value)
        return None
