"""Webhooks on a real Postgres, with a real HTTP receiver."""

import asyncio
import hashlib
import hmac
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from aiohttp import ClientConnectorError, web
from aiohttp.abc import AbstractResolver
from standardwebhooks import Webhook

from contracts.campaigns import Campaign, CampaignCreated, VoucherDefinition, VouchersGenerated
from contracts.customers import Customer, CustomerCreated
from contracts.gateway import Project, ProjectCreated
from contracts.webhooks import (
    CreateEndpoint,
    DeleteEndpoint,
    DeliveryAttempted,
    EndpointDisabled,
    EndpointSecretRotated,
    ResendDelivery,
    RotateEndpointSecret,
    UpdateEndpoint,
)
from runtime import clock, secrets
from runtime.settings import Settings as RuntimeSettings
from runtime.testing import Harness
from webhooks import guard, limits, queries
from webhooks.app import build
from webhooks.audit import audit
from webhooks.guard import FORBIDDEN, open_session
from webhooks.sender import Sender, send_webhooks, still_signing
from webhooks.settings import Settings

pytestmark = pytest.mark.integration
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEW_SECRET = "whsec_" + b64encode(b"another secret, as long").decode()
PROJECT_SECRET = "whsec_of_the_project"


class Receiver:
    """A real HTTP server that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.hooks: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []
        self.hold: dict[str, asyncio.Event] = {}
        self.arrived = asyncio.Event()

    async def start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.handle)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        self.port = self._site._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        for event in self.hold.values():
            event.set()
        await self._runner.cleanup()

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.hooks.append((request.path, headers, body))
        self.arrived.set()
        if request.path in self.hold:
            await self.hold[request.path].wait()
        return self.answers.pop(0) if self.answers else web.Response()

    def url(self, path: str = "/hooks") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def bodies(self, path: str = "/hooks"):
        return [json.loads(body) for at, _, body in self.hooks if at == path]


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    running = Receiver()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def settings(leased_settings: RuntimeSettings) -> Settings:
    return Settings(
        **{
            **leased_settings.model_dump(),
            "tessera_allow_private_webhooks": True,
            "webhook_retry_schedule": "0,0",
            "webhook_timeout_s": 30.0,
        }
    )


@pytest_asyncio.fixture
async def harness(settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(build(settings)) as running:
        for project in ("p1", "p2"):
            await running.event(
                project,
                ProjectCreated(
                    project=Project(
                        id=project,
                        name=project,
                        timezone="UTC",
                        currency="EUR",
                        created_at=NOON,
                        webhook_secret=secrets.encrypt(settings, PROJECT_SECRET),
                    )
                ),
                source="gateway",
            )
        yield running
        async with running.service.pool.acquire() as connection, connection.transaction():
            assert await audit(connection) == []


async def subscribe(harness, url, project="p1", endpoint_id="wh_1", events=("*",)):
    return await harness.command(
        project,
        CreateEndpoint(
            endpoint_id=endpoint_id,
            target_url=url,
            events=list(events),
            secret=secrets.encrypt(harness.service.settings, SECRET),
        ),
    )


async def tell(harness, number=1, project="p1") -> None:
    customer = Customer(id=f"cust_{number}", source_id=f"s{number}", name="Zoë", created_at=NOON)
    await harness.event(project, CustomerCreated(customer=customer), source="customers")


async def send(harness, resolver: AbstractResolver | None = None, settings=None) -> None:
    """Send until nothing is due."""
    settings = settings or harness.service.settings
    async with open_session(
        timeout_s=settings.webhook_timeout_s,
        is_private_allowed=settings.tessera_allow_private_webhooks,
        resolver=resolver,
    ) as session:
        sender = Sender(harness.service, session)
        while True:
            await sender.wake_due()
            if not sender._lanes:
                break
            await sender.idle()
    await harness.refresh()


def attempts(harness) -> list[tuple[int, str, int | None]]:
    return [
        (event.attempt, event.status, event.response_status)
        for event in harness.appended
        if isinstance(event, DeliveryAttempted)
    ]


async def test_T05_both_secrets_sign_for_a_day_after_a_rotation(harness, receiver):
    await subscribe(harness, receiver.url())
    sealed = secrets.encrypt(harness.service.settings, NEW_SECRET)
    rotate = RotateEndpointSecret(endpoint_id="wh_1", secret=sealed)
    assert (await harness.command("p2", rotate)).status == 404
    assert (await harness.command("p1", rotate)).status == 200
    await tell(harness)
    await send(harness)
    ((_, headers, raw),) = receiver.hooks
    assert Webhook(SECRET).verify(raw, headers) == Webhook(NEW_SECRET).verify(raw, headers)
    rotated = harness.appended[1]
    assert isinstance(rotated, EndpointSecretRotated)
    [replaced] = [row["replaced_secrets"] for row in await harness.rows("endpoints")]
    assert still_signing(replaced, rotated.replaced_until - timedelta(seconds=1)) != []
    assert still_signing(replaced, rotated.replaced_until) == []


async def test_a_webhook_arrives_signed_in_both_ways(harness, receiver):
    await subscribe(harness, receiver.url())
    await tell(harness)
    await send(harness)
    ((_, headers, raw),) = receiver.hooks
    told = Webhook(SECRET).verify(raw, headers)
    signature = hmac.new(PROJECT_SECRET.encode(), raw, hashlib.sha256).hexdigest()
    assert headers["x-voucherify-signature"] == signature
    compact = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
    assert raw == compact
    assert headers["content-type"] == "application/json"
    assert told["id"] == headers["webhook-id"]
    assert told["type"] == "customer.created"
    assert told["project_id"] == "p1"
    assert told["source"] == {"id": "wh_1", "object": "webhook", "target_url": receiver.url()}
    assert told["data"]["customer"]["name"] == "Zoë"
    assert attempts(harness) == [(1, "delivered", 200)]
    (row,) = await harness.rows("attempts")
    assert (row["delivery_id"], row["status"]) == (told["id"], "delivered")


async def test_only_who_wants_it_gets_it(harness, receiver):
    await subscribe(harness, receiver.url("/a"), events=["customer.*"])
    await subscribe(harness, receiver.url("/b"), endpoint_id="wh_2", events=["redemption.*"])
    await subscribe(harness, receiver.url("/c"), project="p2", endpoint_id="wh_3")
    await tell(harness)
    await send(harness)
    assert [path for path, _, _ in receiver.hooks] == ["/a"]
    assert len(await harness.rows("hooks")) == 1


async def test_an_event_that_comes_twice_is_told_once(harness, receiver):
    from contracts.messages import Envelope

    await subscribe(harness, receiver.url())
    reaction = harness.service.consumers[1]
    customer = Customer(id="cust_1", created_at=NOON)
    event = CustomerCreated(customer=customer)
    envelope = Envelope(
        id="ev_1", type=event.TYPE, source="customers", time=NOON, project_id="p1", position=1
    )
    from runtime.batches import Record
    from runtime.inbox import Item

    record = Record("customers.events", 0, 0, b"k", event.to_json(), ())
    for _ in range(2):
        async with harness.service.pool.acquire() as connection, connection.transaction():
            await reaction.apply(connection, [Item(record, envelope, event)])
    await send(harness)
    assert len(receiver.hooks) == 1


async def test_slices_of_codes_are_told_one_by_one(harness, receiver):
    await subscribe(harness, receiver.url(), events=["voucher.created"])
    template = VoucherDefinition(type="GIFT_VOUCHER", gift={"amount": 2500})
    campaign = Campaign(
        id="camp_1",
        name="Gifts",
        campaign_type="GIFT_VOUCHERS",
        type="STATIC",
        voucher=template,
        created_at=NOON,
    )
    await harness.event("p1", CampaignCreated(campaign=campaign), source="campaigns")
    codes = [f"G{n}" for n in range(30)]
    event = VouchersGenerated(
        campaign_id="camp_1", action_id="a", codes=codes, done=30, total=30, generated_at=NOON
    )
    await harness.event("p1", event, source="campaigns")
    await send(harness)
    told = receiver.bodies()
    assert sorted(one["data"]["voucher"]["code"] for one in told) == sorted(codes)
    assert {one["data"]["voucher"]["gift"]["balance"] for one in told} == {2500}
    assert {one["data"]["campaign"]["name"] for one in told} == {"Gifts"}
    assert len({one["id"] for one in told}) == 30


async def test_failures_are_tried_again_under_the_same_id(harness, receiver):
    await subscribe(harness, receiver.url())
    receiver.answers = [
        web.Response(status=500),
        web.Response(status=302, headers={"Location": "/x"}),
    ]
    await tell(harness)
    await send(harness)
    assert attempts(harness) == [(1, "pending", 500), (2, "pending", 302), (3, "delivered", 200)]
    assert [path for path, _, _ in receiver.hooks] == ["/hooks"] * 3
    assert len({headers["webhook-id"] for _, headers, _ in receiver.hooks}) == 1
    assert len({body for _, _, body in receiver.hooks}) == 1


async def test_an_exhausted_delivery_disables_its_endpoint(harness, receiver):
    await subscribe(harness, receiver.url())
    receiver.answers = [web.Response(status=500) for _ in range(3)]
    await tell(harness, 1)
    await send(harness)
    assert attempts(harness)[-1] == (3, "exhausted", 500)
    assert isinstance(harness.appended[-1], EndpointDisabled)
    await tell(harness, 2)
    await send(harness)
    assert len(receiver.hooks) == 3
    delivery_id = receiver.hooks[0][1]["webhook-id"]
    refused = await harness.command("p1", ResendDelivery(delivery_id=delivery_id))
    assert (refused.status, refused.error.key) == (400, "webhook_not_active")
    assert [row["status"] for row in await harness.rows("deliveries")] == ["exhausted"]
    await harness.command("p1", UpdateEndpoint(endpoint_id="wh_1", changes={"active": True}))
    other = await harness.command("p2", ResendDelivery(delivery_id=delivery_id))
    assert (other.status, other.error.key) == (404, "not_found")
    again = await harness.command("p1", ResendDelivery(delivery_id=delivery_id))
    assert again.body["delivery"]["status"] == "pending"
    await send(harness)
    assert attempts(harness)[-1] == (4, "delivered", 200)
    assert receiver.hooks[-1][1]["webhook-id"] == delivery_id


async def test_410_disables_at_once(harness, receiver):
    await subscribe(harness, receiver.url())
    receiver.answers = [web.Response(status=410)]
    await tell(harness)
    await send(harness)
    assert attempts(harness) == [(1, "exhausted", 410)]
    assert (await harness.rows("endpoints"))[0]["active"] is False


async def test_a_deleted_endpoint_gets_nothing_more(harness, receiver):
    await subscribe(harness, receiver.url())
    await tell(harness)
    await harness.command("p1", DeleteEndpoint(endpoint_id="wh_1"))
    await send(harness)
    assert receiver.hooks == []
    assert [row["status"] for row in await harness.rows("deliveries")] == ["canceled"]


async def test_no_connection_is_an_attempt_with_a_reason(harness, receiver):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    await subscribe(harness, f"http://127.0.0.1:{port}/")
    await tell(harness)
    await send(harness)
    assert attempts(harness) == [(1, "pending", None), (2, "pending", None), (3, "exhausted", None)]
    first = next(e for e in harness.appended if isinstance(e, DeliveryAttempted))
    assert "ClientConnectorError" in first.reason


async def test_a_hanging_endpoint_is_given_up_and_delays_nobody(harness, receiver):
    """One endpoint hangs with more than it can hold; another gets everything meanwhile."""
    receiver.hold["/slow"] = asyncio.Event()
    await subscribe(harness, receiver.url("/slow"))
    await subscribe(harness, receiver.url("/fast"), endpoint_id="wh_2")
    for number in range(limits.DELIVERIES_PER_TURN + 5):
        await tell(harness, number)
    session = open_session(timeout_s=60.0, is_private_allowed=True)
    sender = Sender(harness.service, session)
    await sender.wake_due()
    async with asyncio.timeout(10):
        while len(receiver.bodies("/fast")) < limits.DELIVERIES_PER_TURN + 5:
            await asyncio.sleep(0.01)
    assert len(receiver.bodies("/slow")) == limits.DELIVERIES_PER_TURN
    receiver.hold["/slow"].set()
    await sender.idle()
    await session.close()
    await harness.refresh()
    assert len(receiver.bodies("/slow")) == limits.DELIVERIES_PER_TURN + 5
    assert {status for _, status, _ in attempts(harness)} == {"delivered"}


async def test_a_timeout_is_an_attempt(harness, receiver):
    receiver.hold["/slow"] = asyncio.Event()
    fast = harness.service.settings.model_copy(update={"webhook_timeout_s": 0.2})
    harness.service.settings = fast
    await subscribe(harness, receiver.url("/slow"))
    await tell(harness)
    await send(harness)
    assert attempts(harness)[-1] == (3, "exhausted", None)
    last = [e for e in harness.appended if isinstance(e, DeliveryAttempted)][-1]
    assert last.reason == "no answer within 0.2 s"


async def test_a_huge_answer_is_cut_off(harness, receiver):
    await subscribe(harness, receiver.url())
    receiver.answers = [web.Response(body=b"x" * 50_000_000)]
    await tell(harness)
    await send(harness)
    assert attempts(harness) == [(1, "delivered", 200)]


async def test_what_a_dead_process_had_taken_is_sent_again_under_the_same_id(harness, receiver):
    await subscribe(harness, receiver.url())
    await tell(harness)
    now = clock.now()
    async with harness.service.pool.acquire() as connection:
        (taken,) = await queries.take_deliveries(
            connection, "p1", "wh_1", now, now + timedelta(seconds=60), 8
        )
        assert await queries.take_deliveries(connection, "p1", "wh_1", now, now, 8) == []
    await send(harness)
    assert receiver.hooks == []
    async with harness.service.pool.acquire() as connection:
        await connection.execute("UPDATE deliveries SET leased_until = $1", now)
    await send(harness)
    assert [one["id"] for one in receiver.bodies()] == [taken.delivery_id]


async def test_nothing_goes_out_without_the_projects_secret(harness, receiver):
    await subscribe(harness, receiver.url(), project="p3")
    await tell(harness, project="p3")
    await send(harness)
    assert receiver.hooks == []
    assert attempts(harness) == []


async def test_a_commit_wakes_the_sender(harness, receiver):
    """The running worker sends at once, not at its next look."""
    await subscribe(harness, receiver.url())
    worker = asyncio.create_task(send_webhooks(harness.service))
    async with asyncio.timeout(10), harness.service.pool.acquire() as connection:
        while not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            " AND datname = current_database()"
        ):
            await asyncio.sleep(0.01)
    loop = asyncio.get_running_loop()
    waits = []
    for number in range(5):
        receiver.arrived.clear()
        started = loop.time()
        await tell(harness, number)
        async with asyncio.timeout(10):
            await receiver.arrived.wait()
        waits.append(loop.time() - started)
    assert sorted(waits)[2] < limits.SENDER_POLL_S / 2, waits
    async with asyncio.timeout(10):
        while len(await harness.rows("attempts")) < 5:
            await asyncio.sleep(0.01)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)


async def test_old_deliveries_are_forgotten_and_pending_ones_kept(harness, receiver):
    await subscribe(harness, receiver.url())
    await tell(harness, 1)
    await send(harness)
    await tell(harness, 2)
    async with harness.service.pool.acquire() as connection:
        later = clock.now() + timedelta(seconds=1)
        assert await queries.forget_before(connection, later, 100) == 1
    assert [row["status"] for row in await harness.rows("deliveries")] == ["pending"]
    assert await harness.rows("attempts") == []


async def test_wrong_endpoints_are_refused_and_nothing_is_kept(harness):
    reply = await subscribe(harness, "file:///etc/passwd")
    assert (reply.status, reply.error.details) == (
        400,
        "target_url: must be a URL that begins with https://",
    )
    reply = await subscribe(harness, "https://shop.example/", events=["nonsense"])
    assert reply.status == 400
    assert await harness.rows("endpoints") == []
    assert harness.appended == []


# -- R39: private addresses ---------------------------------------------------------------------


class Names(AbstractResolver):
    """Names that lead where the test says; each look-up may give another answer."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {
                "hostname": host,
                "host": one,
                "port": port,
                "family": socket.AF_INET6 if ":" in one else socket.AF_INET,
                "proto": 0,
                "flags": socket.AI_NUMERICHOST,
            }
            for one in found
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    return settings.model_copy(update={"tessera_allow_private_webhooks": False})


