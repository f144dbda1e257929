"""A connection whose other end is gone without a word is given up, and so are its neighbours in the pool."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from runtime.database import Pool, open_pool
from runtime.settings import Settings
from runtime.testing.fixtures import create_schemas

pytestmark = pytest.mark.integration

PATIENCE_S = 5.0
"""Less than a statement may take, more than any machine needs for what is not to wait."""


class Link:
    """Passes on to Postgres, until it is cut: what was connected then is dead and is not told."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._generation = 0
        self.clients: set[asyncio.StreamWriter] = set()

    def cut(self) -> None:
        self._generation += 1

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        generation = self._generation
        self.clients.add(writer)
        from_server, to_server = await asyncio.open_connection(*self._target)

        async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    if generation == self._generation:
                        sink.write(data)

        back = asyncio.create_task(pass_on(from_server, writer))
        await pass_on(reader, to_server)
        back.cancel()
        to_server.close()
        writer.close()
        self.clients.discard(writer)


@asynccontextmanager
async def linked(settings: Settings) -> AsyncIterator[tuple[Link, Pool]]:
    await create_schemas(settings, "catalog")
    parts = urlsplit(settings.database_url)
    link = Link(parts.hostname or "", parts.port or 5432)
    server = await asyncio.start_server(link.accept, "127.0.0.1", 0)
    login = parts.netloc.rpartition("@")[0]
    netloc = f"{login}@127.0.0.1:{server.sockets[0].getsockname()[1]}"
    through = settings.model_copy(update={"database_url": parts._replace(netloc=netloc).geturl()})
    pool = await open_pool(through, "catalog")
    try:
        yield link, pool
    finally:
        pool.terminate()
        server.close()


async def test_who_gave_a_statement_up_waits_no_longer_for_its_cancellation(
    leased_settings: Settings,
) -> None:
    async with linked(leased_settings) as (link, pool):

        async def ask() -> None:
            async with pool.acquire() as connection:
                link.cut()
                await connection.fetchval("SELECT 1", timeout=0.1)

        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(TimeoutError):
                await ask()
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT 2") == 2


async def test_a_deadline_holds_inside_a_transaction_whose_server_is_gone(
    leased_settings: Settings,
) -> None:
    async with linked(leased_settings) as (link, pool):

        async def write() -> None:
            async with pool.acquire() as connection, connection.transaction():
                link.cut()
                await connection.fetchval("SELECT 1")

        async with asyncio.timeout(PATIENCE_S):
            writing = asyncio.create_task(write())
            await asyncio.wait({writing}, timeout=0.1)
            writing.cancel()
            await asyncio.wait({writing})
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT 2") == 2


async def test_idle_connections_that_are_expired_are_closed_at_once(
    leased_settings: Settings,
) -> None:
    async with linked(leased_settings) as (link, pool):
        taken = [await pool.acquire() for _ in range(3)]
        for connection in taken:
            await pool.release(connection)
        dead = set(link.clients)
        link.cut()
        await pool.expire_connections()
        async with asyncio.timeout(PATIENCE_S):
            while dead & link.clients:
                await asyncio.sleep(0.01)
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT 2") == 2
