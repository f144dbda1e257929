"""The consumers that write: commands, reactions to others' events, upstream's records; and projections.

All are the same wrapper (:mod:`runtime.inbox`); they differ in what a record means and in what a
refusal becomes: a reply, a dead letter, a message on ``intake.rejected``.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import orjson
import structlog
from pydantic import ValidationError

from contracts import topics as topic_names
from contracts.catalog import IntakeRejected
from contracts.errors import (
    DomainError,
    ErrorBody,
    IdempotencyKeyReused,
    InvalidPayload,
    JsonObject,
    Unavailable,
)
from contracts.messages import Command, Envelope, Event, Message, Reply
from contracts.upcasting import newest, newest_body
from runtime import clock, limits, metrics, read_model
from runtime.aggregate import Aggregate
from runtime.batches import Record
from runtime.bus import Outgoing, answer_envelope, forward_envelope, outgoing
from runtime.database import Connection
from runtime.inbox import Consumer, Item, Outcome, Read, Result, TryAgain, Unreadable
from runtime.unit import Batch, Unit, savepoint

logger = structlog.get_logger()

M = TypeVar("M", bound=Message)
Function = Callable[[Unit, Any], Awaitable[JsonObject | Reply | None]]
Streams = Iterable[tuple[Aggregate[Any], str]]


class Handler(NamedTuple):
    """A handler and the aggregates it will load, so that a batch reads them with one query.

    ``streams`` gets the message; ``streams_in`` the project and the message.
    """

    function: Function
    streams: Callable[[Any], Streams] | None = None
    streams_in: Callable[[str, Any], Streams] | None = None

    def streams_of(self, project_id: str, message: Any) -> Streams:
        """Return the aggregates that the message names."""
        if self.streams is not None:
            return self.streams(message)
        return self.streams_in(project_id, message) if self.streams_in is not None else ()


class _Handled(NamedTuple):
    """The end of one message: what it staged, and its answer."""

    item: Item
    unit: Unit | None
    reply: Reply | None
    is_kept: bool = False
    """The reply is stored under the idempotency key."""


class _Writer(Consumer):
    """Calls handlers in order, in memory, and writes what they staged in one go."""

    def __init__(self, name: str, topics: Iterable[str]) -> None:
        super().__init__(name, topics)
        self._uses_sql: set[Function] = set()

    def begin(self, connection: Connection) -> Batch:
        """Return the empty batch of a transaction."""
        host = self.host
        return Batch(connection, host.name, host.settings.event_partitions, clock.now())

    async def call(
        self, batch: Batch, envelope: Envelope, handler: Handler, message: Any
    ) -> tuple[Unit, JsonObject | Reply | None]:
        """Call the handler; keeps what it staged, or undoes it and lets its error through.

        A handler that writes through the connection runs inside a savepoint; which ones do is
        learned from the first refusal, by taking the batch again.
        """
        unit = Unit(batch, envelope)
        is_guarded = handler.function in self._uses_sql
        point = await savepoint(batch.connection) if is_guarded else None
        try:
            answer = await handler.function(unit, message)
        except (DomainError, Unavailable):
            if point is not None:
                await point.rollback()
            elif unit.has_used_sql:
                self._uses_sql.add(handler.function)
                raise TryAgain from None
            raise
        if point is not None:
            await point.commit()
        unit.keep()
        return unit, answer


Prepare = Callable[[Connection, Sequence[tuple[Envelope, Any]]], Awaitable[Any]]
Flush = Callable[[Connection, Any], Awaitable[None]]
Refusals = Callable[[Connection, Iterable[str]], Awaitable[Mapping[str, str]]]


class CommandConsumer(_Writer):
    """``<service>.commands``: one reply each, the same one again for the same idempotency key."""

    def __init__(
        self,
        commands: Mapping[type[Command], Handler],
        prepare: Prepare | None = None,
        flush: Flush | None = None,
    ) -> None:
        super().__init__("commands", ())
        self._handlers = {command.TYPE: handler for command, handler in commands.items()}
        self._types = {command.TYPE: command for command in commands}
        self._prepare = prepare
        self._flush = flush

    def bind(self, host: Any) -> None:
        """Attach to the service, whose name is its topic's."""
        super().bind(host)
        self.topics = [topic_names.commands(host.name)]

    def parse(self, envelope: Envelope, record: Record) -> Command:
        """Return the command."""
        command = self._types.get(newest(envelope.type))
        if command is None:
            message = f"unknown command {envelope.type}"
            raise Unreadable(message)
        return parse_body(command, envelope, record)

    def refuse(self, read: Read, reason: str) -> list[Outgoing]:
        """Tell the caller that its command cannot be handled."""
        if read.envelope is None:
            return []
        logger.info("command_refused", reason=reason, correlation_id=read.envelope.correlation_id)
        if newest(read.envelope.type) in self._types:
            error = ErrorBody(code=500, key="internal_error", message="Internal error")
            return self._reply(read.envelope, Reply(status=500, error=error))
        return self._reply(read.envelope, _refusal(InvalidPayload("unknown command")))

    def put_off(self, read: Read, error: Unavailable) -> list[Outgoing]:
        """Tell the caller that its command waits; it is handled all the same when it can be."""
        return self._reply(read.envelope, unavailable(error)) if read.envelope is not None else []

    async def apply(self, connection: Connection, items: Sequence[Item]) -> Outcome:
        """Handle a batch of commands."""
        known = await self._known_replies(connection, items)
        batch = self.begin(connection)
        new = [item for item in items if _key(item.envelope) not in known]
        await self._prefetch(batch, new)
        handled = []
        running: set[tuple[str, str]] = set()
        for item in items:
            key = _key(item.envelope)
            if key in known or key in running:
                continue
            handled.append(await self._handle(batch, item))
            if item.envelope.idempotency_key:
                running.add(key)
        if self._flush is not None:
            await self._flush(connection, batch.context)
        await batch.write()
        outcome = Outcome(event_count=len(batch.events))
        known.update(await self._finish(connection, batch, handled, outcome))
        self._replay(items, handled, known, outcome)
        return outcome

    async def _prefetch(self, batch: Batch, items: Sequence[Item]) -> None:
        await batch.prefetch(
            [
                (item.envelope.project_id, aggregate, aggregate_id)
                for item in items
                for aggregate, aggregate_id in self._handlers[item.message.TYPE].streams_of(
                    item.envelope.project_id, item.message
                )
            ]
        )
        if self._prepare is not None:
            messages = [(item.envelope, item.message) for item in items]
            batch.context = await self._prepare(batch.connection, messages)

    async def _handle(self, batch: Batch, item: Item) -> _Handled:
        envelope = item.envelope
        handler = self._handlers[item.message.TYPE]
        try:
            unit, answer = await self.call(batch, envelope, handler, item.message)
        except DomainError as error:
            metrics.REFUSALS.labels(self.name, error.key).inc()
            return _Handled(item, None, _refusal(error), is_kept=True)
        except Unavailable as error:
            return _Handled(item, None, unavailable(error))
        if unit.forwarded is not None:
            return _Handled(item, unit, None)
        if isinstance(answer, Reply):
            if answer.error is not None:
                metrics.REFUSALS.labels(self.name, answer.error.key).inc()
            return _Handled(item, unit, answer, is_kept=answer.retry_after_s is None)
        return _Handled(item, unit, Reply(body=answer), is_kept=True)

    async def _finish(
        self, connection: Connection, batch: Batch, handled: Sequence[_Handled], outcome: Outcome
    ) -> dict[tuple[str, str], tuple[str, str]]:
        """Complete the replies with their positions, store them, and queue them for sending."""
        records = []
        units = [one.unit for one in handled if one.unit is not None]
        await batch.find({key for unit in units for key in unit.unchanged})
        for item, unit, bare, is_kept in handled:
            if bare is None:
                assert unit is not None, "only a unit passes a request on"
                assert unit.forwarded is not None, "no reply means passed on"
                topic, key, message = unit.forwarded
                envelope = forward_envelope(item.envelope, message, self.host.name)
                outcome.sends.append(outgoing(topic, key, message, envelope))
                outcome.results.append(Result(item.envelope, "forwarded"))
                continue
            reply = bare.model_copy(update={"positions": unit.positions}) if unit else bare
            text = reply.to_json()
            if is_kept and item.envelope.idempotency_key:
                project_id, key = _key(item.envelope)
                fingerprint = item.envelope.fingerprint
                records.append((project_id, key, fingerprint, text.decode(), batch.now))
            outcome.sends.extend(self._reply(item.envelope, reply, text))
            outcome.results.append(result_of(item.envelope, reply))
        if records:
            await _store_replies(connection, records)
        return {(record[0], record[1]): (record[2], record[3]) for record in records}

    def _replay(
        self,
        items: Sequence[Item],
        handled: Sequence[_Handled],
        known: Mapping[tuple[str, str], tuple[str, str]],
        outcome: Outcome,
    ) -> None:
        """Answer the repeated requests of the batch."""
        answered = {id(one.item.record) for one in handled}
        for item in items:
            if id(item.record) in answered:
                continue
            stored = known.get(_key(item.envelope))
            if stored is None:
                reply = unavailable(Unavailable("the same request is being handled"))
            elif stored[0] != item.envelope.fingerprint:
                reply = _refusal(IdempotencyKeyReused())
            else:
                reply = Reply.from_json(stored[1]).model_copy(update={"replayed": True})
            outcome.sends.extend(self._reply(item.envelope, reply))
            outcome.results.append(result_of(item.envelope, reply))

    async def _known_replies(
        self, connection: Connection, items: Sequence[Item]
    ) -> dict[tuple[str, str], tuple[str, str]]:
        keys = {_key(item.envelope) for item in items if item.envelope.idempotency_key}
        if not keys:
            return {}
        rows = await connection.fetch(
            """
            SELECT r.project_id, r.key, r.fingerprint, r.reply
            FROM unnest($1::text[], $2::text[]) AS k(project_id, key)
            JOIN idempotency_records r USING (project_id, key)
            """,
            [key[0] for key in keys],
            [key[1] for key in keys],
        )
        return {(row["project_id"], row["key"]): (row["fingerprint"], row["reply"]) for row in rows}

    def _reply(self, request: Envelope, reply: Reply, text: bytes | None = None) -> list[Outgoing]:
        if not request.reply_to:
            return []
        headers = answer_envelope(request, reply, self.host.name).to_headers()
        value = text if text is not None else reply.to_json()
        return [Outgoing(request.reply_to, request.id, value, headers, request.reply_partition)]


