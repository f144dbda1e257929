"""One process: pool, producer, relay, consumers, timers, health and metrics, graceful stop."""

import asyncio
import contextlib
import gc
import inspect
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
import uvicorn
import uvloop
from aiohttp import web
from faststream.kafka import KafkaBroker
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from contracts import topics
from contracts.messages import Envelope
from runtime import batches, clock, ids, limits, log, metrics, read_model
from runtime.bus import Bus, KafkaBus
from runtime.consumer import ProjectionConsumer
from runtime.database import Pool, connect, open_pool
from runtime.inbox import Consumer
from runtime.positions import Key, Positions
from runtime.relay import Relay
from runtime.requests import RequestConsumer
from runtime.rpc import Rpc
from runtime.sampling import Sampler
from runtime.settings import Settings
from runtime.unit import Batch, Unit

logger = structlog.get_logger()

Worker = Callable[["Service"], Awaitable[None]]
AnyConsumer = Consumer | RequestConsumer
OFFSET_CARE_S = 1.0
CATCH_UP_POLL_S = 0.05
IDEMPOTENCY_CLEANING_S = 300.0
CANCELLED_AGAIN_S = 2.0
WORKER_PAUSE_S = 0.1
WORKER_PAUSE_S_MAX = 5.0
"""A worker that ended begins anew after a pause; one that ends again and again, after an ever longer one."""
RELAY_DRAIN_S = 3.0
"""How long a service that stops goes on publishing; what is left is published by the next process."""


