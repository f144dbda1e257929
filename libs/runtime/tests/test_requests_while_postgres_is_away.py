"""A request that Postgres cannot be asked for is answered "try again", never "internal error"."""

from typing import Any, cast

import asyncpg
import pytest

from contracts.messages import Envelope, Reply
from runtime import clock
from runtime.requests import Asked, RequestConsumer

REQUEST = cast(
    "Asked", (Envelope("msg_1", "engine.qualify.v1", "gateway", clock.now(), "proj_1"), None)
)


async def _answer(error: Exception) -> Reply:
    async def fails(_asked: Any) -> Any:
        raise error

    told = await RequestConsumer(fails, [])._answer_alone(REQUEST)
    assert isinstance(told, Reply)
    return told


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("the database system is in recovery mode"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InterfaceError("the pool is closing"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_postgres_is_away(error: Exception) -> None:
    told = await _answer(error)
    assert told.status == 503
    assert told.retry_after_s is not None


@pytest.mark.parametrize("error", [asyncpg.DataError("no such date"), ValueError(), KeyError("x")])
async def test_what_is_our_own_fault_is_said_to_be(error: Exception) -> None:
    assert (await _answer(error)).status == 500
