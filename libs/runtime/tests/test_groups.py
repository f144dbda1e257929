"""A consumer and its group: what Kafka is told of how far it is, and what it shows of its partitions.

At rest Kafka is told nothing, for a broker reads it all when it starts.
"""

from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from prometheus_client import REGISTRY, Gauge

from runtime.batches import Counted, Hints

ONE, TWO = TopicPartition("catalog.events", 0), TopicPartition("catalog.events", 1)


class Kafka:
    """Keeps what is committed to it."""

    def __init__(self) -> None:
        self.committed: list[dict[TopicPartition, int]] = []
        self.is_away = False

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        if self.is_away:
            raise KafkaError
        self.committed.append(offsets)


@pytest.fixture
def kafka() -> Kafka:
    return Kafka()


async def test_only_what_is_new_is_told(kafka: Kafka) -> None:
    hints = Hints()
    for _ in range(3):
        await hints.tell(kafka, {ONE: 5, TWO: 7})
    await hints.tell(kafka, {ONE: 5, TWO: 8})
    assert kafka.committed == [{ONE: 5, TWO: 7}, {TWO: 8}]


async def test_what_was_not_taken_is_told_again(kafka: Kafka) -> None:
    hints = Hints()
    kafka.is_away = True
    with pytest.raises(KafkaError):
        await hints.tell(kafka, {ONE: 5})
    kafka.is_away = False
    await hints.tell(kafka, {ONE: 5})
    assert kafka.committed == [{ONE: 5}]


async def test_a_partition_that_went_and_came_back_is_told_again(kafka: Kafka) -> None:
    """Its owner meanwhile may have told of less."""
    hints = Hints()
    await hints.tell(kafka, {ONE: 5, TWO: 7})
    await hints.tell(kafka, {TWO: 7})
    await hints.tell(kafka, {ONE: 5, TWO: 7})
    assert kafka.committed == [{ONE: 5, TWO: 7}, {ONE: 5}]


async def test_an_offset_that_was_set_back_is_told(kafka: Kafka) -> None:
    hints = Hints()
    await hints.tell(kafka, {ONE: 5})
    await hints.tell(kafka, {ONE: 0})
    assert kafka.committed == [{ONE: 5}, {ONE: 0}]


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, set[TopicPartition]]] = []

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.told.append(("revoked", revoked))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.told.append(("assigned", assigned))


async def test_who_is_not_let_in_shows_no_partition() -> None:
    gauge, inner = Gauge("tessera_test_assigned", "For a test"), Listener()
    listener: Any = Counted(gauge, inner)

    def shown() -> float | None:
        return REGISTRY.get_sample_value("tessera_test_assigned")

    assert shown() == 0
    await listener.on_partitions_assigned({ONE, TWO})
    assert shown() == 2
    await listener.on_partitions_revoked({ONE, TWO})
    assert shown() == 0
    await listener.on_partitions_assigned({ONE})
    assert shown() == 1
    assert inner.told == [
        ("assigned", {ONE, TWO}),
        ("revoked", {ONE, TWO}),
        ("assigned", {ONE}),
    ]
