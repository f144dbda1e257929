"""One run: two processes of each service, callers, faults; then calm, until all is answered and read.

``run(Run(seed))`` returns what was wrong. The same run does the same things again, step by step, as its
trace says.
"""

import asyncio
import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import product
from types import SimpleNamespace
from typing import Any, NamedTuple

import structlog

import campaigns.settings
import customers.projections
import ledger.settings
import runtime.inbox
import runtime.limits
import runtime.positions
import runtime.relay
import runtime.requests
import webhooks.settings
from campaigns import app as campaigns_app
from contracts import topics as topic_names
from contracts.campaigns import VoucherCreated, VoucherDisabled, VoucherEnabled, VoucherUpdated
from contracts.errors import DomainError, Unavailable
from contracts.ledger import PlaceHold, Plan, Redeem, RedemptionSucceeded, RollBack
from contracts.messages import Envelope, Event, Message, Position, Reply
from contracts.webhooks import CreateEndpoint
from customers import app as customers_app
from engine import app as engine_app
from engine.projections import PROJECTION as REPLICA
from gateway import app as gateway_app
from gateway.read_models import PROJECTION
from gateway.read_models.orders import shown as shown_order
from ledger import app as ledger_app
from ledger.audit import audit
from runtime import clock, event_store, ids, log, projects
from runtime.audit import all_events, check_log, check_relay, compare
from runtime.bus import Outgoing, outgoing
from runtime.consumer import Handler, ReactionConsumer
from runtime.database import INFRASTRUCTURE_ERRORS
from runtime.service import Service
from runtime.settings import Settings
from tests.oracle.machine import PROJECTS, START
from tests.sim import shop
from tests.sim.bus import Topics
from tests.sim.chance import KINDS, Chance, Fault
from tests.sim.hooks import ENDPOINTS, differences
from tests.sim.judge import Answered, Judge, Sent, Version
from tests.sim.loop import NothingLeftToDo, VirtualLoop
from tests.sim.process import CURRENT, IDLE_S_MAX, RESTART_S_MAX, Group, Killed, Process
from tests.sim.readers import Statements
from tests.sim.reading import Front, Reading, Readings, Thing, fact_of, things_of
from tests.sim.shop import Operation
from tests.sim.store import Connection, Schema
from webhooks import app as webhooks_app

PARTITIONS = 3
CALM_S = 400.0
"""After the last fault everything must be done in this time."""
FAULTS_S = 5.0
"""So long there are faults after the last request."""
ANSWER_S = 2.0
ANSWER_S_MAX = 16.0
"""A caller asks again after so long, each time after twice as long."""
REPLIES = topic_names.GATEWAY_REPLIES
POLL_S = 0.25
"""Who waits for a read model looks after so long; the real ones look so often that it is most of a run."""
RELAY_EVENTS_MAX = 8
"""A relay that dies in a batch sends all of it again: of a large one, with faults like here, for ever."""
REMEMBERED_S = 5.0
"""So long a caller says what the engine must have seen."""
CONSUMERS = {
    "engine": ("requests", "projection"),
    "campaigns": ("commands",),
    "ledger": ("commands", "reactions"),
    "gateway": ("projection", "reactions"),
    "customers": ("commands", "reactions", "projection", "projects"),
    "webhooks": ("commands", "reactions"),
}
PROJECTIONS = {
    "gateway": (PROJECTION,),
    "engine": (REPLICA,),
    "customers": (customers.projections.PROJECTION, projects.PROJECTION),
}
REASSIGN_S = 0.5
PUBLISHED = ("ledger", "campaigns", "customers", "webhooks")
"""Whose logs are real; the gateway's own is stood in for."""
LEDGER = [topic_names.events("ledger")]
DEFINING = ("gateway", "campaigns")
SIZE = 60