async def smuggled(harness, url: str) -> None:
    """Put an endpoint in the table that no command would take."""
    await subscribe(harness, url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "169.254.169.254",
        "10.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "0.0.0.0",
    ],
)
async def test_a_private_address_gets_no_connection(harness, receiver, guarded, host):
    harness.service.settings = guarded
    await subscribe(harness, f"https://{host}:{receiver.port}/hooks")
    await tell(harness)
    await send(harness)
    assert receiver.hooks == []
    statuses = [status for _, status, _ in attempts(harness)]
    assert statuses == ["pending", "pending", "exhausted"]


@pytest.mark.parametrize(
    "answers",
    [
        (["127.0.0.1"],),
        (["::1"],),
        (["8.8.8.8", "127.0.0.1"],),
        (["::ffff:127.0.0.1"],),
        (["64:ff9b::7f00:1"],),
        (["169.254.169.254"],),
    ],
)
async def test_a_name_that_leads_inside_gets_no_connection(harness, receiver, guarded, answers):
    session = open_session(timeout_s=2.0, is_private_allowed=False, resolver=Names(*answers))
    with pytest.raises(OSError, match=FORBIDDEN):
        await session.post(f"http://shop.example:{receiver.port}/hooks")
    await session.close()
    assert receiver.hooks == []