class Service:
    """A service of the platform, wired in its ``app.py``.

    ``background`` are endless coroutines ``worker(service)``, restarted with a pause if they fail.
    ``http`` is an ASGI application, or a function of the service that returns one, served at
    ``http_port``. ``with_rpc`` starts :class:`runtime.rpc.Rpc` as ``service.rpc``.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        *,
        migrations: Path | None = None,
        consumers: Sequence[AnyConsumer] = (),
        background: Sequence[Worker] = (),
        http: Any = None,
        with_rpc: bool = False,
    ) -> None:
        self.name = name
        self.settings = settings
        self.migrations = migrations
        self.consumers = list(consumers)
        self.background = list(background)
        self.http = http
        self.positions = Positions()
        self.pool: Pool = None  # type: ignore[assignment]  # set by start, before anything runs
        self.bus: Bus = None  # type: ignore[assignment]
        self.rpc: Rpc = None  # type: ignore[assignment]
        self.relay: Relay | None = None
        self.health_port = 0
        """Where health and metrics are served, once it has started."""
        self.is_behind_checkout = False
        """Nobody at a checkout waits for it: it yields to the services that price, redeem and answer."""
        self.is_ready = False
        self._waits_for = "starting or stopping"
        self.caught_up = asyncio.Event()
        """The read models show what there was when the service began: requests are answered from now."""
        self.caught_up.set()
        self._with_rpc = with_rpc
        self._broker: KafkaBroker | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._relay_task: asyncio.Task[None] | None = None
        self._closing: list[Callable[[], Awaitable[Any]]] = []
        for consumer in self.consumers:
            consumer.bind(self)
        self.positions.read_stored = self._stored_positions

    def wake_relay(self) -> None:
        """Tell the relay that events were committed."""
        if self.relay is not None:
            self.relay.wake()

    @asynccontextmanager
    async def unit(
        self, project_id: str, *, correlation_id: str = "", causation_id: str = ""
    ) -> AsyncIterator[Unit]:
        """Open a transaction of one's own: what the unit stages is committed at the end."""
        envelope = Envelope(
            id=causation_id or ids.new_id("job"),
            type="",
            source=self.name,
            time=clock.now(),
            project_id=project_id,
            correlation_id=correlation_id,
        )
        async with self.pool.acquire() as connection, connection.transaction():
            batch = Batch(connection, self.name, self.settings.event_partitions, envelope.time)
            unit = Unit(batch, envelope)
            yield unit
            unit.keep()
            await batch.write()
        if batch.events:
            metrics.EVENTS.inc(len(batch.events))
            self.wake_relay()

    # -- life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start everything; returns when the service takes work.

        Not before its read models show what their topics held when it began: it has forgotten whose
        writes it must wait for, and must not show them an older state.
        """
        self.pool = await open_pool(self.settings, self.name)
        self._closing.append(self.pool.close)
        await _refuse_wrong_clock(self.pool)
        bus = KafkaBus(self.settings)
        await bus.start()
        self._closing.append(bus.stop)
        self.bus = bus
        if self._with_rpc:
            self.rpc = Rpc(self.settings, self.name, bus)
            await self.rpc.start()
            self._closing.append(self.rpc.stop)
        if self.name in topics.SERVICES and self.name != "engine":
            self.relay = Relay(self.settings, self.name, bus)
            self._relay_task = asyncio.create_task(self.relay.run())
        self.caught_up.clear()
        await self._renew_read_models()
        await self._start_consumers()
        for worker in self.background:
            self._spawn(self._supervise(worker))
        self._spawn(self._supervise(_clean_idempotency_records))
        self._spawn(_every(limits.METRICS_SAMPLE_S, Sampler(self).look))
        await self._serve_health()
        if self.is_behind_checkout:
            # Not sooner: starting takes long where processors are short, and nobody else does its work.
            os.nice(limits.NICENESS_BEHIND_CHECKOUT)
        await self._catch_up()
        if self.http is not None:
            await self._serve_http()
        _look_for_garbage_seldom()
        self.is_ready = True
        logger.info("service_ready", consumers=[consumer.name for consumer in self.consumers])

    async def _start_consumers(self) -> None:
        if not self.consumers:
            return
        self._broker = batches.make_broker(self.settings)
        for consumer in self.consumers:
            consumer.subscribe(self._broker)
        await self._broker.start()
        self._closing.append(self._broker.stop)
        for consumer in self.consumers:
            self._spawn(_every(OFFSET_CARE_S, consumer.look_after_offsets))

    async def _renew_read_models(self) -> None:
        """Have those folded again that an older version of this service folded otherwise."""
        connection = await connect(self.settings, self.name)  # emptying a large one takes its time
        try:
            for consumer in self.consumers:
                if isinstance(
                    consumer, ProjectionConsumer
                ) and await read_model.set_back_if_outdated(
                    connection, consumer.projection, consumer.name
                ):
                    logger.info("read_model_outdated", consumer=consumer.name)
        finally:
            await connection.close()

    async def _catch_up(self) -> None:
        """Wait until the read models show what there was at the start."""
        for consumer in self.consumers:
            if isinstance(consumer, ProjectionConsumer):
                await self._until_caught_up(consumer)
        self.caught_up.set()
        self._waits_for = "starting or stopping"

    async def _until_caught_up(self, consumer: ProjectionConsumer) -> None:
        """Wait for all partitions, whichever process applies them: their rows are in one database."""
        wanted = await consumer.topic_ends()
        while wanted:
            async with self.pool.acquire() as connection:
                stored = await consumer.stored_offsets(connection)
            wanted = {place: end for place, end in wanted.items() if stored.get(place, 0) < end}
            self._waits_for = f"{consumer.name} catches up in {len(wanted)} partitions"
            await asyncio.sleep(CATCH_UP_POLL_S if wanted else 0)

    async def stop(self) -> None:
        """Stop in the reverse order: no new work, then what is running, then the connections.

        What was committed on the way is published before the end, if this process has the relay.
        """
        self.is_ready = False
        for close in self._closing[::-1][: self._closing_first()]:
            await _quietly(close)
        for consumer in self.consumers:
            if isinstance(consumer, RequestConsumer):
                await _quietly(consumer.finish)
        await _cancel(self._tasks)
        if self.relay is not None and self._relay_task is not None:
            relay = self.relay
            await _quietly(lambda: relay.drain(RELAY_DRAIN_S))
            await _cancel([self._relay_task])
        for close in self._closing[::-1][self._closing_first() :]:
            await _quietly(close)
        logger.info("service_stopped")

    def _closing_first(self) -> int:
        # HTTP, health and consumers; pool, producer and rpc serve the tasks until these have ended.
        return len(self._closing) - (3 if self._with_rpc else 2)

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    async def _supervise(self, worker: Worker) -> None:
        delay = WORKER_PAUSE_S
        while True:
            started = time.monotonic()
            try:
                await worker(self)
            except Exception:
                logger.exception("worker_failed", worker=getattr(worker, "__name__", str(worker)))
            # One that returns has lost what it listened to; it is endless, and begins anew as well.
            if time.monotonic() - started > WORKER_PAUSE_S_MAX:
                delay = WORKER_PAUSE_S
            await asyncio.sleep(delay)
            delay = min(2 * delay, WORKER_PAUSE_S_MAX)

    async def _stored_positions(self, keys: Iterable[Key]) -> Mapping[Key, int]:
        names = [one.name for one in self.consumers if isinstance(one, ProjectionConsumer)]
        wanted = list(keys)
        async with self.pool.acquire() as connection:
            rows = await connection.fetch(
                """
                SELECT topic, partition, min(position) AS position FROM consumer_offsets
                WHERE consumer = ANY($1) AND topic = ANY($2) GROUP BY topic, partition
                """,
                names,
                [topics.events(service) for service, _ in wanted],
            )
        return {(row["topic"].partition(".")[0], row["partition"]): row["position"] for row in rows}

    # -- HTTP -----------------------------------------------------------------------------------

    async def _serve_health(self) -> None:
        application = web.Application()
        application.router.add_get("/health/live", self._live)
        application.router.add_get("/health/ready", self._ready)
        application.router.add_get("/metrics", _metrics)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, self.settings.health_host, self.settings.health_port)
        await site.start()
        self.health_port = runner.addresses[0][1]
        self._closing.append(runner.cleanup)

    async def _live(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "live", "service": self.name})

    async def _ready(self, request: web.Request) -> web.Response:
        del request
        problem = self._missing_events() or (None if self.is_ready else self._waits_for)
        if problem is None:
            try:
                async with asyncio.timeout(2), self.pool.acquire() as connection:
                    await connection.execute("SELECT 1")
            except Exception as error:  # noqa: BLE001 - every reason means: not ready
                problem = f"Postgres: {error!r}"
        status = {"status": "ready" if problem is None else "not ready", "service": self.name}
        if problem is not None:
            status["reason"] = problem
        return web.json_response(status, status=200 if problem is None else 503)

    def _missing_events(self) -> str | None:
        """Return which events the topics lack; ``make republish`` brings them."""
        found = [
            f"{one.name}: missing in {missing}"
            for one in self.consumers
            if isinstance(one, Consumer)
            for missing in one.missing.values()
        ]
        return "; ".join(found) or None

    async def _serve_http(self) -> None:
        application = self.http(self) if _takes_service(self.http) else self.http
        config = uvicorn.Config(
            application,
            host=self.settings.http_host,
            port=self.settings.http_port,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=15,
        )
        server = _Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started and not task.done():
            await asyncio.sleep(0.01)
        if task.done():
            task.result()

        async def stop() -> None:
            server.should_exit = True
            await task

        self._closing.append(stop)


async def _refuse_wrong_clock(pool: Pool) -> None:
    async with pool.acquire() as connection:
        before = clock.now()
        theirs = await connection.fetchval("SELECT clock_timestamp()")
        after = clock.now()
    skew_s = max((before - theirs).total_seconds(), (theirs - after).total_seconds())
    if skew_s > limits.CLOCK_SKEW_S_MAX:
        message = f"this machine's clock is {skew_s:.0f} s from Postgres': set one of the two right"
        raise RuntimeError(message)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave signals to :func:`run`."""
        yield


