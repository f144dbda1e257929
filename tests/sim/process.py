"""One process of a service: the service as ``app.py`` wires it, its relay, its timers, its consumers.

It dies as by SIGKILL: between two statements, or at one of the crash points of the real code. Its
transactions are gone then, what it had sent is sent, and a new one starts a little later.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

import asyncpg

from runtime.batches import Place
from runtime.bus import Bus
from runtime.inbox import BUSY, Consumer
from runtime.relay import Relay
from runtime.service import AnyConsumer, Service
from tests.sim.bus import Fetcher, ProcessBus, Topics, partitions_of
from tests.sim.chance import Chance
from tests.sim.loop import Pause, VirtualLoop
from tests.sim.statements import Statements
from tests.sim.store import Connection, Pool, Schema

CURRENT: ContextVar["Process"] = ContextVar("process")
RESTART_S_MAX = 1
FETCHED_AGAIN_MAX = 8
STALL_S = 2.0
"""So long a consumer stands still with what it has fetched: others go on with the other partitions."""
AWAY_S = 0.1
"""So long a process cannot reach its database: whoever tries again at once fails again."""
FAR_BACK = 20
"""Once in so many times up to ``RECORDS_MAX`` are fetched again."""
RECORDS_MAX = 200
IDLE_S_MAX = 0.25
PUBLISHERS = {"ledger", "campaigns", "customers", "webhooks"}
CARE_S = 4.0
COMMIT_S = 0.2
"""Those without offsets of their own tell Kafka where they are; what came since is done again by the next."""


class Killed(BaseException):
    """The process is no more: nothing of it may run on."""


class Surroundings(Protocol):
    """What a process finds on its machine."""

    loop: VirtualLoop
    chance: Chance
    topics: Topics
    broken: list[BaseException]

    def note(self, text: str) -> None:
        """Write a line of the trace."""

    def died(self, process: "Process") -> None:
        """Hear that a process has died."""


class Process:
    """Runs until it is killed."""

    def __init__(
        self,
        world: Surroundings,
        name: str,
        build: Callable[[], Service],
        schema: Schema,
        statements: Statements,
    ) -> None:
        self.world = world
        self.name = name
        self.is_dead = False
        self.service = build()
        self.connections: list[Connection] = []
        self.fetchers: dict[str, Fetcher] = {}
        self._schema = schema
        self._statements = statements
        self._away_until = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start everything that the real service starts."""
        service = self.service
        service.pool = Pool(self.connect)  # type: ignore[assignment]
        bus: Bus = ProcessBus(
            self.world.topics, partial(self.step, "send"), self.world.chance.happens
        )
        service.bus = bus
        CURRENT.set(self)
        if service.name in PUBLISHERS:
            service.relay = Relay(service.settings, service.name, bus)
            self.run(service.relay.run())
        for worker in service.background:
            self.run(self._for_ever(worker))
        for consumer in service.consumers:
            fetcher = Fetcher(self.world.topics, f"{service.name}.{consumer.name}")
            consumer._subscriber = fetcher
            if isinstance(consumer, Consumer):
                consumer._kafka = fetcher
            self.fetchers[consumer.name] = fetcher
            self.run(self._fetch(consumer, fetcher))
            self.run(self._care(consumer))

    def connect(self) -> Connection:
        """Open a session."""
        connection = Connection(self._schema, self._statements)
        connection.step = partial(self.statement, connection)
        self.connections.append(connection)
        return connection

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something as long as the process lives."""
        CURRENT.set(self)

        async def until_killed() -> None:
            try:
                await work
            except Killed:
                return
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self.world.broken.append(error)
                raise

        self._tasks.append(asyncio.get_running_loop().create_task(until_killed()))

    async def step(self, what: str) -> None:
        """Let time pass; the process may die in it."""
        if self.is_dead:
            raise Killed
        world = self.world
        world.note(f"{self.name} {what}")
        await Pause(world.loop, world.chance.delay(what))
        if self.is_dead:
            raise Killed
        if world.chance.happens("crash"):
            self.die(f"at {what}")

    async def statement(self, connection: Connection, what: str) -> None:
        """Let a statement take its time; its session may end in it, or all for a while."""
        await self.step(what)
        world = self.world
        if world.chance.happens("database_away"):
            self._away_until = world.loop.moment + AWAY_S
        is_away = world.loop.moment < self._away_until
        if world.chance.happens("session_ended") or is_away:
            self.world.note(f"{self.name} loses its session at {what}")
            connection.terminate()

    def pass_point(self, point: str) -> None:
        """Die at a crash point of the real code."""
        if self.is_dead:
            raise Killed
        if self.world.chance.happens("crash_point"):
            self.die(f"at {point}")

    def die(self, where: str) -> None:
        """Kill the process."""
        self.world.note(f"{self.name} dies {where}")
        self.is_dead = True
        for connection in self.connections:
            connection.terminate()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
        self.world.died(self)
        raise Killed

    async def _for_ever(self, worker: Callable[[Service], Awaitable[None]]) -> None:
        while True:
            try:
                await worker(self.service)
            except Exception as error:  # noqa: BLE001 - as the real service: again, after a pause
                self.world.note(f"{self.name} {worker.__name__}: {error!r}")
                await asyncio.sleep(CARE_S)

    async def _fetch(self, consumer: AnyConsumer, fetcher: Fetcher) -> None:
        chance = self.world.chance
        is_busy = isinstance(consumer, Consumer) and BUSY.intersection(consumer.topics)
        take = consumer.take_paced if is_busy else consumer.take
        while True:
            records = fetcher.getmany(lambda: 1 + chance.number(chance.batch))
            if records:
                at = [f"{one.topic}/{one.partition}@{one.offset}" for one in records]
                self.world.note(f"{self.name} takes {' '.join(at)}")
                # A kind of steps of its own: consumers of one topic are fast or slow, each by itself.
                await self.step(f"take {self.service.name} {consumer.name}")
                if chance.happens("stalled"):
                    self.world.note(f"{self.name} {consumer.name} stands still")
                    await asyncio.sleep(STALL_S)
                await take(records)
                if fetcher.assigned and chance.happens("fetched_again"):
                    place = sorted(fetcher.assigned)[chance.number(len(fetcher.assigned))]
                    fetcher.next[place] = max(0, fetcher.next.get(place, 0) - _steps_back(chance))
                    self.world.note(f"{self.name} fetches {place} again from {fetcher.next[place]}")
            else:
                await self.world.topics.wait(consumer.topics, IDLE_S_MAX)

    async def _care(self, consumer: AnyConsumer) -> None:
        pause_s = CARE_S if isinstance(consumer, Consumer) else COMMIT_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await consumer.look_after_offsets()
            except (OSError, asyncpg.PostgresError):
                continue


def _steps_back(chance: Chance) -> int:
    """Return how many records are fetched again: mostly a few, as whoever has them all does all again."""
    return chance.number(FETCHED_AGAIN_MAX if chance.number(FAR_BACK) else RECORDS_MAX)


class Group:
    """Shares the partitions of a consumer's topics among the living processes of its service."""

    def __init__(self, consumer: str, partitions: int) -> None:
        self._consumer = consumer
        self._partitions = partitions
        self._members: list[Process] = []
        self._turn = 0

    def join(self, process: Process) -> None:
        """Take a process in."""
        self._members.append(process)
        self.share_out()

    def leave(self, process: Process) -> None:
        """Let a process go."""
        self._members.remove(process)
        self.share_out()

    def share_out(self) -> None:
        """Give each partition to one member, to another one than before if there is one."""
        self._turn += 1
        for member in self._members:
            consumer = self._of(member)
            fetcher = member.fetchers[self._consumer]
            places = partitions_of(consumer.topics, self._partitions)
            mine = {
                place
                for number, place in enumerate(places)
                if self._members[(number + self._turn) % len(self._members)] is member
            }
            lost, new = fetcher.assigned - mine, mine - fetcher.assigned
            fetcher.assigned -= lost
            if lost and isinstance(consumer, Consumer):
                consumer.on_revoked(lost)
            if new:
                member.run(self._assign(consumer, fetcher, new))

    async def _assign(self, consumer: AnyConsumer, fetcher: Fetcher, new: set[Place]) -> None:
        for place in new:
            fetcher.next[place] = fetcher.topics.committed.get((fetcher.group, *place), 0)
        # Aiokafka logs a fault here and fetches from what it has; the offsets' own check mends it.
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            if isinstance(consumer, Consumer):
                await consumer.on_assigned(new)
        fetcher.assigned |= new

    def _of(self, process: Process) -> AnyConsumer:
        return next(one for one in process.service.consumers if one.name == self._consumer)