class Run(NamedTuple):
    """All that a run depends on, besides the code."""

    seed: int
    operations: tuple[Operation, ...]
    kinds: frozenset[str] = frozenset(KINDS)
    left_out: frozenset[Fault] = frozenset()


Line = tuple[float, str]
"""A step, and when it was taken."""


class Ended(NamedTuple):
    """How a run went."""

    findings: list[str]
    faults: list[Fault]
    lines: list[Line]
    virtual_s: float

    @property
    def steps(self) -> int:
        """How many steps it took."""
        return len(self.lines)

    @property
    def trace(self) -> list[str]:
        """The steps, to be read; made only for whoever reads them."""
        return [f"{moment:.4f} {text}" for moment, text in self.lines]

    @property
    def trace_hash(self) -> str:
        """What two runs share that took the same steps."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()


def run_of(seed: int, size: int = SIZE) -> Run:
    """Return the run that a seed stands for."""
    return Run(seed, shop.operations_of(seed, size))


class World:
    """Everything in one process."""

    def __init__(self, wanted: Run) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop), "time is not the machine's"
        self.loop = loop
        self.chance = Chance(wanted.seed, wanted.kinds, wanted.left_out)
        self.topics = Topics(PARTITIONS, loop.time, self.chance.delay)
        self.trace: list[Line] = []
        self.broken: list[BaseException] = []
        """What ended a part of a process that never ends: a fault of the simulation, or of ours."""
        self._run = wanted
        self._schemas = {name: Schema() for name in CONSUMERS}
        self._statements = {
            name: Statements(name, *PROJECTIONS.get(name, ())) for name in CONSUMERS
        }
        self._groups = {
            (service, consumer): Group(consumer, PARTITIONS)
            for service, consumers in CONSUMERS.items()
            for consumer in consumers
        }
        self._fronts: dict[str, Front] = {}
        """The gateway's processes that live, as callers meet them."""
        self._read: list[Reading] = []
        self._wrong: list[str] = []
        """What was not shown at all."""
        self._replies: dict[str, list[Reply]] = {}
        self._heard: dict[str, asyncio.Event] = {}
        """Who waits for an answer."""
        self._open: dict[str, tuple[int, int]] = {}
        self._redeemed: dict[str, str] = {}
        """The redemption of each operation that was answered; of a failed one the failed one's."""
        self._rolled_back: dict[str, str] = {}
        self._known: dict[str, list[tuple[float, str, Position]]] = defaultdict(list)
        """Of each project: when its merchant was told of which change, and where it stands."""
        self._seen: dict[str, list[str]] = {}
        self._told: list[tuple[Event, Envelope]] = []
        """What services say that are stood in for."""
        self._newest: dict[tuple[str, int], int] = {}
        self._kinds = {one.name: one.kind for one in wanted.operations}
        self._projects = {one.name: one.project for one in wanted.operations}
        self._last = max((one.at for one in wanted.operations), default=0.0)
        self._is_open = asyncio.Event()
        """The engine and the gateway know what is offered."""

    def note(self, text: str) -> None:
        """Write a line of the trace."""
        self.trace.append((self.loop.moment, text))

    # -- processes ---------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process of the service that the name begins with."""
        service = name.partition("-")[0]
        build = partial(_build, service)
        process = Process(self, name, build, self._schemas[service], self._statements[service])
        process.start()
        if service == "gateway":
            self._fronts[name] = Front(process.service, asyncio.get_running_loop().time)
        for (owner, _), group in self._groups.items():
            if owner == service:
                group.join(process)

    def died(self, process: Process) -> None:
        """Give its partitions to the others, and start it again in a while."""
        self._fronts.pop(process.name, None)
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
            await asyncio.sleep(REASSIGN_S)
            for group in self._groups.values():
                if self.chance.happens("reassigned"):
                    group.share_out()

    # -- callers -----------------------------------------------------------------------------------

    async def ask(self, operation: Operation) -> None:
        """Ask until there is a definitive answer; the key is always the same."""
        await self._is_open.wait()
        await asyncio.sleep(operation.at)
        begun = self._schemas["ledger"].newest
        self._open[operation.name] = (begun, begun)
        message = shop.message_of(operation, self._redeemed)
        if isinstance(message, RollBack):
            self._rolled_back[operation.name] = message.redemption_id
        topic, after = topic_names.commands("ledger"), ()
        if operation.kind in shop.CHANGES:
            topic = topic_names.commands("campaigns")
        elif operation.kind == "cancel":
            topic = topic_names.commands("customers")
        elif operation.kind in {"redeem", "hold"}:
            topic, after = topic_names.ENGINE_REQUESTS, self._must_see(operation)
        await self._until_answered(operation.name, operation.project, topic, message, after)
        reply = self._replies[operation.name][0]
        things = things_of(operation, reply)
        front = await self._front()
        front.answer(operation, reply, things)
        for thing in {one.kind: one for one in reversed(things)}.values():
            await self._show(operation, thing, front)

    async def _front(self) -> Front:
        """Return a gateway's process that lives, when there is one."""
        while not self._fronts:
            await asyncio.sleep(0.1)
        return self._fronts[sorted(self._fronts)[self.chance.number(len(self._fronts))]]

    async def _show(self, operation: Operation, thing: Thing, asked: Front) -> None:
        """Read what an operation has written, until some gateway shows it."""
        reply = self._replies[operation.name][0]
        while True:
            front = await self._front()
            had_to_show = {*front.answered(operation.project), fact_of(operation, reply)}
            after = () if front is asked else reply.positions
            try:
                shown = await front.read(operation.project, thing, after)
            except (Killed, *INFRASTRUCTURE_ERRORS, Unavailable):
                await asyncio.sleep(0.1)
            except DomainError as error:
                self._wrong.append(f"{operation.name}: {thing.name}: {error.body().message}")
                return
            else:
                at = self._schemas["ledger"].newest
                self.note(f"{operation.name} is shown {thing.name}")
                seen = frozenset(had_to_show)
                self._read.append(
                    Reading(operation.name, operation.project, thing, shown, seen, at)
                )
                return

    def _must_see(self, operation: Operation) -> tuple[Position, ...]:
        """Return what the engine has to have applied: as the gateway remembers it, for a while."""
        since = asyncio.get_running_loop().time() - REMEMBERED_S
        known = [one for one in self._known[operation.project] if one[0] >= since]
        self._seen[operation.name] = [name for _, name, _ in known]
        newest: dict[int, Position] = {}
        for _, _, position in known:
            before = newest.get(position.partition, position)
            newest[position.partition] = max(before, position)
        return tuple(newest.values())

    async def _until_answered(
        self, name: str, project: str, topic: str, message: Message, after: tuple[Position, ...]
    ) -> None:
        attempts = 0
        heard = self._heard[name] = asyncio.Event()
        while name not in self._replies:
            envelope = self._envelope(name, project, message, attempts)._replace(after=after)
            if not self.chance.happens("message_lost"):
                self._send(outgoing(topic, name, message, envelope))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(ANSWER_S * 2**attempts, ANSWER_S_MAX)):
                    await heard.wait()
            attempts += 1

    def _send(self, out: Outgoing) -> None:
        number = None
        if self.chance.happens("sent_elsewhere"):
            number = self.chance.number(PARTITIONS)
        self.topics.append(out._replace(partition=number))

    def _envelope(self, name: str, project: str, message: Message, attempt: int) -> Envelope:
        return Envelope(
            id=f"{name}.{attempt}",
            type=message.TYPE,
            source="gateway",
            time=clock.now(),
            project_id=project,
            subject=name,
            correlation_id=name,
            reply_to=REPLIES,
            idempotency_key=f"key of {name}",
            fingerprint=name,
        )

    def _tell(self, service: str, project: str, stream: str, event: Event) -> None:
        """Publish an event of a service that is stood in for, as its relay would."""
        number = event_store.partition_of(project, stream, PARTITIONS)
        position = 1 + max(
            (at for (owner, _), at in self._newest.items() if owner == service), default=0
        )
        versions = sum(one.stream == stream and one.source == service for _, one in self._told)
        envelope = Envelope(
            id=f"{service}-{position}",
            type=event.TYPE,
            source=service,
            time=clock.now(),
            project_id=project,
            stream=stream,
            stream_version=versions + 1,
            position=position,
            previous_position=self._newest.get((service, number), 0),
        )
        self._newest[service, number] = position
        self._told.append((event, envelope))
        out = outgoing(topic_names.events(service), stream, event, envelope)
        self.topics.append(out._replace(partition=number))

    async def define(self) -> None:
        """Say what is offered, without faults, and let callers in when it is known where they ask."""
        self.chance.is_calm = True
        for project in PROJECTS:
            self._tell("gateway", project, f"project-{project}", shop.project_of(project))
        async with asyncio.TaskGroup() as group:
            for project, endpoint in product(PROJECTS, ENDPOINTS):
                hook = CreateEndpoint(
                    endpoint_id=f"{endpoint}-{project}",
                    target_url="https://8.8.8.8/",
                    events=ENDPOINTS[endpoint],
                    secret="cipher",
                )
                topic = topic_names.commands("webhooks")
                group.create_task(self._until_answered(hook.endpoint_id, project, topic, hook, ()))
        topic = topic_names.commands("campaigns")
        async with asyncio.TaskGroup() as group:
            for project, command in shop.definitions_of(self._run.operations):
                name = f"{project}/{command.code}"
                group.create_task(self._until_answered(name, project, topic, command, ()))
        while not (
            self._is_published("campaigns")
            and self._has_read("engine", *DEFINING)
            and self._has_read("gateway", *DEFINING)
        ):
            await asyncio.sleep(0.05)
        self.chance.is_calm = False
        self._is_open.set()
        asyncio.get_running_loop().call_later(self._last + FAULTS_S, self._calm)

    def _is_published(self, service: str) -> bool:
        tables = self._schemas[service].tables
        position: int = tables["relay_cursor"][(True,)]["position"]
        return position >= self._schemas[service].newest

    def _has_read(self, service: str, *sources: str, consumer: str = "projection") -> bool:
        """Whether the consumer of a service has applied all that the topics hold."""
        stored = self._schemas[service].tables["consumer_offsets"]
        return all(
            stored.get((consumer, topic, number), {"next_offset": 0})["next_offset"]
            >= len(self.topics.places[topic, number])
            for topic in map(topic_names.events, sources)
            for number in range(PARTITIONS)
        )

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
                        self._heard[name].set()
                        self._learn(name, reply)
                        if name in self._open:
                            begun = self._open[name][0]
                            now = self._schemas["ledger"].sequences["position"]
                            self._open[name] = (begun, now)
            await self.topics.wait([REPLIES], IDLE_S_MAX)

    def _learn(self, name: str, reply: Reply) -> None:
        """Keep the id of the redemption that was answered, for whoever gives it back."""
        if self._kinds.get(name) in shop.CHANGES:
            now = asyncio.get_running_loop().time()
            self._known[self._projects[name]] += [(now, name, one) for one in reply.positions]
        told = (reply.body or {}).get("redemption")
        if told is not None and "rollback" not in (reply.body or {}):
            root = told.get("redemption_id") or told.get("parent_id")
            self._redeemed[name] = root or told["items"][0]["redemption_id"]

    # -- the end -----------------------------------------------------------------------------------

    async def live(self) -> None:
        """Run until everybody is answered and everything is read; raises ``TimeoutError``."""
        loop = asyncio.get_running_loop()
        helpers = [loop.create_task(one) for one in (self.hear(), self.reassign())]
        for service in self._schemas:
            for number in (1, 2):
                self.start(f"{service}-{number}")
        helpers.append(loop.create_task(self.define()))
        askers = [loop.create_task(self.ask(one)) for one in self._run.operations]
        async with asyncio.timeout(self._last + CALM_S):
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
        ledger = self._schemas["ledger"]
        if any(row["postings"] for row in ledger.tables["holds"].values()):
            return False
        if not all(map(self._is_published, PUBLISHED)):
            return False
        return (
            self._has_read("customers", "ledger", consumer="reactions")
            and self._has_read("ledger", "customers", consumer="reactions")
            and self._has_read("gateway", "gateway", *PUBLISHED)
            and self._has_read("engine", *engine_app.SOURCES)
            and self._has_read("webhooks", *webhooks_app.SOURCES, consumer="reactions")
            # What a reaction wrote meanwhile is to be published and read, too.
            and all(map(self._is_published, PUBLISHED))
        )

    def _sent(self, defined: Sequence[tuple[Event, Envelope]]) -> Sent:
        """Return what was sent to the ledger."""
        plans: dict[str, Plan] = {}
        holds: dict[str, list[PlaceHold]] = defaultdict(list)
        for number in range(PARTITIONS):
            for stored in self.topics.places[topic_names.commands("ledger"), number]:
                envelope = Envelope.from_headers(stored.record.headers)
                body = stored.record.value or b""
                if envelope.type == Redeem.TYPE:
                    plan = Redeem.from_json(body).plan
                    plans[plan.failed_redemption_id] = plan
                    if plan.redemptions:
                        plans[plan.parent_id or plan.redemptions[0].redemption_id] = plan
                elif envelope.type == PlaceHold.TYPE:
                    holds[envelope.subject].append(PlaceHold.from_json(body))
        versions: dict[str, list[Version]] = defaultdict(list)
        for event, envelope in defined:
            assert isinstance(
                event, VoucherCreated | VoucherUpdated | VoucherEnabled | VoucherDisabled
            )
            one = event.voucher
            assert one.definition is not None, "nothing here inherits"
            limit = one.definition.redemption.get("quantity")
            named = Version(one.version, limit, one.active, envelope.correlation_id)
            versions[one.id].append(named)
        return Sent(plans, holds, self._rolled_back, versions, self._seen)

    def _connection(self, service: str) -> Any:
        return Connection(self._schemas[service], self._statements[service])

    async def findings(self) -> list[str]:
        """Judge the log and the answers, audit the tables."""
        connection = self._connection("ledger")
        logs: dict[str, list[tuple[Event, Envelope]]] = {
            name: await all_events(self._connection(name), [name]) for name in PUBLISHED
        }
        events, defined = logs["ledger"], logs["campaigns"]
        answered = {
            name: Answered(self._replies.get(name, []), *between)
            for name, between in self._open.items()
        }
        sent = self._sent(defined)
        found = Judge(self._run.operations, answered, sent).judge(events)
        found += await audit(connection)
        for name in PUBLISHED:
            found += await check_log(self._connection(name), name)
            found += await check_relay(self._connection(name), name)
        for name, schema in self._schemas.items():
            letters = schema.tables["dead_letters"].values()
            found += [f"{name}: dead letter: {row['reason']}" for row in letters]
        everything = [one for log in (*logs.values(), self._told) for one in log]
        for name, (projection, *_) in PROJECTIONS.items():
            found += await compare(self._connection(name), name, projection, everything)
        found += self._judge_readings(Readings(events, sent.versions))
        tables = self._schemas["webhooks"].tables
        hooks, deliveries = tables["hooks"].values(), tables["deliveries"].values()
        return found + differences([*events, *defined], hooks, list(deliveries))

    def _judge_readings(self, readings: Readings) -> list[str]:
        found = list(self._wrong)
        for reading in self._read:
            wrong = readings.judge(reading)
            found += [f"read after {reading.operation}: {wrong}"] if wrong else []
        for key in readings.orders():
            row = self._schemas["gateway"].tables["orders"].get(key)
            owned = self._schemas["customers"].tables["aggregates"].get((key[0], f"order-{key[1]}"))
            shown = {
                "gateway": row and shown_order(row),
                "customers": owned and owned["state"]["order"],
            }
            for service, order in shown.items():
                wrong = "is not there" if order is None else readings.at_the_end(*key, order)
                found += [f"{service}, {key}: {wrong}"] if wrong else []
        return found


