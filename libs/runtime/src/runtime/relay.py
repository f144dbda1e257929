"""From a service's log to its topics: one elected relay per service, in commit order.

At least once: a crash between the broker's acknowledgement and the saved cursor repeats events, and
consumers drop those by their position. Each event names the one before it in its partition of the topic,
so that a consumer notices when one is missing between the log and itself.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import structlog

from runtime import event_store, limits
from runtime.bus import Bus, Outgoing
from runtime.crash_points import crash_point
from runtime.database import Connection, connect
from runtime.settings import Settings

logger = structlog.get_logger()
ELECTION_S = 1.0
"""How often a process that does not publish tries to take over."""
WOKEN = "tessera_relay"
"""The channel of notifications. Services of one database share it: a look too many does no harm."""
STEP_DOWN = "step down"
"""What a notification says, with the service's name, to a relay that shall let somebody else publish."""


class Cursor(NamedTuple):
    """Up to where the log is published, and the last position of each partition of a topic."""

    position: int
    published: dict[str, int]


async def read_cursor(connection: Connection) -> Cursor:
    """Return the stored cursor; asks the log where it does not know the partitions' last positions."""
    row = await connection.fetchrow("SELECT position, published FROM relay_cursor")
    assert row is not None, "one row"
    if row["published"] is not None:
        return Cursor(row["position"], row["published"])
    rows = await connection.fetch(
        """
        SELECT topic, partition, max(position) AS position FROM events
        WHERE position <= $1 GROUP BY topic, partition
        """,
        row["position"],
    )
    return Cursor(row["position"], {_place(one): one["position"] for one in rows})


def _place(row: Any) -> str:
    return f"{row['topic']}/{row['partition']}"


def chained(rows: Iterable[Any], cursor: Cursor) -> tuple[list[int], Cursor]:
    """Return for each event the position of the one before it in its partition, and the new cursor."""
    published = dict(cursor.published)
    previous = []
    position = cursor.position
    for row in rows:
        place, position = _place(row), row["position"]
        previous.append(published.get(place, 0))
        assert previous[-1] < position, "positions of a partition ascend"
        published[place] = position
    return previous, Cursor(position, published)


class Relay:
    """Publishes what is committed.

    Woken in process by whoever appended, by a notification when that was a sister process, and in any
    case every ``relay_poll_s`` (docs/adr/0011-the-relay-is-notified.md).
    """

    def __init__(self, settings: Settings, service: str, bus: Bus) -> None:
        self._settings = settings
        self._service = service
        self._bus = bus
        self._woken = asyncio.Event()
        self._is_leading = False
        self._shall_step_down = False
        self._empty_looks = 0

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything committed so far is published, if this process is the one that does."""
        seen = self._empty_looks
        async with asyncio.timeout(timeout_s):
            # The first empty look may have begun before the last commit; the second has not.
            while self._is_leading and self._empty_looks < seen + 2:
                self.wake()
                await asyncio.sleep(0.005)

    async def run(self) -> None:
        """Publish until cancelled; any fault is retried with a new election."""
        delay = self._settings.retry_delay_s
        while True:
            try:
                await self._lead()
            except Exception as error:  # noqa: BLE001 - Kafka or Postgres is away: elect and try again
                logger.warning("relay_interrupted", error=repr(error))
                await asyncio.sleep(delay)
                delay = min(2 * delay, limits.RETRY_DELAY_S_MAX)
            else:
                delay = self._settings.retry_delay_s

    async def _lead(self) -> None:
        connection = await connect(
            self._settings, self._service, statement_s_max=limits.STATEMENT_S_MAX
        )
        try:
            while not await self._elected(connection):
                await self._pass_on(connection)
            logger.info("relay_elected")
            self._shall_step_down = False
            await connection.add_listener(WOKEN, self._notified)
            self._is_leading = True
            # A lost cursor only repeats events, so its commits need not wait for the disk.
            await connection.execute("SET synchronous_commit = off")
            # A process that is stopped keeps its lock; its sister shall not wait for it for ever.
            idle_s_max = limits.RELAY_IDLE_S_MAX
            await connection.execute(f"SET idle_session_timeout = '{idle_s_max}s'")
            cursor = await read_cursor(connection)
            while not self._shall_step_down:
                cursor = await self.publish_next(connection, cursor)
            logger.info("relay_steps_down")
        finally:
            self._is_leading = False
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)

    def _notified(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        if payload == f"{STEP_DOWN} {self._service}":
            self._shall_step_down = True
        self.wake()

    async def _elected(self, connection: Connection) -> bool:
        return bool(
            await connection.fetchval(
                "SELECT pg_try_advisory_lock($1, hashtext(current_schema()))",
                event_store.RELAY_LOCK,
            )
        )

    async def _pass_on(self, connection: Connection) -> None:
        """Tell the elected relay of what this process appended, until it is time for an election."""
        if await self._is_woken(ELECTION_S):
            await connection.execute("SELECT pg_notify($1, '')", WOKEN)

    async def _is_woken(self, wait_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        is_woken = self._woken.is_set()
        self._woken.clear()
        return is_woken

    async def publish_next(self, connection: Connection, cursor: Cursor) -> Cursor:
        """Publish the next events, and wait until there may be more; returns the new cursor."""
        rows = await event_store.read_after(connection, cursor.position, limits.RELAY_EVENTS_MAX)
        if rows:
            cursor = await self._publish(connection, rows, cursor)
        else:
            self._empty_looks += 1
        if len(rows) < limits.RELAY_EVENTS_MAX:
            await self._is_woken(self._settings.relay_poll_s)
            # Whoever appended is about to reply: the answer goes before its aftermath (ADR 0017).
            await asyncio.sleep(self._settings.relay_rest_s)
        return cursor

    async def _publish(self, connection: Connection, rows: Sequence[Any], cursor: Cursor) -> Cursor:
        previous, after = chained(rows, cursor)
        await self._bus.send_and_wait(
            [
                Outgoing(
                    row["topic"],
                    f"{row['project_id']}/{row['stream_id']}",
                    row["data"].encode(),
                    event_store.envelope_of(row, self._service, before).to_headers(),
                    row["partition"],
                )
                for row, before in zip(rows, previous, strict=True)
            ]
        )
        crash_point("relay_after_send")
        await connection.execute("UPDATE relay_cursor SET position = $1, published = $2", *after)
        return after
