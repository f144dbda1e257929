"""What a request is answered whose handler fails, and those that wait for what was just written."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import asyncpg
import pytest

from contracts.errors import Unavailable
from contracts.messages import Position, Reply, Request
from runtime.batches import Record
from runtime.requests import HandleBatch, RequestConsumer
from runtime.service import Service
from runtime.settings import Settings
from runtime.testing.harness import MemoryBus
from runtime.testing.records import record_of


class Question(Request):
    TYPE: ClassVar[str] = "test.question.v1"


def _served(handle: HandleBatch) -> tuple[RequestConsumer, MemoryBus]:
    consumer = RequestConsumer(handle, [Question])
    service = Service("test", Settings(), consumers=[consumer])
    service.bus = bus = MemoryBus()
    return consumer, bus


def _question(number: int, after: tuple[Position, ...] = ()) -> Record:
    return record_of(Question(), ("t", 0), number, message_id=f"q{number}", after=after)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (asyncpg.ConnectionDoesNotExistError("the session was ended"), 503),
        (asyncpg.CannotConnectNowError("the database system is shutting down"), 503),
        (ConnectionRefusedError(), 503),
        (Unavailable("not yet"), 503),
        (asyncpg.DataError("an integer is required"), 500),
        (KeyError("amount"), 500),
    ],
)
async def test_only_what_is_wrong_with_us_is_answered_500(error: Exception, status: int) -> None:
    async def fail(_: Sequence[Any]) -> Sequence[Reply]:
        raise error

    consumer, bus = _served(fail)
    await consumer.take([_question(0)])
    reply = Reply.from_json(bus.sent[0].value)
    assert (reply.status, reply.retry_after_s is not None) == (status, status == 503)


async def test_those_whom_one_write_lets_go_on_are_answered_as_one_batch() -> None:
    batches: list[list[str]] = []

    async def answer(asked: Sequence[Any]) -> Sequence[Reply]:
        batches.append([envelope.id for envelope, _ in asked])
        return [Reply() for _ in asked]

    consumer, bus = _served(answer)
    positions = consumer.host.positions
    positions.owned({("ledger", 0): 7})
    ahead, further = (Position("ledger", 0, 8),), (Position("ledger", 0, 9),)
    await consumer.take(
        [_question(0), _question(1, ahead), _question(2, ahead), _question(3, further)]
    )
    positions.applied({("ledger", 0): 8})
    await asyncio.sleep(0.1)
    positions.applied({("ledger", 0): 9})
    await consumer.finish()
    assert batches == [["q0"], ["q1", "q2"], ["q3"]]
    assert [one.key for one in bus.sent] == ["q0", "q1", "q2", "q3"]