SET: Any = {"event_partitions": PARTITIONS, "relay_poll_s": 1.0}
"""Shared by all processes: to read them takes a tenth of a short run. Whoever looks seldom costs little."""
SETTINGS = Settings(**SET)
SETTINGS_OF_LEDGER = ledger.settings.Settings(**SET, hold_expiry_poll_s=0.5)
SETTINGS_OF_CAMPAIGNS = campaigns.settings.Settings(**SET)
SETTINGS_OF_WEBHOOKS = webhooks.settings.Settings(**SET)
REAL = {
    "ledger": partial(ledger_app.build, SETTINGS_OF_LEDGER),
    "engine": partial(engine_app.build, SETTINGS),
    "gateway": partial(gateway_app.build, SETTINGS),
    "customers": partial(customers_app.build, SETTINGS),
    "campaigns": partial(campaigns_app.build, SETTINGS_OF_CAMPAIGNS),
    "webhooks": partial(webhooks_app.build, SETTINGS_OF_WEBHOOKS),
}
TIMED = {"ledger"}
"""Whose timers run. Nobody generates codes here, sweeps segments, forgets keys or sends webhooks."""


async def _nothing(*_: Any) -> None:
    return None


def _build(service: str) -> Service:
    built = REAL[service]()
    if service not in TIMED:
        built.background.clear()
    built.consumers = [one for one in built.consumers if one.name in CONSUMERS[service]]
    if service == "gateway":
        # No service reacts to a topic that it also folds, and waits for; the runtime lets it. The reaction
        # is ahead of the read model, or behind it: only the read model says what can be read.
        beside = ReactionConsumer({RedemptionSucceeded: Handler(_nothing)}, LEDGER)
        beside.bind(built)
        built.consumers.append(beside)
    return built


