"""Sending to Kafka: one idempotent producer per process."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import structlog
from aiokafka import AIOKafkaProducer

from contracts import topics
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
            connections_max_idle_ms=limits.BROKER_SILENCE_MS_MAX,
        )
        # The two minutes are those of a record. A connection whose other end is gone without a word is given
        # up sooner, and the record sent again on a new one; the library has one setting for both.
        self._producer.client._request_timeout_ms = limits.BROKER_ANSWER_MS_MAX  # noqa: SLF001

    async def start(self) -> None:
        """Connect, and ask for the leaders of all topics from now on."""
        await self._producer.start()
        await self._producer.client.set_topics([self._prefix + name for name in topics.ALL])

    async def stop(self) -> None:
        """Send what is left and disconnect."""
        await self._producer.stop()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """See :class:`Bus`. An address that does not exist holds up none of the other records."""
        for record in records:
            if self._is_known(record):
                (await self._enqueue(record)).add_done_callback(_log_failure)
            else:
                logger.warning("message_lost", error="no such address", topic=record.topic)

    def _is_known(self, record: Outgoing) -> bool:
        # Whoever sends a command may name any address. A topic that is not there must not reach the
        # producer: it would ask for that one alone, and forget the leaders of all others.
        if record.topic not in topics.ALL:
            return False
        partitions = self._producer.client.cluster.partitions_for_topic(self._prefix + record.topic)
        return record.partition is None or not partitions or record.partition in partitions

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
