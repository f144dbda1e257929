"""One run: two ledgers and two readers, callers, faults; then calm, until all is answered and read.

``run(Run(seed))`` returns what was wrong. The same run does the same things again, step by step, as its
trace says.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import structlog

import runtime.inbox
import runtime.relay
from contracts import topics as topic_names
from contracts.engine import PlanRedemption, ValidateStack
from contracts.ledger import Plan, Redeem
from contracts.messages import Command, Envelope, Reply
from gateway.read_models import PROJECTION
from ledger import app as ledger_app
from ledger.audit import audit
from runtime import clock, event_store, ids, log
from runtime.audit import all_events, check_log, check_relay, compare
from runtime.bus import Outgoing, forward_envelope, outgoing
from runtime.consumer import ProjectionConsumer
from runtime.service import Service
from runtime.settings import Settings
from tests.oracle.machine import START
from tests.sim import shop
from tests.sim.bus import Topics
from tests.sim.chance import KINDS, Chance, Fault
from tests.sim.judge import Answered, Judge
from tests.sim.loop import NothingLeftToDo, VirtualLoop
from tests.sim.process import CURRENT, IDLE_S_MAX, RESTART_S_MAX, Group, Process
from tests.sim.shop import Operation
from tests.sim.statements import Statements
from tests.sim.store import Connection, Schema

PARTITIONS = 3
CALM_S = 400.0
"""After the last fault everything must be done in this time."""
ANSWER_S = 2.0
REPLIES = topic_names.GATEWAY_REPLIES
SIZE = 60


class Run(NamedTuple):
    """All that a run depends on, besides the code."""

    seed: int
    operations: tuple[Operation, ...]
    kinds: frozenset[str] = frozenset(KINDS)
    left_out: frozenset[Fault] = frozenset()


class Ended(NamedTuple):
    """How a run went."""

    findings: list[str]
    faults: list[Fault]
    steps: int
    trace_hash: str
    trace: list[str]
    virtual_s: float


def run_of(seed: int, size: int = SIZE) -> Run:
    """Return the run that a seed stands for."""
    return Run(seed, shop.operations_of(seed, size))


class World:
    """Everything in one process."""

    def __init__(self, wanted: Run) -> None:
        loop = asyncio.get_running_loop()
        self.chance = Chance(wanted.seed, wanted.kinds, wanted.left_out)
        self.topics = Topics(PARTITIONS, loop.time, self.chance.delay)
        self.trace: list[str] = []
        self.broken: list[BaseException] = []
        """What ended a part of a process that never ends: a fault of the simulation, or of ours."""
        self._run = wanted
        self._operations = {one.name: one for one in wanted.operations}
        self._schemas = {"ledger": Schema(), "gateway": Schema()}
        self._statements = {"ledger": Statements(), "gateway": Statements(PROJECTION)}
        self._groups = {
            ("ledger", "commands"): Group("commands", PARTITIONS),
            ("ledger", "reactions"): Group("reactions", PARTITIONS),
            ("gateway", "projection"): Group("projection", PARTITIONS),
        }
        self._replies: dict[str, list[Reply]] = {}
        self._open: dict[str, tuple[int, int]] = {}
        self._customers_position = dict.fromkeys(range(PARTITIONS), 0)
        self._customers_next = 0

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append(f"{asyncio.get_running_loop().time():.4f} {text}")

    # -- processes ---------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process of the service that the name begins with."""
        service = name.partition("-")[0]
        build = partial(_build, service)
        process = Process(self, name, build, self._schemas[service], self._statements[service])
        process.start()
        for (owner, _), group in self._groups.items():
            if owner == service:
                group.join(process)

    def died(self, process: Process) -> None:
        """Give its partitions to the others, and start it again in a while."""
        for (owner, _), group in self._groups.items():
            if owner == process.service.name:
                group.leave(process)
        loop = asyncio.get_running_loop()
        loop.call_later(
            0.1 + self.chance.number(100 * RESTART_S_MAX) / 100, self.start, process.name
        )

    async def reassign(self) -> None:
        """Now and then let a group share out its partitions anew."""
        while True:
            await asyncio.sleep(0.1)
            for group in self._groups.values():
                if self.chance.happens("reassigned"):
                    group.share_out()

    # -- callers -----------------------------------------------------------------------------------

    async def ask(self, operation: Operation) -> None:
        """Ask until there is a definitive answer; the key is always the same."""
        await asyncio.sleep(operation.at)
        if operation.kind == "cancel":
            self._cancel(operation)
            return
        log = self._schemas["ledger"].tables["events"].values()
        begun = max((row["position"] for row in log), default=0)
        self._open[operation.name] = (begun, begun)
        command = shop.command_of(operation)
        attempts = 0
        while operation.name not in self._replies:
            attempts += 1
            envelope = self._envelope(operation, command, attempts)
            if not self.chance.happens("message_lost"):
                self._send(
                    outgoing(topic_names.commands("ledger"), operation.name, command, envelope)
                )
            await self._heard(operation.name)

    async def _heard(self, name: str) -> None:
        for _ in range(20):
            if name in self._replies:
                return
            await asyncio.sleep(ANSWER_S / 20)

    def _send(self, out: Outgoing) -> None:
        number = None
        if self.chance.happens("sent_elsewhere"):
            number = self.chance.number(PARTITIONS)
        self.topics.append(out._replace(partition=number))

    def _envelope(self, operation: Operation, command: Command, attempt: int) -> Envelope:
        return Envelope(
            id=f"{operation.name}.{attempt}",
            type=command.TYPE,
            source="gateway",
            time=clock.now(),
            project_id=operation.project,
            subject=operation.name,
            reply_to=REPLIES,
            idempotency_key=f"key of {operation.name}",
            fingerprint=operation.name,
        )

    def _cancel(self, operation: Operation) -> None:
        event = shop.cancellation(operation)
        stream = f"order-{operation.order}"
        number = event_store.partition_of(operation.project, stream, PARTITIONS)
        self._customers_next += 1
        envelope = Envelope(
            id=operation.name,
            type=event.TYPE,
            source="customers",
            time=clock.now(),
            project_id=operation.project,
            stream=stream,
            stream_version=1,
            position=self._customers_next,
            previous_position=self._customers_position[number],
        )
        self._customers_position[number] = self._customers_next
        out = outgoing(topic_names.events("customers"), stream, event, envelope)
        self.topics.append(out._replace(partition=number))

    async def hear(self) -> None:
        """Take replies to their callers."""
        heard = dict.fromkeys(range(PARTITIONS), 0)
        while True:
            for number in heard:
                for record in self.topics.fetch((REPLIES, number), heard[number], 100):
                    heard[number] += 1
                    name = Envelope.from_headers(record.headers).subject
                    reply = Reply.from_json(record.value or b"")
                    self.note(f"{name} is answered {reply.status}")
                    if reply.retry_after_s is None:
                        self._replies.setdefault(name, []).append(reply)
                        begun = self._open[name][0]
                        now = self._schemas["ledger"].sequences["position"]
                        self._open[name] = (begun, now)
            await self.topics.wait([REPLIES], IDLE_S_MAX)

    async def plan(self) -> None:
        """Plan anew what the ledger hands back, as the engine does."""
        read = dict.fromkeys(range(PARTITIONS), 0)
        while True:
            for number in read:
                place = (topic_names.ENGINE_REQUESTS, number)
                for record in self.topics.fetch(place, read[number], 100):
                    read[number] += 1
                    envelope = Envelope.from_headers(record.headers)
                    kinds = {one.TYPE: one for one in (PlanRedemption, ValidateStack)}
                    request = kinds[envelope.type].from_json(record.value or b"")
                    command = shop.again(request, self._operations)
                    self.note(f"{envelope.subject} is planned again")
                    self._send(
                        outgoing(
                            topic_names.commands("ledger"),
                            envelope.subject,
                            command,
                            forward_envelope(envelope, command, "engine"),
                        )
                    )
            await self.topics.wait([topic_names.ENGINE_REQUESTS], IDLE_S_MAX)

    # -- the end -----------------------------------------------------------------------------------

    async def live(self) -> None:
        """Run until everybody is answered and everything is read; raises ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        helpers = [loop.create_task(one) for one in (self.hear(), self.plan(), self.reassign())]
        for name in ("ledger-1", "ledger-2", "gateway-1", "gateway-2"):
            self.start(name)
        askers = [loop.create_task(self.ask(one)) for one in self._run.operations]
        last = max((one.at for one in self._run.operations), default=0.0)
        loop.call_later(last + 20.0, self._calm)
        async with asyncio.timeout(last + CALM_S):
            while not (all(asker.done() for asker in askers) and self._is_done()):
                for one in (*helpers, *askers):
                    if one.done() and one.exception() is not None:
                        self.broken.append(one.exception())
                if self.broken:
                    raise self.broken[0]
                await asyncio.sleep(0.5)

    def _calm(self) -> None:
        self.chance.is_calm = True

    def _is_done(self) -> bool:
        if not self.chance.is_calm:
            return False
        ledger, gateway = self._schemas["ledger"], self._schemas["gateway"]
        cursor = ledger.tables["relay_cursor"][(True,)]
        if any(row["postings"] for row in ledger.tables["holds"].values()):
            return False
        newest = max((row["position"] for row in ledger.tables["events"].values()), default=0)
        if cursor["position"] < newest:
            return False
        topic = topic_names.events("ledger")
        stored = gateway.tables["consumer_offsets"]
        return all(
            stored.get(("projection", topic, number), {"next_offset": 0})["next_offset"]
            >= len(self.topics.places[topic, number])
            for number in range(PARTITIONS)
        )

    def _plans(self) -> dict[str, list[Plan]]:
        """Return the plans of each operation that were sent to the ledger."""
        plans: dict[str, list[Plan]] = defaultdict(list)
        for number in range(PARTITIONS):
            for stored in self.topics.places[topic_names.commands("ledger"), number]:
                envelope = Envelope.from_headers(stored.record.headers)
                if envelope.type == Redeem.TYPE:
                    command = Redeem.from_json(stored.record.value or b"")
                    plans[envelope.subject].append(command.plan)
        return plans

    async def findings(self) -> list[str]:
        """Judge the log and the answers, audit the tables."""
        connection: Any = Connection(self._schemas["ledger"], self._statements["ledger"])
        reader: Any = Connection(self._schemas["gateway"], self._statements["gateway"])
        events = await all_events(connection, ["ledger"])
        answered = {
            name: Answered(self._replies.get(name, []), *between)
            for name, between in self._open.items()
        }
        found = Judge(self._run.operations, answered, self._plans()).judge(events)
        found += await audit(connection) + await check_log(connection, "ledger")
        found += await check_relay(connection, "ledger")
        found += [
            f"gateway: dead letter {row}" for row in self._schemas["gateway"].tables["dead_letters"]
        ]
        return found + await compare(reader, "gateway", PROJECTION, events)


SETTINGS = Settings(event_partitions=PARTITIONS)
"""Shared by all processes: to read them takes a tenth of a short run."""


def _build(service: str) -> Service:
    if service == "ledger":
        return ledger_app.build(SETTINGS)
    projection = ProjectionConsumer(PROJECTION, [topic_names.events("ledger")])
    return Service("gateway", SETTINGS, consumers=[projection])


async def _live(wanted: Run, place: dict[str, World]) -> list[str]:
    world = World(wanted)
    place["world"] = world
    try:
        await world.live()
    except (TimeoutError, NothingLeftToDo):
        late = [f"not done {CALM_S:.0f} s after the last fault"]
    else:
        late = []
    return late + await world.findings()


@contextmanager
def _surroundings(wanted: Run, loop: VirtualLoop, place: dict[str, World]) -> Iterator[None]:
    """Replace the clock, chance, crash points and the relay's own connection."""

    def now() -> datetime:
        moment = START.astimezone(UTC) + timedelta(seconds=loop.moment)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def new_id(prefix: str) -> str:
        return f"{prefix}_{place['world'].chance.random_bytes(9).hex()}"

    async def connect(*_: Any, **__: Any) -> Any:
        await CURRENT.get().step("connect")
        return CURRENT.get().connect()

    def crash_point(name: str) -> None:
        CURRENT.get().pass_point(name)

    replaced = [
        (clock, "now", now),
        (ids, "new_id", new_id),
        (runtime.relay, "connect", connect),
        (runtime.relay, "crash_point", crash_point),
        (runtime.inbox, "crash_point", crash_point),
    ]
    del wanted
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in replaced]
    was_wanted, log._direct.is_wanted = log._direct.is_wanted, False
    configured = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False
    )
    for owner, name, value in replaced:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        log._direct.is_wanted = was_wanted
        structlog.configure(**configured)


def run(wanted: Run) -> Ended:
    """Do a run."""
    loop, place = VirtualLoop(), {}
    with _surroundings(wanted, loop, place), asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            findings = runner.run(_live(wanted, place))
        except NothingLeftToDo:
            findings = ["everybody waits for somebody else"]
    world = place["world"]
    digest = hashlib.sha256("\n".join(world.trace).encode()).hexdigest()
    faults = world.chance.happened
    return Ended(findings, faults, len(world.trace), digest, world.trace, loop.moment)
