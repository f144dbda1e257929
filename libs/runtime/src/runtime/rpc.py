"""Request and reply over Kafka, from the side of who asks.

Each process reads replies at a partition of its own, claimed by an advisory lock, without a consumer
group. A reply that does not come is an unknown outcome: the same request with the same key finds it.
"""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from contracts import topics
from contracts.errors import Unavailable
from contracts.messages import Envelope, Message, Position, Reply
from runtime import clock, ids, limits
from runtime.bus import Bus, outgoing
from runtime.database import connect
from runtime.settings import Settings

logger = structlog.get_logger()

REPLY_PARTITIONS = 16
"""Partitions of the topic of replies: the most gateways that run at once."""
REPLY_LOCK = 3


class Rpc:
    """Sends commands and requests, and waits for their replies."""

    def __init__(self, settings: Settings, service: str, bus: Bus) -> None:
        self._settings = settings
        self._service = service
        self._bus = bus
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._partition = -1
        self._consumer: Any = None
        self._lock_connection: Any = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Claim a partition and wait until its end is known: earlier replies are nobody's."""
        self._partition = await self._claim_partition()
        place = TopicPartition(
            self._settings.topic_prefix + topics.GATEWAY_REPLIES, self._partition
        )
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=50,
            request_timeout_ms=limits.BROKER_ANSWER_MS_MAX,
        )
        await self._consumer.start()
        self._consumer.assign([place])
        await self._consumer.seek_to_end(place)
        await self._consumer.position(place)
        self._task = asyncio.create_task(self._receive())

    async def stop(self) -> None:
        """Stop receiving; whoever still waits gets ``Unavailable``."""
        if self._task is not None:
            self._task.cancel()
        if self._consumer is not None:
            await self._consumer.stop()
        if self._lock_connection is not None:
            await self._lock_connection.close(timeout=1)

    async def _claim_partition(self) -> int:
        self._lock_connection = await connect(self._settings, self._service)
        while True:
            for partition in range(REPLY_PARTITIONS):
                if await self._lock_connection.fetchval(
                    "SELECT pg_try_advisory_lock($1, $2)", REPLY_LOCK, partition
                ):
                    return partition
            logger.warning("no_reply_partition_free", partitions=REPLY_PARTITIONS)
            await asyncio.sleep(1)

    async def call(
        self,
        topic: str,
        key: str,
        message: Message,
        *,
        project_id: str,
        idempotency_key: str = "",
        fingerprint: str = "",
        correlation_id: str = "",
        after: tuple[Position, ...] = (),
        timeout_s: float | None = None,
    ) -> Reply:
        """Send and wait; raises ``Unavailable`` when no reply came in time."""
        message_id = ids.new_id("msg")
        envelope = Envelope(
            id=message_id,
            type=message.TYPE,
            source=self._service,
            time=clock.now(),
            project_id=project_id,
            subject=message_id,
            correlation_id=correlation_id or message_id,
            reply_to=topics.GATEWAY_REPLIES,
            reply_partition=self._partition,
            idempotency_key=idempotency_key,
            fingerprint=fingerprint,
            after=after,
        )
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = future
        try:
            # Sending counts too: while the broker is away the producer's buffer may be full.
            async with asyncio.timeout(timeout_s or self._settings.rpc_timeout_s):
                await self._bus.send([outgoing(topic, key, message, envelope)])
                return await future
        except TimeoutError:
            message_text = "no answer in time; the outcome is unknown, repeat with the same key"
            raise Unavailable(message_text) from None
        finally:
            self._waiting.pop(message_id, None)

    async def _receive(self) -> None:
        while True:
            try:
                batches = await self._consumer.getmany(timeout_ms=1000)
                for records in batches.values():
                    for record in records:
                        self._deliver(record)
            except Exception:
                logger.exception("replies_interrupted")
                await asyncio.sleep(0.5)

    def _deliver(self, record: Any) -> None:
        try:
            envelope = Envelope.from_headers(record.headers)
            future = self._waiting.get(envelope.subject)
            if future is not None and not future.done():
                future.set_result(Reply.from_json(record.value))
        except (ValueError, ValidationError) as error:
            logger.warning("unreadable_reply", error=repr(error))
