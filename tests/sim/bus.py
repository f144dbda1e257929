"""Topics in memory: ordered partitions, a record's key decides its partition, at least once.

A record is visible a while after it was sent, in each partition in its own time: partitions overtake each
other, records of one never do. Who reads which partition of a group may change at any time.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from zlib import crc32

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from runtime.batches import Place, Record
from runtime.bus import Outgoing


class Stored(NamedTuple):
    """A record, and from when on it can be fetched."""

    record: Record
    visible_at: float


class Topics:
    """All records of all topics."""

    def __init__(
        self, partitions: int, time: Callable[[], float], delay: Callable[[], float]
    ) -> None:
        self.partitions = partitions
        self.places: dict[Place, list[Stored]] = defaultdict(list)
        self._time = time
        self._delay = delay
        self.committed: dict[tuple[str, str, int], int] = {}
        self._waiting: dict[str, list[asyncio.Future[None]]] = defaultdict(list)

    def append(self, out: Outgoing) -> Record:
        """Put a record at the end of its partition."""
        number = out.partition
        if number is None:
            number = crc32(out.key.encode()) % self.partitions
        stored = self.places[out.topic, number]
        record = Record(
            out.topic, number, len(stored), out.key.encode(), out.value, tuple(out.headers)
        )
        earliest = stored[-1].visible_at if stored else 0.0
        visible_at = max(earliest, self._time() + self._delay())
        stored.append(Stored(record, visible_at))
        asyncio.get_running_loop().call_at(visible_at, self._wake, out.topic)
        return record

    async def wait(self, topics: Iterable[str], timeout_s: float) -> None:
        """Wait until something becomes visible in one of the topics, or for so long."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        for topic in topics:
            self._waiting[topic].append(waiter)
        timer = loop.call_later(timeout_s, _set, waiter)
        await waiter
        timer.cancel()

    def _wake(self, topic: str) -> None:
        for waiter in self._waiting.pop(topic, ()):
            _set(waiter)

    def has(self, place: Place, offset: int) -> bool:
        """Whether there is a record here that has become visible."""
        stored = self.places[place]
        return offset < len(stored) and stored[offset].visible_at <= self._time()

    def fetch(self, place: Place, offset: int, count: int) -> list[Record]:
        """Return records that have become visible."""
        found = self.places[place][offset : offset + count]
        return [one.record for one in found if one.visible_at <= self._time()]


def _set(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Fetcher:
    """What a consumer knows of Kafka: seeking, pausing; stands in for aiokafka's consumer."""

    def __init__(self, topics: Topics, group: str = "") -> None:
        self.topics = topics
        self.group = group
        self.next: dict[Place, int] = {}
        self.assigned: set[Place] = set()
        self.paused: set[Place] = set()

    @property
    def consumer(self) -> "Fetcher":
        """FastStream's subscriber has the consumer; here both are one."""
        return self

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Fetch from here."""
        self.next[partition.topic, partition.partition] = offset

    def pause(self, *partitions: TopicPartition) -> None:
        """Fetch nothing of these."""
        self.paused |= {(one.topic, one.partition) for one in partitions}

    def resume(self, *partitions: TopicPartition) -> None:
        """Fetch again."""
        self.paused -= {(one.topic, one.partition) for one in partitions}

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that are read here."""
        return {TopicPartition(topic, number) for topic, number in self.assigned}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep where the group is; only readers without offsets of their own begin there."""
        for place, offset in offsets.items():
            self.topics.committed[self.group, place.topic, place.partition] = offset

    def getmany(self, count: Callable[[], int]) -> list[Record]:
        """Return the next records of all assigned partitions."""
        records: list[Record] = []
        for place in sorted(self.assigned - self.paused):
            offset = self.next.get(place, 0)
            # Mostly there is nothing: then nothing is drawn.
            if self.topics.has(place, offset):
                found = self.topics.fetch(place, offset, count())
                self.next[place] = offset + len(found)
                records += found
        return records


class ProcessBus:
    """The producer of one process. ``pace`` lets time pass, ``happens`` decides on faults.

    Now and then time passes between two records of a batch: elsewhere others have them already.
    """

    def __init__(
        self,
        topics: Topics,
        pace: Callable[[], Awaitable[None]],
        happens: Callable[[str], bool],
    ) -> None:
        self._topics = topics
        self._pace = pace
        self._happens = happens

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Hand over; what is handed over may be lost."""
        for number, out in enumerate(records):
            if number == 0 or self._happens("batch_parted"):
                await self._pace()
            if not self._happens("message_lost"):
                self._topics.append(out)

    async def send_and_wait(self, records: Sequence[Outgoing]) -> None:
        """Send in order; after a fault the caller knows of none whether it has arrived."""
        failed: set[tuple[str, int | None]] = set()
        for number, out in enumerate(records):
            if number == 0 or self._happens("batch_parted"):
                await self._pace()
            place = (out.topic, out.partition)
            if place in failed:
                continue
            if self._happens("send_failed"):
                failed.add(place)
                if not self._happens("send_arrived"):
                    continue
            self._topics.append(out)
        if failed:
            raise KafkaError


def partitions_of(topics: Iterable[str], count: int) -> list[Place]:
    """Return all partitions of the topics."""
    return [(topic, number) for topic in topics for number in range(count)]


def subscriber(fetcher: Fetcher) -> Any:
    """Return what a runtime consumer takes for its FastStream subscriber."""
    return fetcher
