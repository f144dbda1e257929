"""A TCP proxy that does to one link what networks do: delay, reset, swallow, half-open, throttle.

It runs in a thread of the test. What it swallows while a way is closed it delivers late, as TCP does when
packets get through again. Before Kafka it also rewrites the broker's own address in its answers, so that
clients stay on the proxy: the two addresses are equally long, so nothing else of an answer changes.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit, urlunsplit

from tests.chaos.kit import is_ready
from tests.system import System, wait_until

CHUNK = 64 * 1024


class Connection:
    """One connection of a client, and the proxy's own to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client, self.server = client, server
        self.is_dead = False
        """Half open: the server is gone, and nobody tells the client."""

    def reset(self) -> None:
        """Cut both ends with a RST."""
        for writer in (self.client, self.server):
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()


class Proxy:
    """``with Proxy(port) as link:`` listens at ``link.port`` and passes on to ``port``."""

    def __init__(self, target: int, *, is_kafka: bool = False) -> None:
        self.port = 0
        self.resets = 0
        self._target, self._is_kafka = target, is_kafka
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._up, self._down = asyncio.Event(), asyncio.Event()
        self._delay_s = 0.0
        self._bytes_s = 0.0
        self._cuts_replies = False

    def __enter__(self) -> Self:
        self._up.set()
        self._down.set()
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *error: object) -> None:
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    # -- faults -----------------------------------------------------------------------------------

    def delay(self, seconds: float) -> None:
        """Let every piece of data take so long."""
        self._delay_s = seconds

    def throttle(self, bytes_s: float) -> None:
        """Let so many bytes a second through, in each way."""
        self._bytes_s = bytes_s

    def blackhole(self, *, up: bool = True, down: bool = True) -> None:
        """Swallow what goes to the server, what comes from it, or both."""
        self._call(self._up.clear if up else self._up.set)
        self._call(self._down.clear if down else self._down.set)

    def reset(self) -> None:
        """Cut every connection; new ones are taken."""
        self._call(self._reset_all)

    def half_open(self) -> None:
        """End every connection at the server; clients are told nothing, now or later."""
        self._call(self._end_servers)

    def cut_replies(self) -> None:
        """From now on, cut each connection when its first answer arrives."""
        self._cuts_replies = True

    def heal(self) -> None:
        """Pass everything on again, and what was swallowed first."""
        self._delay_s = self._bytes_s = 0.0
        self._cuts_replies = False
        self._call(self._up.set)
        self._call(self._down.set)

    def _reset_all(self) -> None:
        for connection in list(self._connections):
            connection.reset()
            self.resets += 1

    def _end_servers(self) -> None:
        for connection in list(self._connections):
            connection.is_dead = True
            _reset(connection.server)

    # -- passing on -------------------------------------------------------------------------------

    def _call(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._do(call())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        self._reset_all()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            _reset(writer)
            return
        connection = Connection(writer, to_server)
        self._connections.add(connection)
        ways = (
            self._pass_on(connection, reader, to_server, self._up),
            self._pass_on(connection, from_server, writer, self._down),
        )
        pair = [asyncio.ensure_future(way) for way in ways]
        self._tasks.update(pair)
        await asyncio.wait(pair)
        self._tasks.difference_update(pair)
        self._connections.discard(connection)
        connection.reset()

    async def _pass_on(
        self,
        connection: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        way: asyncio.Event,
    ) -> None:
        is_answer = writer is connection.client
        read = self._frame if is_answer and self._is_kafka else self._chunk
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while data := await read(reader):
                await way.wait()
                if connection.is_dead:
                    continue
                if is_answer and self._cuts_replies:
                    self.resets += 1
                    connection.reset()
                    return
                if pause := self._delay_s + (len(data) / self._bytes_s if self._bytes_s else 0):
                    await asyncio.sleep(pause)
                writer.write(data)
                await writer.drain()
        await way.wait()
        if not connection.is_dead:
            writer.close()
        elif is_answer:
            # The server's end is gone; the client's stays as it is until the client gives it up.
            await asyncio.Event().wait()

    async def _chunk(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.read(CHUNK)

    async def _frame(self, reader: asyncio.StreamReader) -> bytes:
        """Read one answer of the broker, whole, and put the proxy's address for the broker's."""
        size = await reader.readexactly(4)
        body = await reader.readexactly(int.from_bytes(size, "big"))
        own, broker = (b"127.0.0.1" + struct.pack(">i", n) for n in (self.port, self._target))
        return size + body.replace(broker, own)


class Links(NamedTuple):
    """The two links of one service."""

    postgres: Proxy
    kafka: Proxy


@contextmanager
def proxied(system: System, service: str) -> Iterator[Links]:
    """Run the service with proxies before its Postgres and its Kafka."""
    database = urlsplit(system.env["DATABASE_URL"])
    broker = int(system.env["KAFKA_BOOTSTRAP_SERVERS"].rpartition(":")[2])
    with Proxy(int(database.port or 0)) as postgres, Proxy(broker, is_kafka=True) as kafka:
        login = database.netloc.rpartition("@")[0]
        through = database._replace(netloc=f"{login}@127.0.0.1:{postgres.port}")
        addresses = {
            "DATABASE_URL": urlunsplit(through),
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka.port}",
        }
        with system.instead_of(service, **addresses):
            wait_until(lambda: is_ready(system, service), f"{service} behind proxies", 90)
            yield Links(postgres, kafka)
            for link in (postgres, kafka):
                link.heal()