class ReactionConsumer(_Writer):
    """Others' events in, own events out. Events without a handler do not concern this service."""

    reads_events: ClassVar[bool] = True

    def __init__(
        self,
        reactions: Mapping[type[Event], Handler],
        topics: Iterable[str],
        *,
        name: str = "reactions",
        prepare: Prepare | None = None,
        flush: Flush | None = None,
    ) -> None:
        super().__init__(name, topics)
        self._handlers = {event.TYPE: handler for event, handler in reactions.items()}
        self._types = {event.TYPE: event for event in reactions}
        self._prepare = prepare
        self._flush = flush

    def parse(self, envelope: Envelope, record: Record) -> Event | None:
        """Return the event if there is a reaction to it."""
        event = self._types.get(newest(envelope.type))
        return parse_body(event, envelope, record) if event is not None else None

    async def apply(self, connection: Connection, items: Sequence[Item]) -> Outcome:
        """Handle a batch of events."""
        batch = self.begin(connection)
        await batch.prefetch(
            [
                (item.envelope.project_id, aggregate, aggregate_id)
                for item in items
                for aggregate, aggregate_id in self._handlers[item.message.TYPE].streams_of(
                    item.envelope.project_id, item.message
                )
            ]
        )
        if self._prepare is not None:
            batch.context = await self._prepare(
                connection, [(item.envelope, item.message) for item in items]
            )
        for item in items:
            handler = self._handlers[item.message.TYPE]
            await self.call(batch, item.envelope, handler, item.message)
        if self._flush is not None:
            await self._flush(connection, batch.context)
        await batch.write()
        return Outcome(event_count=len(batch.events))


