"""What the gauges say: looked up now and then by a service's care, so that messages pay nothing.

One query of the log's head and the relay's cursor, one of the dead letters, and for each consumer one
question to the broker where its partitions end.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runtime import clock, metrics
from runtime.batches import Place, Standing
from runtime.database import Connection
from runtime.inbox import NO_PROGRESS, Consumer, Progress

if TYPE_CHECKING:
    from runtime.service import Service


class Sampler:
    """Looks, and keeps since when a partition has had records waiting."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._behind_since: dict[tuple[str, Place], float] = {}

    async def look(self) -> None:
        """Set all gauges; raises when Kafka or Postgres is away, and leaves them as they were."""
        service = self._service
        async with service.pool.acquire() as connection:
            await _sample_log(connection)
            await _sample_dead_letters(
                connection,
                {one.name for one in service.consumers if isinstance(one, Consumer)},
                {one.name for one in service.consumers if getattr(one, "reads_events", False)},
            )
        standings = {consumer.name: await consumer.ends() for consumer in service.consumers}
        # From here on nothing waits, so that no scrape sees half of it.
        metrics.CONSUMER_LAG.clear()
        metrics.PROJECTION_POSITION.clear()
        for consumer in service.consumers:
            places = standings[consumer.name]
            for (topic, partition), standing in places.items():
                metrics.CONSUMER_LAG.labels(consumer.name, topic, partition).set(standing.lag)
            if isinstance(consumer, Consumer) and consumer.reads_events:
                self._sample_reader(consumer, places)
        metrics.SAMPLED.set(clock.now().timestamp())

    def _sample_reader(self, consumer: Consumer, places: Mapping[Place, Standing]) -> None:
        now = time.monotonic()
        behind_s = 0.0
        for place, standing in places.items():
            key = (consumer.name, place)
            if standing.lag:
                since = self._behind_since.setdefault(key, now)
                progress = consumer.progress.get(place, NO_PROGRESS)
                behind_s = max(behind_s, seconds_behind(now, since, progress))
            else:
                self._behind_since.pop(key, None)
            position = consumer.position_of(place)
            metrics.PROJECTION_POSITION.labels(consumer.name, *place).set(position)
        metrics.PROJECTION_LAG_SECONDS.labels(consumer.name).set(behind_s)


def seconds_behind(now: float, behind_since: float, progress: Progress) -> float:
    """Return how old the state of a partition is that has records waiting.

    While it works the backlog off, it is as old as what it applied last; when it stands still, that
    grows by the second. Records that came to a partition at rest count from when they were seen.
    """
    if progress.at >= behind_since:
        return now - progress.at + progress.age_s
    return now - behind_since


async def _sample_log(connection: Connection) -> None:
    row = await connection.fetchrow(
        """
        SELECT coalesce((SELECT max(position) FROM events), 0) AS head,
               (SELECT position FROM relay_cursor) AS published
        """
    )
    assert row is not None, "one row"
    metrics.LOG_POSITION.set(row["head"])
    metrics.RELAY_LAG.set(max(row["head"] - row["published"], 0))


async def _sample_dead_letters(
    connection: Connection, consumers: set[str], readers: set[str]
) -> None:
    rows = await connection.fetch(
        """
        SELECT consumer, status, count(*) AS letters, count(DISTINCT (project_id, stream_id)) AS streams
        FROM dead_letters GROUP BY GROUPING SETS ((consumer, status), (consumer))
        """
    )
    letters = {(row["consumer"], row["status"]): row["letters"] for row in rows}
    streams = {row["consumer"]: row["streams"] for row in rows if row["status"] is None}
    for consumer in consumers | {row["consumer"] for row in rows}:
        for status in ("failed", "held"):
            count = letters.get((consumer, status), 0)
            metrics.DEAD_LETTERS_STORED.labels(consumer, status).set(count)
    for consumer in readers:
        metrics.HELD_STREAMS.labels(consumer).set(streams.get(consumer, 0))
