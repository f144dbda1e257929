"""What a request is answered whose handler fails."""

from collections.abc import Sequence
from typing import Any, ClassVar

import asyncpg
import pytest

from contracts.errors import Unavailable
from contracts.messages import Envelope, Reply, Request
from runtime import clock
from runtime.batches import Record
from runtime.requests import RequestConsumer
from runtime.service import Service
from runtime.settings import Settings
from runtime.testing.harness import MemoryBus


class Question(Request):
    TYPE: ClassVar[str] = "test.question.v1"


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

    bus = MemoryBus()
    consumer = RequestConsumer(fail, [Question])
    service = Service("test", Settings(), consumers=[consumer])
    service.bus = bus
    envelope = Envelope(
        id="q1",
        type=Question.TYPE,
        source="test",
        time=clock.now(),
        project_id="p1",
        reply_to="test.replies",
    )
    await consumer.take(
        [Record("t", 0, 0, b"", Question().to_json(), tuple(envelope.to_headers()))]
    )
    reply = Reply.from_json(bus.sent[0].value)
    assert (reply.status, reply.retry_after_s is not None) == (status, status == 503)