class IntakeConsumer(_Writer):
    """Upstream systems' records: JSON, one object or a list of them, no envelope needed.

    The project is named by header ``ce_project`` or ``project``, or by the element's ``project_id``.
    ``prepare`` gets the elements that are objects of a named project. ``refusals`` says of which of the
    named projects nothing is taken, and why (:meth:`runtime.projects.Projects.refusals`).
    """

    def __init__(
        self,
        handlers: Mapping[str, Function | Handler],
        *,
        name: str = "intake",
        prepare: Prepare | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        super().__init__(name, handlers)
        self._prepare = prepare
        self._refusals = refusals
        self._handlers = {
            topic: handler if isinstance(handler, Handler) else Handler(handler)
            for topic, handler in handlers.items()
        }

    def read(self, record: Record) -> Read:
        """Make an envelope of what headers there are."""
        headers = {name: value.decode("utf-8", "replace") for name, value in record.headers}
        message_id = f"{record.topic}-{record.partition}-{record.offset}"
        envelope = Envelope(
            id=message_id,
            type=record.topic,
            source="upstream",
            time=clock.now(),
            project_id=_project_id(headers.get("ce_project") or headers.get("project")),
            correlation_id=_printable(headers.get("ce_correlationid") or message_id)[:200],
        )
        return Read(record, envelope)

    def parse(self, envelope: Envelope, record: Record) -> Any:
        """Return the record itself: what is wrong with it is told upstream."""
        del envelope
        return record

    async def apply(self, connection: Connection, items: Sequence[Item]) -> Outcome:
        """Handle every element of a batch of records."""
        batch = self.begin(connection)
        elements = await self._judged(connection, items)
        await batch.prefetch(
            [
                (element.envelope.project_id, aggregate, aggregate_id)
                for element in elements
                for aggregate, aggregate_id in self._streams(element)
            ]
        )
        if self._prepare is not None:
            sound = [(one.envelope, one.value) for one in elements if not one.reason]
            batch.context = await self._prepare(connection, sound)
        refused = set()
        for element in elements:
            if not await self._take_element(batch, element):
                refused.add(id(element.record))
        await batch.write()
        results = [
            Result(item.envelope, "refused" if id(item.record) in refused else "ok")
            for item in items
        ]
        return Outcome(event_count=len(batch.events), results=results)

    async def _judged(self, connection: Connection, items: Sequence[Item]) -> list["_Element"]:
        """Return the elements, those of a project that may send nothing with the reason."""
        elements = [element for item in items for element in _elements(item)]
        if self._refusals is None:
            return elements
        named = {one.envelope.project_id for one in elements if not one.reason}
        refused = await self._refusals(connection, named)
        return [
            one if one.reason else one._replace(reason=refused.get(one.envelope.project_id, ""))
            for one in elements
        ]

    def _streams(self, element: "_Element") -> list[tuple[Aggregate[Any], str]]:
        if element.reason:
            return []
        handler = self._handlers[element.record.topic]
        try:
            return list(handler.streams_of(element.envelope.project_id, element.value))
        except (DomainError, ValueError, TypeError, KeyError, AttributeError):
            return []  # malformed: the handler says how

    async def _take_element(self, batch: Batch, element: "_Element") -> bool:
        """Handle an element, or tell upstream why not; returns whether it was taken."""
        handler = self._handlers[element.record.topic]
        reason = element.reason
        at_fault = "project_id" if reason.startswith("project_id: ") else None
        if not reason:
            try:
                await self.call(batch, element.envelope, handler, element.value)
            except DomainError as error:
                reason = error.details or error.message
                at_fault = error.prop
            else:
                return True
        metrics.REFUSALS.labels(self.name, "intake_rejected").inc()
        unit = Unit(batch, element.envelope)
        record = element.record
        event = IntakeRejected(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            index=element.number,
            reason=reason,
            property=at_fault,
            raw=_printable(element.raw)[:10_000],
        )
        stream = f"rejected-{element.envelope.id}-{element.number}"
        unit.publish_event(stream, event, topic=topic_names.INTAKE_REJECTED)
        unit.keep()
        return False


class _Element(NamedTuple):
    record: Record
    envelope: Envelope
    number: int
    value: Any
    raw: str
    reason: str = ""


def _elements(item: Item) -> list[_Element]:
    raw = (item.record.value or b"").decode("utf-8", "replace")
    try:
        body = orjson.loads(item.record.value or b"")
    except orjson.JSONDecodeError as error:
        return [_Element(item.record, item.envelope, 0, None, raw, f"not JSON: {error}")]
    values = body if isinstance(body, list) else [body]
    if len(values) > limits.INTAKE_ELEMENTS_MAX:
        reason = f"more than {limits.INTAKE_ELEMENTS_MAX} elements"
        return [_Element(item.record, item.envelope, 0, None, raw, reason)]
    return [_element(item, index, value) for index, value in enumerate(values)]


def _element(item: Item, index: int, value: Any) -> _Element:
    envelope = item.envelope._replace(id=f"{item.envelope.id}-{index}")
    try:
        raw = orjson.dumps(value).decode("utf-8", "replace")
    except TypeError:
        raw = (item.record.value or b"").decode("utf-8", "replace")
        return _Element(item.record, envelope, index, None, raw, "nested too deeply")
    element = _Element(item.record, envelope, index, value, raw)
    if not isinstance(value, dict):
        return element._replace(reason="an element must be an object")
    if "\\u0000" in raw:
        return element._replace(reason="text must not contain the character NUL")
    project_id = value.get("project_id") or envelope.project_id
    if not isinstance(project_id, str) or not _project_id(project_id):
        return element._replace(reason="project_id: missing; name it in the header ce_project")
    body = {name: field for name, field in value.items() if name != "project_id"}
    return element._replace(envelope=envelope._replace(project_id=project_id), value=body)


class ProjectionConsumer(Consumer):
    """Feeds a read model or replica from logs. An event type it does not know stops its stream."""

    reads_events: ClassVar[bool] = True
    feeds_read_models: ClassVar[bool] = True

    def __init__(
        self,
        projection: read_model.Projection,
        topics: Iterable[str],
        *,
        name: str = "projection",
        after_commit: Callable[[Sequence[tuple[Event, Envelope]]], None] | None = None,
    ) -> None:
        super().__init__(name, topics)
        self.projection = projection
        self._after_commit = after_commit

    def parse(self, envelope: Envelope, record: Record) -> Event | None:
        """Return the event unless the projection leaves it out."""
        event = self.projection.event_type(envelope.type)
        if event is not None:
            return parse_body(event, envelope, record)
        if self.projection.ignores(envelope.type):
            return None
        message = f"the projection has no fold for {envelope.type}"
        raise Unreadable(message)

    async def apply(self, connection: Connection, items: Sequence[Item]) -> Outcome:
        """Fold a batch of events into the rows."""
        events = [(item.message, item.envelope) for item in items]
        await read_model.apply(connection, self.projection, events)
        return Outcome()


def parse_body(message_type: type[M], envelope: Envelope, record: Record) -> M:
    """Return the record's message; raises ``Unreadable``, whose reason quotes nothing of it."""
    try:
        return message_type.from_json(newest_body(envelope.type, record.value or b""))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"{message_type.TYPE}: {place}: {first['msg']}"
        raise Unreadable(message) from error
    except ValueError as error:  # an older version's body that is not what its type says
        raise Unreadable(str(error)) from error


def _key(envelope: Envelope) -> tuple[str, str]:
    # Requests without a key are told apart by their own ids.
    return envelope.project_id, envelope.idempotency_key or f"\x00{envelope.id}"


def _printable(text: str) -> str:
    return text.replace("\x00", "\ufffd")


def _project_id(text: str | None) -> str:
    """Return the name of a project; what cannot be one is no name."""
    is_sound = text and text.isprintable() and len(text) <= limits.PROJECT_ID_LENGTH_MAX
    return text if text and is_sound else ""


def _refusal(error: DomainError) -> Reply:
    body = error.body()
    return Reply(status=body.code, error=body)


def unavailable(error: Unavailable) -> Reply:
    """Return the reply of a request that may be repeated as it is."""
    body = error.body()
    return Reply(status=body.code, error=body, retry_after_s=error.retry_after_s)


def result_of(request: Envelope, reply: Reply) -> Result:
    """Return how a request that was answered ended."""
    error = reply.error.key if reply.error is not None else ""
    if reply.replayed:
        return Result(request, "replayed", error)
    if reply.retry_after_s is not None:
        return Result(request, "unavailable", error)
    return Result(request, "refused" if error else "ok", error)


async def _store_replies(connection: Connection, records: Sequence[tuple[Any, ...]]) -> None:
    await connection.execute(
        """
        INSERT INTO idempotency_records (project_id, key, fingerprint, reply, created_at)
        SELECT project_id, key, fingerprint, reply::json, created_at
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
             AS r(project_id, key, fingerprint, reply, created_at)
        """,
        *(list(column) for column in zip(*records, strict=True)),
    )
