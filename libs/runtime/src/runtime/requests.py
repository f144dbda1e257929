"""Requests that change nothing: a whole batch is computed at once, and nothing is written."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple

import structlog
from aiokafka import TopicPartition
from faststream.kafka import KafkaBroker

from contracts import topics
from contracts.errors import DomainError, ErrorBody, InvalidPayload, Unavailable
from contracts.messages import Envelope, Message, Reply, Request
from contracts.upcasting import newest
from runtime import batches, metrics
from runtime.batches import Place, Record, Standing
from runtime.bus import Outgoing, answer_envelope, forward_envelope, outgoing
from runtime.consumer import parse_body, result_of, unavailable
from runtime.database import INFRASTRUCTURE_ERRORS, is_passing, unavailable_by
from runtime.inbox import (
    CORRELATION_IDS_MAX,
    Host,
    Result,
    Unreadable,
    correlation_id,
    tell_results,
)

logger = structlog.get_logger()


class Forward(NamedTuple):
    """Pass the request on: the caller's address, idempotency key and correlation stay with it."""

    topic: str
    key: str
    message: Message


Asked = tuple[Envelope, Any]
Answer = Reply | Forward
HandleBatch = Callable[[Sequence[Asked]], Awaitable[Sequence[Answer]]]


class RequestConsumer:
    """``engine.requests``. Kafka's own offsets serve: a request that is lost or repeated is harmless."""

    def __init__(
        self,
        handle_batch: HandleBatch,
        types: Iterable[type[Request]],
        *,
        topic: str = topics.ENGINE_REQUESTS,
    ) -> None:
        self.name = "requests"
        self.topics = [topic]
        self._handle_batch = handle_batch
        self._types = {request.TYPE: request for request in types}
        self._host: Host | None = None
        self._subscriber: Any = None
        self._done: dict[TopicPartition, int] = {}
        self._hints = batches.Hints()
        self._late: set[asyncio.Task[None]] = set()
        self._ready: list[Asked] = []
        """Of the late ones: what they waited for is here."""

    def bind(self, host: Host) -> None:
        """Attach to the service that runs it."""
        self._host = host

    @property
    def host(self) -> Host:
        """The service."""
        assert self._host is not None, "the consumer is not bound to a service"
        return self._host

    def subscribe(self, broker: KafkaBroker) -> None:
        """Register with FastStream."""
        self._subscriber = batches.subscribe(
            broker,
            self.host.settings,
            f"{self.host.name}.{self.name}",
            self.topics,
            self.take,
        )

    async def take(self, records: Sequence[Record]) -> None:
        """Answer a batch. What must first see a write waits by itself and holds nobody up.

        A service that has just started answers nothing from a replica that is older than the question.
        """
        await self.host.caught_up.wait()
        asked: list[Asked] = []
        sends: list[Outgoing] = []
        for record in records:
            read = self._read(record)
            if isinstance(read, list):
                sends.extend(read)
            elif self.host.positions.has(read[0].after):
                asked.append(read)
            else:
                task = asyncio.create_task(self._answer_later(read))
                self._late.add(task)
                task.add_done_callback(self._late.discard)
        if asked:
            sends.extend(await self._answer(asked))
        if sends:
            await self.host.bus.send(sends)
        prefix = self.host.settings.topic_prefix
        for record in records:
            self._done[TopicPartition(prefix + record.topic, record.partition)] = record.offset + 1
        metrics.BATCH_SIZE.labels(self.name).observe(len(records))

    async def finish(self) -> None:
        """Answer those that still wait for a write: nobody else will."""
        if self._late:
            await asyncio.wait(self._late)

    async def _answer_later(self, asked: Asked) -> None:
        try:
            await self.host.positions.wait(asked[0].after, self.host.settings.projection_wait_s)
        except (Unavailable, *INFRASTRUCTURE_ERRORS) as error:
            known = error if isinstance(error, Unavailable) else unavailable_by(error)
            answer = unavailable(known)
            sends = self._send(asked[0], answer)
            self._tell([asked], [answer], self.host.settings.projection_wait_s)
        else:
            self._ready.append(asked)
            # One batch of the replica lets many go on; the first of them answers them all.
            await asyncio.sleep(0)
            ready, self._ready = self._ready, []
            if not ready:
                return
            sends = await self._answer(ready)
        await self.host.bus.send(sends)

    async def _answer(self, asked: Sequence[Asked]) -> list[Outgoing]:
        started = time.perf_counter()
        try:
            answers = await self._handle_batch(asked)
            assert len(answers) == len(asked), "one answer per request"
        except Exception as error:
            logger.warning(
                "batch_failed",
                consumer=self.name,
                records=len(asked),
                correlation_ids=[correlation_id(one[0]) for one in asked[:CORRELATION_IDS_MAX]],
                error=repr(error),
                exc_info=True,
            )
            answers = [await self._answer_alone(one) for one in asked]
        self._tell(asked, answers, time.perf_counter() - started)
        return [
            send
            for (envelope, _), answer in zip(asked, answers, strict=True)
            for send in self._send(envelope, answer)
        ]

    async def _answer_alone(self, asked: Asked) -> Answer:
        try:
            return (await self._handle_batch([asked]))[0]
        except DomainError as error:
            body = error.body()
            return Reply(status=body.code, error=body)
        except Unavailable as error:
            return unavailable(error)
        except Exception as error:
            if is_passing(error):
                return unavailable(unavailable_by(error))
            logger.exception("request_failed", correlation_id=asked[0].correlation_id)
            error_body = ErrorBody(code=500, key="internal_error", message="Internal error")
            return Reply(status=500, error=error_body)

    def _tell(self, asked: Sequence[Asked], answers: Sequence[Answer], took_s: float) -> None:
        results = [
            result_of(envelope, answer)
            if isinstance(answer, Reply)
            else Result(envelope, "forwarded")
            for (envelope, _), answer in zip(asked, answers, strict=True)
        ]
        for result in results:
            if result.outcome == "refused":
                metrics.REFUSALS.labels(self.name, result.error).inc()
        tell_results(self.name, results, took_s, {})

    def _send(self, request: Envelope, answer: Answer) -> list[Outgoing]:
        if isinstance(answer, Forward):
            envelope = forward_envelope(request, answer.message, self.host.name)
            return [outgoing(answer.topic, answer.key, answer.message, envelope)]
        if not request.reply_to:
            return []
        headers = answer_envelope(request, answer, self.host.name).to_headers()
        return [
            Outgoing(
                request.reply_to, request.id, answer.to_json(), headers, request.reply_partition
            )
        ]

    def _read(self, record: Record) -> Asked | list[Outgoing]:
        """Return the request, or what to send because it is none."""
        try:
            envelope = Envelope.from_headers(record.headers)
        except (ValueError, UnicodeDecodeError) as error:
            return self._give_up(record, str(error))
        request = self._types.get(newest(envelope.type))
        if request is None:
            return self._give_up(record, f"unknown request {envelope.type}", envelope)
        try:
            return envelope, parse_body(request, envelope, record)
        except Unreadable as error:
            return self._give_up(record, str(error), envelope)

    def _give_up(
        self, record: Record, reason: str, envelope: Envelope | None = None
    ) -> list[Outgoing]:
        # Never replayed, so no row: when an operator comes, the caller has long been answered or has
        # given up, and nothing was to change. The topic keeps the bytes for whoever looks.
        logger.error(
            "dead_letter",
            consumer=self.name,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            status="failed",
            reason=reason,
            correlation_id=correlation_id(envelope),
        )
        metrics.DEAD_LETTERS.labels(self.name, "failed").inc()
        headers = [*record.headers, ("reason", reason.encode()[:2000])]
        key = (record.key or b"").decode("utf-8", "replace")
        letter = Outgoing(topics.dead_letters(self.host.name), key, record.value or b"", headers)
        if envelope is None:
            return [letter]
        body = InvalidPayload("the request cannot be read").body()
        answer = Reply(status=body.code, error=body)
        tell_results(self.name, [result_of(envelope, answer)], 0.0, {})
        return [letter, *self._send(envelope, answer)]

    async def ends(self) -> dict[Place, Standing]:
        """Return where each of this process's partitions stands and ends, from the broker."""
        if self._subscriber is None or self._subscriber.consumer is None:
            return {}
        prefix = self.host.settings.topic_prefix
        assigned = self._subscriber.consumer.assignment()
        done = {
            (place.topic.removeprefix(prefix), place.partition): at
            for place, at in self._done.items()
            if place in assigned
        }
        return await batches.standings(self._subscriber.consumer, prefix, done)

    async def look_after_offsets(self) -> None:
        """Tell Kafka how far we are, so that a restart does not answer everything again."""
        if self._subscriber is not None and self._subscriber.consumer is not None and self._done:
            assigned = self._subscriber.consumer.assignment()
            done = {place: at for place, at in self._done.items() if place in assigned}
            await self._hints.tell(self._subscriber.consumer, done)
