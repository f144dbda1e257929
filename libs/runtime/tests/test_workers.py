"""A worker that fails begins anew, and so does one that returns because its connection was closed."""

import asyncio

import pytest

from runtime.service import Service
from runtime.settings import Settings


@pytest.mark.parametrize("does_fail", [True, False])
async def test_a_worker_that_ends_begins_anew(does_fail: bool) -> None:
    begun, again = 0, asyncio.Event()

    async def worker(_: Service) -> None:
        nonlocal begun
        begun += 1
        if begun > 1:
            again.set()
            await asyncio.Event().wait()
        if does_fail:
            raise RuntimeError

    supervised = asyncio.create_task(Service("catalog", Settings())._supervise(worker))
    async with asyncio.timeout(20):
        await again.wait()
    supervised.cancel()
