"""Sending: one lane per endpoint, so that a slow or dead one delays nobody else.

A lane leases what is due for its endpoint, a few at a time, posts it, and records each attempt in a
transaction of its own. A process that dies after the post leaves a lease that runs out; then the same
delivery is sent again under the same id. A lane ends when nothing is due and starts when something is.
"""

import asyncio
import contextlib
import time
import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import orjson
import structlog
from aiohttp import ClientError, ClientResponse, ClientSession

from contracts.errors import DomainError, JsonObject
from contracts.webhooks import DeliveryAttempted
from runtime import clock, secrets
from runtime.crash_points import crash_point
from runtime.database import INFRASTRUCTURE_ERRORS, connect
from runtime.service import Service
from webhooks import limits, queries
from webhooks.domain.address import read_target_url
from webhooks.domain.delivery import Answer, Attempt, judge
from webhooks.domain.endpoint import decide_disable
from webhooks.guard import open_session
from webhooks.handlers import DELIVERY, ENDPOINT
from webhooks.queries import Delivery, Receiver
from webhooks.settings import Settings
from webhooks.signing import signed_headers

logger = structlog.get_logger()
Lane = tuple[str, str]
"""Project and endpoint."""
DRAIN_S = 0.25


async def send_webhooks(service: Service) -> None:
    """Serve all endpoints, for ever."""
    settings = _settings(service)
    session = open_session(
        timeout_s=settings.webhook_timeout_s,
        is_private_allowed=settings.tessera_allow_private_webhooks,
    )
    sender = Sender(service, session)
    listener = await connect(settings, service.name)
    try:
        await listener.add_listener(
            queries.WAKE_CHANNEL, lambda _c, _p, _n, payload: sender.wake_text(str(payload))
        )
        while not listener.is_closed():
            await sender.wake_due()
            await asyncio.sleep(limits.SENDER_POLL_S)
    finally:
        await sender.stop()
        await listener.close()
        await session.close()


def _settings(service: Service) -> Settings:
    assert isinstance(service.settings, Settings), "webhooks runs with its own settings"
    return service.settings


