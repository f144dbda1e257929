"""FastStream's batch subscriber as all consumers use it: raw records in, nothing decoded, no acks.

FastStream's own parser decodes every header and drops the batch if one is not UTF-8, so ours leaves
them alone; offsets are Postgres' business (:mod:`runtime.inbox`), so nothing is acknowledged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from aiokafka import ConsumerRebalanceListener, TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.subscriber.usecase import BatchSubscriber
from prometheus_client import Gauge

from runtime import limits, metrics
from runtime.settings import Settings

Place = tuple[str, int]
"""A partition: topic (without prefix) and number."""


class Standing(NamedTuple):
    """How far a partition is handled, and where it ends."""

    next_offset: int
    end_offset: int

    @property
    def lag(self) -> int:
        """Return how many records wait."""
        return max(self.end_offset - self.next_offset, 0)


class Record(NamedTuple):
    """A record of Kafka, its topic without the prefix."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class _Prompt(BatchSubscriber):
    """Waits for records all the time.

    FastStream's own looks for ``batch_timeout_ms`` and then sleeps as long, with its back to the door:
    short timeouts cost processor time at rest, long ones cost every message half of one.
    """

    __slots__ = ()

    async def get_msg(self, consumer: Any) -> tuple[Any, ...]:
        """Return what has arrived, as soon as anything has."""
        records = await consumer.getmany(
            timeout_ms=self.batch_timeout_ms, max_records=self.max_records
        )
        return tuple(chain(*records.values()))


def make_broker(settings: Settings) -> KafkaBroker:
    """Return the broker that holds a service's subscribers."""
    return KafkaBroker(
        settings.kafka_bootstrap_servers,
        allow_auto_create_topics=False,
        metadata_max_age_ms=limits.METADATA_AGE_MS_MAX,
        request_timeout_ms=limits.BROKER_ANSWER_MS_MAX,
        apply_types=False,
        logger=None,
        graceful_timeout=20,
    )


def subscribe(
    broker: KafkaBroker,
    settings: Settings,
    group: str,
    topics: Sequence[str],
    take: Callable[[Sequence[Record]], Awaitable[None]],
    listener: ConsumerRebalanceListener | None = None,
) -> Any:
    """Call ``take`` with each fetched batch; returns the subscriber, which has the ``consumer``."""
    prefix = settings.topic_prefix
    subscriber = broker.subscriber(
        *(prefix + topic for topic in topics),
        group_id=prefix + group,
        batch=True,
        max_records=settings.batch_records_max,
        batch_timeout_ms=settings.batch_timeout_ms,
        ack_policy=AckPolicy.MANUAL,
        auto_offset_reset="earliest",
        group_instance_id=_instance(settings, group),
        fetch_max_wait_ms=limits.FETCH_WAIT_MS,
        max_partition_fetch_bytes=limits.RECORD_BYTES_MAX,
        parser=_parse,
        decoder=_decode,
        no_reply=True,
        listener=Counted(metrics.ASSIGNED.labels(group.rpartition(".")[2]), listener),
    )

    async def handle(raws: Any) -> None:
        await take(
            [
                Record(
                    raw.topic.removeprefix(prefix),
                    raw.partition,
                    raw.offset,
                    raw.key,
                    raw.value,
                    raw.headers,
                )
                for raw in raws
            ]
        )

    subscriber(handle)
    subscriber.__class__ = _Prompt
    return subscriber


def beginning(records: Sequence[Record], count: int) -> Sequence[Record]:
    """Return the first ``count`` records; fewer, but one, where they have more than ``BATCH_BYTES_MAX``."""
    size = 0
    for index, record in enumerate(records[:count]):
        size += len(record.value or b"")
        if size > limits.BATCH_BYTES_MAX and index:
            return records[:index]
    return records[:count]


def _instance(settings: Settings, group: str) -> str | None:
    """Return the process's name in the group, where its number was given.

    A process that was killed and comes back under its name has its partitions at once; without one
    the group first waits until the dead member's session has timed out.
    """
    if "tessera_instance" not in settings.model_fields_set:
        return None
    return f"{settings.topic_prefix}{group}-{settings.tessera_instance}"


class Counted(ConsumerRebalanceListener):  # type: ignore[misc]
    """Shows how many partitions the group has given this process, and tells whoever wants to know."""

    def __init__(self, gauge: Gauge, listener: ConsumerRebalanceListener | None) -> None:
        self._gauge = gauge
        self._listener = listener
        gauge.set(0)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """A rebalance takes all and gives anew; until it has, nothing is read."""
        self._gauge.set(0)
        if self._listener is not None:
            await self._listener.on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """The group has let us in."""
        self._gauge.set(len(assigned))
        if self._listener is not None:
            await self._listener.on_partitions_assigned(assigned)


class Hints:
    """Tells Kafka how far a consumer is, and only what is new.

    Each word is a record, and the broker reads them all when it starts, before it lets a group work.
    """

    def __init__(self) -> None:
        self._told: dict[TopicPartition, int] = {}

    async def tell(self, kafka: Any, done: Mapping[TopicPartition, int]) -> None:
        """Commit what Kafka was not told yet; what failed, or went to another process, is told again."""
        news = {place: at for place, at in done.items() if self._told.get(place) != at}
        if news:
            await kafka.commit(news)
        self._told = dict(done)


async def standings(kafka: Any, prefix: str, done: Mapping[Place, int]) -> dict[Place, Standing]:
    """Ask the broker where the partitions end; raises if it does not answer soon."""
    places = {TopicPartition(prefix + topic, number): (topic, number) for topic, number in done}
    if not places:
        return {}
    async with asyncio.timeout(limits.SAMPLE_TIMEOUT_S):
        ends = await kafka.end_offsets(list(places))
    return {places[one]: Standing(done[places[one]], end) for one, end in ends.items()}


async def _parse(raws: Any) -> KafkaMessage:
    return KafkaMessage(raw_message=raws, body=b"", headers={}, consumer=FAKE_CONSUMER)


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message