def _tell_of_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of what a process had begun beside its consumers when it was killed."""
    if not isinstance(context.get("exception"), Killed):
        loop.default_exception_handler(context)


async def _live(wanted: Run, place: dict[str, World]) -> list[str]:
    asyncio.get_running_loop().set_exception_handler(_tell_of_error)
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

    @cache
    def from_json(kind: type[Message], data: bytes | str) -> Message:
        return kind.model_validate_json(data)

    from_headers = cache(partial(Envelope.__dict__["from_headers"].__func__, Envelope))

    machine = SimpleNamespace(monotonic=loop.time, perf_counter=loop.time)
    replaced: list[tuple[Any, str, Any]] = [
        (clock, "now", now),
        (runtime.inbox, "time", machine),
        (runtime.requests, "time", machine),
        (ids, "new_id", new_id),
        (runtime.relay, "connect", connect),
        (runtime.relay, "crash_point", crash_point),
        (runtime.inbox, "crash_point", crash_point),
        (runtime.positions, "POLL_S", POLL_S),
        (runtime.limits, "RELAY_EVENTS_MAX", RELAY_EVENTS_MAX),
        # Every process reads the same bytes, many of them more than once: messages do not change.
        (Message, "from_json", classmethod(from_json)),
        (Envelope, "from_headers", staticmethod(lambda headers: from_headers(tuple(headers)))),
    ]
    del wanted
    before = [(owner, name, owner.__dict__[name]) for owner, name, _ in replaced]
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
    return Ended(findings, world.chance.happened, world.trace, loop.moment)
