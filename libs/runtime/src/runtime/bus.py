"""Sending to Kafka: one idempotent producer per process."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from contracts.messages import Envelope, Message
from runtime import clock, ids, limits
from runtime.settings import Settings

logger = structlog.get_logger()


class Outgoing(NamedTuple):
    """A record to send; ``partition`` None lets the key decide."""

    topic: str
    key: str
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    partition: int | None = None


class Bus(Protocol):
    """Where messages are sent; in tests without Kafka a list."""

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Hand records to the sender without waiting for the broker: replies may be lost."""

    async def send_and_wait(self, records: Sequence[Outgoing]) -> None:
        """Send in order; returns when the broker has all, raises if it has not."""


class KafkaBus:
    """The real one. A record that was handed over is retried by the producer for two minutes."""

    def __init__(self, settings: Settings) -> None:
        self._prefix = settings.topic_prefix
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            max_batch_size=256 * 1024,
            max_request_size=8 * 1024 * 1024,
            request_timeout_ms=120_000,
        )
        self._strays: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        await asyncio.gather(*self._strays, return_exceptions=True)
        await self._producer.stop()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """See :class:`Bus`. An address that does not exist holds up none of the other records."""
        for record in records:
            known = self._producer.client.cluster.partitions_for_topic(self._prefix + record.topic)
            if known and (record.partition is None or record.partition in known):
                (await self._enqueue(record)).add_done_callback(_log_failure)
            elif len(self._strays) < limits.STRAY_RECORDS_MAX:
                task = asyncio.create_task(self._send_stray(record))
                self._strays.add(task)
                task.add_done_callback(self._strays.discard)
            else:
                logger.warning("message_lost", error="too many unknown addresses", to=record.topic)

    async def _send_stray(self, record: Outgoing) -> None:
        """Send to a topic that was not met before: whoever sent a command may name any."""
        try:
            async with asyncio.timeout(limits.STRAY_RECORD_S):
                await (await self._enqueue(record))
        except (TimeoutError, KafkaError, AssertionError) as error:
            # An assertion is how the producer refuses the number of a partition.
            logger.warning("message_lost", error=repr(error), to=record.topic)

    async def send_and_wait(self, records: Sequence[Outgoing]) -> None:
        """See :class:`Bus`."""
        futures = [await self._enqueue(record) for record in records]
        for future in futures:
            await future

    async def _enqueue(self, record: Outgoing):  # type: ignore[no-untyped-def]  # noqa: ANN202
        return await self._producer.send(
            self._prefix + record.topic,
            value=record.value,
            key=record.key.encode(),
            partition=record.partition,
            headers=list(record.headers),
        )


def _log_failure(future) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    if not future.cancelled() and future.exception() is not None:
        logger.warning("message_lost", error=repr(future.exception()))


def outgoing(topic: str, key: str, message: Message, envelope: Envelope) -> Outgoing:
    """Return the record of a message."""
    return Outgoing(topic, key, message.to_json(), envelope.to_headers())


def answer_envelope(request: Envelope, message: Message, source: str) -> Envelope:
    """Return the envelope of what follows from ``request``: same project and correlation.

    The subject names the caller's own message, however often the request was passed on.
    """
    return Envelope(
        id=ids.new_id("msg"),
        type=message.TYPE,
        source=source,
        time=clock.now(),
        project_id=request.project_id,
        subject=request.subject,
        correlation_id=request.correlation_id or request.id,
        causation_id=request.id,
    )


def forward_envelope(request: Envelope, message: Message, source: str) -> Envelope:
    """Return the envelope of a request that is passed on: the caller's address and key stay."""
    return answer_envelope(request, message, source)._replace(
        reply_to=request.reply_to,
        reply_partition=request.reply_partition,
        idempotency_key=request.idempotency_key,
        fingerprint=request.fingerprint,
    )