class Sender:
    """The lanes of this process."""

    def __init__(self, service: Service, session: ClientSession) -> None:
        self._service = service
        self._session = session
        self._settings = _settings(service)
        self._lanes: dict[Lane, asyncio.Task[None]] = {}
        self._again: set[Lane] = set()

    def wake_text(self, payload: str) -> None:
        """Wake the lane that a notification names."""
        project_id, _, endpoint_id = payload.partition("/")
        self.wake((project_id, endpoint_id))

    def wake(self, lane: Lane) -> None:
        """Start the lane, or let it look once more."""
        if lane in self._lanes:
            self._again.add(lane)
        elif len(self._lanes) < limits.ENDPOINTS_AT_ONCE_MAX:
            self._lanes[lane] = asyncio.create_task(self._run(lane))

    async def wake_due(self) -> None:
        """Wake all lanes for which something is due: retries, and what others left."""
        async with self._service.pool.acquire() as connection:
            for lane in await queries.due_endpoints(connection, clock.now()):
                self.wake(lane)

    async def idle(self) -> None:
        """Wait until no lane has anything to do."""
        while self._lanes:
            await asyncio.wait(set(self._lanes.values()))

    async def stop(self) -> None:
        """End all lanes; what was not recorded is sent again by whoever comes next."""
        tasks = list(self._lanes.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, lane: Lane) -> None:
        try:
            while True:
                self._again.discard(lane)
                await self._serve(lane)
                if lane not in self._again:
                    return
        except INFRASTRUCTURE_ERRORS as error:
            logger.info("lane_interrupted", endpoint_id=lane[1], error=repr(error))
        except Exception:
            logger.exception("lane_failed", endpoint_id=lane[1])
        finally:
            self._lanes.pop(lane, None)
            self._again.discard(lane)

    async def _serve(self, lane: Lane) -> None:
        """Send what is due for the endpoint, several at a time, until nothing is."""
        in_flight: set[asyncio.Task[None]] = set()
        try:
            while True:
                room = limits.DELIVERIES_PER_TURN - len(in_flight)
                taken = await self._take(lane, room) if room else []
                for receiver, delivery in taken:
                    in_flight.add(asyncio.create_task(self._send(receiver, delivery)))
                if not in_flight:
                    return
                done, in_flight = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
                failed = [error for task in done if (error := task.exception()) is not None]
                if failed:
                    raise failed[0]
        finally:
            for task in in_flight:
                task.cancel()
            # Waited for, so that none of their errors is one that nobody looked at.
            await asyncio.gather(*in_flight, return_exceptions=True)

    async def _take(self, lane: Lane, count: int) -> list[tuple[Receiver, Delivery]]:
        now = clock.now()
        lease_s = self._settings.webhook_timeout_s + self._settings.webhook_lease_margin_s
        async with self._service.pool.acquire() as connection:
            receiver = await queries.receiver(connection, *lane)
            if receiver is None:
                return []
            taken = await queries.take_deliveries(
                connection, *lane, now, now + timedelta(seconds=lease_s), count
            )
            if receiver.project_secret is None:
                # The project's own event is on its way; nothing goes out unsigned.
                for delivery in taken:
                    await queries.postpone(connection, delivery, now + timedelta(seconds=1))
                return []
        return [(receiver, delivery) for delivery in taken]

    async def _send(self, receiver: Receiver, delivery: Delivery) -> None:
        answer = await self._post(receiver, delivery)
        crash_point("webhook_after_send")
        await self._record(delivery, answer)

    async def _post(self, receiver: Receiver, delivery: Delivery) -> Answer:
        started = time.perf_counter()
        status: int | None = None
        retry_after_s: float | None = None
        reason: str | None = None
        try:
            status, retry_after_s = await self._request(receiver, delivery)
        except DomainError as error:
            reason = f"{error.key}: {error.details}"
        except TimeoutError:
            reason = f"no answer within {self._settings.webhook_timeout_s:g} s"
        except (ClientError, OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
        duration_ms = round((time.perf_counter() - started) * 1000)
        answer = Answer(status, reason, duration_ms, retry_after_s)
        if answer.is_success:
            return answer
        return answer._replace(reason=(reason or f"HTTP {status}")[: limits.REASON_LENGTH_MAX])

    async def _request(self, receiver: Receiver, delivery: Delivery) -> tuple[int, float | None]:
        """Post once; returns the status and how long the endpoint wants to be left alone."""
        url = read_target_url(
            "target_url",
            receiver.target_url,
            is_private_allowed=self._settings.tessera_allow_private_webhooks,
            ports=self._settings.ports,
        )
        body = body_of(receiver, delivery)
        headers = self._headers(receiver, delivery, body)
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as response:
            await _drain(response)
            return response.status, _retry_after(response)

    def _headers(self, receiver: Receiver, delivery: Delivery, body: bytes) -> dict[str, str]:
        assert receiver.project_secret is not None, "nothing goes out unsigned"
        now = clock.now()
        valid = [receiver.secret, *still_signing(receiver.replaced_secrets, now)]
        return signed_headers(
            body,
            message_id=delivery.delivery_id,
            at=now,
            endpoint_secrets=[secrets.decrypt(self._settings, one) for one in valid],
            project_secret=secrets.decrypt(self._settings, receiver.project_secret),
        )

    async def _record(self, delivery: Delivery, answer: Answer) -> None:
        """Record the attempt, and what follows from it, in one transaction."""
        async with self._service.unit(
            delivery.project_id,
            correlation_id=delivery.correlation_id,
            causation_id=delivery.event_id,
        ) as unit:
            number = delivery.attempts + 1
            attempt = Attempt(number, delivery.first_at, unit.now, answer)
            verdict = judge(attempt, self._settings.retry_offsets_s, _jitter(delivery, number))
            if not await queries.keep_attempt(
                unit.connection, delivery, number, unit.now, answer, verdict
            ):
                return
            await unit.load(DELIVERY, delivery.delivery_id)
            event = DeliveryAttempted(
                delivery_id=delivery.delivery_id,
                endpoint_id=delivery.endpoint_id,
                event_id=delivery.event_id,
                event_type=delivery.name,
                attempt=number,
                status=verdict.status,
                response_status=answer.status,
                reason=answer.reason,
                duration_ms=answer.duration_ms,
                attempted_at=unit.now,
                next_attempt_at=verdict.next_attempt_at,
            )
            unit.append(DELIVERY, delivery.delivery_id, event)
            if verdict.status == "exhausted" and (answer.is_gone or not delivery.is_manual):
                state = await unit.load(ENDPOINT, delivery.endpoint_id)
                reason = "it answered 410" if answer.is_gone else "a delivery was exhausted"
                events = decide_disable(state, reason, unit.now)
                if events:
                    stopped = unit.append(ENDPOINT, delivery.endpoint_id, *events)
                    await queries.keep_endpoint(unit.connection, delivery.project_id, stopped)
                    logger.warning("endpoint_disabled", endpoint_id=delivery.endpoint_id)


def body_of(receiver: Receiver, delivery: Delivery) -> bytes:
    """Return the body as it is sent and signed: compact JSON."""
    source = {
        "id": delivery.endpoint_id,
        "object": "webhook",
        "target_url": receiver.target_url,
    }
    return orjson.dumps({"id": delivery.delivery_id, **delivery.body, "source": source})


async def _drain(response: ClientResponse) -> None:
    """Read a short answer, so that the connection can be used again; drop a long or slow one."""
    with contextlib.suppress(TimeoutError, ClientError, OSError):
        async with asyncio.timeout(DRAIN_S):
            await response.content.read(limits.RESPONSE_BYTES_MAX)
            if response.content.at_eof():
                return
    response.close()


def still_signing(replaced: Sequence[JsonObject], now: datetime) -> list[str]:
    """Return the replaced secrets (ciphertext) whose time is not over."""
    return [one["secret"] for one in replaced if datetime.fromisoformat(one["until"]) > now]


def _retry_after(response: ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None  # noqa: PLR2004


def _jitter(delivery: Delivery, attempt: int) -> float:
    """Return a share from 0 to 1 that is the same whoever computes it."""
    return zlib.crc32(f"{delivery.delivery_id}/{attempt}".encode()) / 0xFFFFFFFF


async def clean_up(service: Service) -> None:
    """Forget, for ever, what has ended long ago."""
    while True:
        before = clock.now() - timedelta(days=_settings(service).webhook_retention_days)
        async with service.pool.acquire() as connection:
            count = await queries.forget_before(connection, before, limits.CLEANING_SLICE)
        if count < limits.CLEANING_SLICE:
            await asyncio.sleep(limits.CLEANING_S)