def _takes_service(http: Any) -> bool:
    return inspect.isfunction(http) and len(inspect.signature(http).parameters) == 1


async def _metrics(request: web.Request) -> web.Response:
    del request
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    # More than once: on its way out of a transaction whose connection is gone, a task meets an error that
    # hides its cancellation, and an endless one goes on.
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        waiting = (await asyncio.wait(waiting, timeout=CANCELLED_AGAIN_S))[1]


async def _quietly(close: Callable[[], Awaitable[Any]]) -> None:
    try:
        async with asyncio.timeout(25):
            await close()
    except Exception as error:  # noqa: BLE001 - the rest must still be closed
        logger.warning("stop_failed", error=repr(error))


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - it is tried again in a moment
            logger.info("care_failed", error=repr(error))


async def _clean_idempotency_records(service: Service) -> None:
    while True:
        async with service.pool.acquire() as connection:
            await connection.execute(
                """
                DELETE FROM idempotency_records WHERE ctid IN (
                    SELECT ctid FROM idempotency_records
                    WHERE created_at < now() - make_interval(hours => $1) LIMIT 10000)
                """,
                service.settings.idempotency_hours,
            )
        await asyncio.sleep(IDEMPOTENCY_CLEANING_S)


def _look_for_garbage_seldom() -> None:
    """Leave what was imported out of the search for cycles, and search after more allocations.

    What a batch allocates has next to no cycles and goes when its last reference does.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(limits.GARBAGE_ALLOCATIONS, 10, 10)


async def serve(service: Service) -> None:
    """Run until SIGTERM or SIGINT."""
    log.configure(service.name, service.settings)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    starting = asyncio.create_task(service.start())
    stopping = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await stopping
    finally:
        await _cancel([starting])
        await service.stop()


def run(service: Service, *, is_behind_checkout: bool = False) -> None:
    """Run the service in this process, and end the process with it."""
    service.is_behind_checkout = is_behind_checkout
    uvloop.run(serve(service))
    # Everything is closed. Taking the interpreter apart would cost one to three more seconds on a busy
    # machine, in which a supervisor waits and the next process does not start.
    sys.stdout.flush()
    os._exit(0)