async def test_r39_a_name_that_changes_between_look_ups_gets_no_connection(receiver, monkeypatch):
    """Public for who checks, private for who connects: what was checked is what is connected to."""
    tried = []

    def refuse(address):
        tried.append(address[4][0])
        raise ConnectionRefusedError

    monkeypatch.setattr(guard, "guarded_socket", refuse)
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    session = open_session(timeout_s=30.0, is_private_allowed=False, resolver=names)
    with pytest.raises(ClientConnectorError):
        await session.post(f"http://shop.example:{receiver.port}/hooks")
    assert tried == ["8.8.8.8"]
    with pytest.raises(OSError, match=FORBIDDEN):
        await session.post(f"http://shop.example:{receiver.port}/hooks")
    await session.close()
    assert (tried, receiver.hooks) == (["8.8.8.8"], [])


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_without_a_name_is_refused_where_the_socket_is_made(receiver, host):
    """No resolver is asked for a literal address; the socket's maker is the last door."""
    session = open_session(timeout_s=2.0, is_private_allowed=False)
    with pytest.raises(OSError, match=FORBIDDEN):
        await session.post(f"http://{host}:{receiver.port}/hooks")
    await session.close()
    assert receiver.hooks == []


async def test_r39_a_redirect_leads_nowhere(harness, receiver):
    """A public server may not send us on to where we would not have gone ourselves."""
    receiver.answers = [
        web.Response(status=status, headers={"Location": receiver.url("/inside")})
        for status in (301, 302, 307, 308)
    ]
    await subscribe(harness, receiver.url())
    await tell(harness)
    await send(harness)
    assert {path for path, _, _ in receiver.hooks} == {"/hooks"}
    assert "delivered" not in {status for _, status, _ in attempts(harness)}


async def test_the_guard_is_what_refuses(receiver):
    """The same name, allowed, does arrive: the refusals above are not for another reason."""
    names = Names(["127.0.0.1"])
    session = open_session(timeout_s=2.0, is_private_allowed=True, resolver=names)
    async with session.post(f"http://shop.example:{receiver.port}/hooks") as response:
        assert response.status == 200
    await session.close()
    assert len(receiver.hooks) == 1
