"""What our code leans on of Postgres, checked on Postgres and on the store of the simulation alike."""

import asyncio
import copy
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

import runtime.inbox
from campaigns import app as campaigns_app
from campaigns import queries as campaigns_queries
from campaigns.settings import Settings as CampaignsSettings
from contracts import ids, topics
from contracts.customers import Order, OrderUpdated
from contracts.errors import ErrorBody
from contracts.ledger import (
    BalanceAdjusted,
    HeldBalance,
    HoldPlaced,
    Posted,
    Posting,
    RedeemedItem,
    RedemptionSucceeded,
)
from contracts.messages import Envelope, Event
from contracts.webhooks import Endpoint
from customers import app as customers_app
from customers import queries as customers_queries
from engine import app as engine_app
from engine import queries as engine_queries
from engine.projections import PROJECTION as REPLICA
from gateway import app as gateway_app
from gateway import queries as gateway_queries
from gateway.read_models import PROJECTION as READ_MODELS
from ledger import queries
from ledger.app import build
from ledger.domain.accounts import Account
from runtime import event_store
from runtime.batches import Record
from runtime.consumer import _store_replies
from runtime.event_store import StoredEvent
from runtime.read_model import Projection
from runtime.relay import Relay
from runtime.service import Service
from runtime.settings import Settings
from runtime.testing import Harness
from runtime.testing.harness import MemoryBus
from tests.oracle.machine import START, redeem_of
from tests.oracle.redemptions import Definition, Take
from tests.sim import shop
from tests.sim.readers import Statements
from tests.sim.store import Connection, Pool, Schema
from webhooks import app as webhooks_app
from webhooks import queries as webhooks_queries
from webhooks.domain.endpoint import EndpointState
from webhooks.settings import Settings as WebhooksSettings

WAIT_S = 10


def in_memory(one: Service, *projections: Projection) -> Service:
    """Return the service over a store in memory."""
    schema, statements = Schema(), Statements(one.name, *projections)
    one.pool = Pool(lambda: Connection(schema, statements))  # type: ignore[assignment]
    one.bus = MemoryBus()
    return one


@pytest.fixture
async def memory_service() -> Service:
    return in_memory(build(Settings()))


@pytest.fixture
async def postgres_service(leased_settings: Settings) -> AsyncIterator[Service]:
    async with Harness(build(leased_settings)) as harness:
        yield harness.service


@pytest.fixture(
    params=["memory_service", pytest.param("postgres_service", marks=pytest.mark.integration)]
)
def service(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


def event(version: int = 1, stream: str = "redemption-r1") -> StoredEvent:
    return StoredEvent(
        "p1",
        stream,
        version,
        f"ev-{stream}-{version}",
        "t.v1",
        "ledger.events",
        0,
        "{}",
        b"h",
        START,
        "",
        "",
    )


async def log_of(service: Service) -> list[tuple[str, int]]:
    async with service.pool.acquire() as connection:
        rows = await event_store.read_after(connection, 0, 100)
    return [(row["stream_id"], row["stream_version"]) for row in rows]


async def put_accounts(service: Service, *accounts: Account) -> None:
    async with service.pool.acquire() as connection, connection.transaction():
        await queries.store_accounts(connection, [("p1", one) for one in accounts])


async def waits(task: asyncio.Task[Any]) -> bool:
    """Whether the task is still waiting, once it has had its chance."""
    await asyncio.wait([task], timeout=0.2)
    return not task.done()


async def test_positions_ascend_in_the_order_of_commits(service: Service) -> None:
    async with service.pool.acquire() as connection:
        first = await event_store.append(connection, [event(1), event(2)])
        second = await event_store.append(connection, [event(1, "redemption-r2")])
    assert first + second == sorted(first + second)
    assert await log_of(service) == [
        ("redemption-r1", 1),
        ("redemption-r1", 2),
        ("redemption-r2", 1),
    ]


async def test_a_version_is_taken_once(service: Service) -> None:
    async with service.pool.acquire() as connection:
        await event_store.append(connection, [event(1)])
        with pytest.raises(asyncpg.UniqueViolationError):
            await event_store.append(connection, [event(1, "redemption-r2"), event(1)])
    assert await log_of(service) == [("redemption-r1", 1)]


async def test_an_event_is_found_by_its_stream_and_version(service: Service) -> None:
    wanted = {("p1", "redemption-r1"): 2, ("p1", "redemption-r2"): 1, ("p2", "redemption-r1"): 1}
    async with service.pool.acquire() as connection:
        first, second = await event_store.append(connection, [event(1), event(2)])
        assert first < second
        found = await event_store.places_of(connection, wanted)
    assert found == {("p1", "redemption-r1"): (0, second)}


async def test_nobody_else_sees_what_is_not_committed(service: Service) -> None:
    async with service.pool.acquire() as connection:
        async with connection.transaction():
            await event_store.append(connection, [event(1)])
            assert await log_of(service) == []
        assert await log_of(service) == [("redemption-r1", 1)]


async def test_whoever_appends_lets_others_wait_until_the_commit(service: Service) -> None:
    async def append_more() -> None:
        async with service.pool.acquire() as other:
            await event_store.append(other, [event(1, "redemption-r2")])

    async with service.pool.acquire() as connection, connection.transaction():
        await event_store.append(connection, [event(1)])
        task = asyncio.create_task(append_more())
        assert await waits(task)
    await asyncio.wait_for(task, WAIT_S)
    assert await log_of(service) == [("redemption-r1", 1), ("redemption-r2", 1)]


async def test_whoever_locks_an_account_next_sees_what_the_first_wrote(service: Service) -> None:
    await put_accounts(service, Account("uses/a", "use", 3, 0))
    key = ("p1", "uses/a")

    async def read() -> Account:
        async with service.pool.acquire() as other, other.transaction():
            return (await queries.lock_accounts(other, {key}))[key]

    async with service.pool.acquire() as connection, connection.transaction():
        account = (await queries.lock_accounts(connection, {key}))[key]
        task = asyncio.create_task(read())
        assert await waits(task)
        await queries.store_accounts(connection, [("p1", account._replace(used=2))])
    assert (await asyncio.wait_for(task, WAIT_S)).used == 2


async def test_of_two_who_make_an_account_the_second_is_refused(service: Service) -> None:
    async def make() -> None:
        await put_accounts(service, Account("uses/a", "use", 3, 0, used=2))

    async with service.pool.acquire() as connection, connection.transaction():
        await queries.store_accounts(connection, [("p1", Account("uses/a", "use", 3, 0, used=1))])
        task = asyncio.create_task(make())
        assert await waits(task)
    with pytest.raises(asyncpg.UniqueViolationError):
        await asyncio.wait_for(task, WAIT_S)


async def test_an_account_never_goes_over(service: Service) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await put_accounts(service, Account("uses/a", "use", 3, 0, used=2, held=2))


async def test_of_two_who_wait_for_each_other_one_is_refused(service: Service) -> None:
    await put_accounts(service, Account("uses/a", "use", 3, 0), Account("uses/b", "use", 3, 0))
    both = asyncio.Barrier(2)

    async def lock(first: str, second: str) -> str:
        try:
            async with service.pool.acquire() as connection, connection.transaction():
                await queries.lock_accounts(connection, {("p1", first)})
                await both.wait()
                await queries.lock_accounts(connection, {("p1", second)})
        except asyncpg.DeadlockDetectedError:
            return "refused"
        return "done"

    ended = await asyncio.wait_for(
        asyncio.gather(lock("uses/a", "uses/b"), lock("uses/b", "uses/a")), WAIT_S
    )
    assert sorted(ended) == ["done", "refused"]


async def test_a_session_that_ends_loses_its_transaction_and_its_locks(service: Service) -> None:
    await put_accounts(service, Account("uses/a", "use", 3, 0))
    key = ("p1", "uses/a")

    async def lose_the_session() -> None:
        async with service.pool.acquire() as connection, connection.transaction():
            account = (await queries.lock_accounts(connection, {key}))[key]
            await queries.store_accounts(connection, [("p1", account._replace(used=1))])
            connection.terminate()
            await event_store.append(connection, [event(1)])

    with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.InterfaceError)):
        await lose_the_session()
    async with service.pool.acquire() as connection, connection.transaction():
        found = await asyncio.wait_for(queries.lock_accounts(connection, {key}), WAIT_S)
    assert found[key].used == 0
    assert await log_of(service) == []


async def test_a_savepoint_undoes_what_came_after_it(service: Service) -> None:
    async with service.pool.acquire() as connection, connection.transaction():
        await event_store.append(connection, [event(1)])
        inner = connection.transaction()
        await inner.start()
        await event_store.append(connection, [event(2)])
        await inner.rollback()
    assert await log_of(service) == [("redemption-r1", 1)]


async def test_a_reply_is_stored_once_and_not_without_its_transaction(service: Service) -> None:
    record = ("p1", "key", "fingerprint", '{"status": 200}', START)
    async with service.pool.acquire() as connection:
        block = connection.transaction()
        await block.start()
        await _store_replies(connection, [record])
        await block.rollback()
        await _store_replies(connection, [record])
        with pytest.raises(asyncpg.UniqueViolationError):
            await _store_replies(connection, [record])


async def test_one_relay_is_elected_until_its_session_ends(service: Service) -> None:
    relay = Relay(service.settings, "ledger", service.bus)
    async with service.pool.acquire() as second:
        async with service.pool.acquire() as first:
            assert await relay._elected(first)
            assert not await relay._elected(second)
            first.terminate()
        async with asyncio.timeout(WAIT_S):
            while not await relay._elected(second):
                await asyncio.sleep(0.01)
        second.terminate()


async def test_a_session_without_a_row_is_locked_all_the_same(service: Service) -> None:
    async def lock() -> None:
        async with service.pool.acquire() as other, other.transaction():
            await queries.lock_session_names(other, {("p1", "s")})

    async with service.pool.acquire() as connection, connection.transaction():
        await queries.lock_session_names(connection, {("p1", "s"), ("p1", "t")})
        task = asyncio.create_task(lock())
        assert await waits(task)
    await asyncio.wait_for(task, WAIT_S)


class Died(BaseException):
    """The process is no more."""


@pytest.mark.parametrize("point", ["before_tx", "before_commit", "after_commit", "before_reply"])
async def test_offsets_events_accounts_and_reply_are_one(
    service: Service, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    consumer: Any = service.consumers[0]
    said = {"uses/a": Definition(3, version=0)}
    command = redeem_of("r1", [Take("uses/a", 1)], said, None, 1, "WITH_ORDER")
    record = _record(command)
    async with service.pool.acquire() as connection:
        await consumer._ensure_offsets(connection, {(record.topic, 0)})

    def die(name: str) -> None:
        if name == point:
            raise Died

    monkeypatch.setattr(runtime.inbox, "crash_point", die)
    with pytest.raises(Died):
        await consumer.take([record])
    monkeypatch.setattr(runtime.inbox, "crash_point", lambda _: None)
    is_committed = point in {"after_commit", "before_reply"}
    assert len(await log_of(service)) == is_committed
    await consumer.take([record])
    await consumer.take([record._replace(offset=1)])  # the caller asks again, with its key
    assert await log_of(service) == [("redemption-r1", 1)]
    async with service.pool.acquire() as connection, connection.transaction():
        found = await queries.lock_accounts(connection, {("p1", "uses/a")})
        stored = await consumer._ensure_offsets(connection, {(record.topic, 0)})
    assert found["p1", "uses/a"].used == 1
    assert stored[record.topic, 0]["next_offset"] == 2
    sent = copy.copy(service.bus.sent)  # type: ignore[attr-defined]
    assert len(sent) == (1 if is_committed else 2), "what was answered before is answered again"


# -- the engine's replica --------------------------------------------------------------------------


@pytest.fixture
async def memory_engine() -> Service:
    return in_memory(engine_app.build(Settings()), REPLICA)


@pytest.fixture
async def postgres_engine(leased_settings: Settings) -> AsyncIterator[Service]:
    async with Harness(engine_app.build(leased_settings)) as harness:
        yield harness.service


@pytest.fixture(
    params=["memory_engine", pytest.param("postgres_engine", marks=pytest.mark.integration)]
)
def engine(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


CARD = shop.account_of("p1", shop.CARD)
HELD = shop.account_of("p1", "uses/a")


def _told() -> list[tuple[str, Event]]:
    balances = [HeldBalance(account=HELD, unit="use", held=1, used=0, available=2)]
    error = ErrorBody(code=400, key="quantity_exceeded", message="too little")
    held = Posting(account=HELD, contra="world", unit="use", amount=1, limit=3, error=error)
    order = Order(id="ord_a", status="CANCELED", created_at=START)
    return [
        ("gateway", shop.project_of("p1")),
        ("gateway", shop.project_of("p2")),
        ("campaigns", shop.voucher_of("p1", "uses/a")),
        ("campaigns", shop.voucher_of("p1", shop.CARD)),
        ("customers", OrderUpdated(order=order, previous_status="CREATED")),
        (
            "ledger",
            BalanceAdjusted(
                transaction_id="t1",
                voucher={},
                account=CARD,
                unit="credit",
                amount=5,
                limit=50,
                limit_version=1,
                used=7,
                available=48,
                adjusted_at=START,
            ),
        ),
        (
            "ledger",
            HoldPlaced(
                session_key="s", held=[held], balances=balances, expires_at=START, placed_at=START
            ),
        ),
    ]


async def _read(engine: Service, told: list[tuple[str, Event]]) -> None:
    """Let the projection take the events, each log in its own partition 0."""
    consumer: Any = engine.consumers[0]
    counts: dict[str, int] = {}
    async with engine.pool.acquire() as connection:
        await consumer._ensure_offsets(connection, {(topics.events(one), 0) for one, _ in told})
    for source, event in told:
        number = counts[source] = counts.get(source, 0) + 1
        envelope = Envelope(
            id=f"{source}-{number}",
            type=event.TYPE,
            source=source,
            time=START,
            project_id="p1",
            stream=f"stream-{number}",
            stream_version=1,
            position=number,
            previous_position=number - 1,
        )
        headers = tuple(envelope.to_headers())
        topic = topics.events(source)
        await consumer.take([Record(topic, 0, number - 1, b"k", event.to_json(), headers)])


async def test_the_engine_finds_what_its_projection_has_applied(engine: Service) -> None:
    await _read(engine, _told())
    code, card = (ids.voucher_id("p1", shop.code_of(one)) for one in ("uses/a", shop.CARD))
    orders = [("p1", "ord_a"), ("p2", "ord_a")]
    async with engine.pool.acquire() as connection:
        keys = {("p1", code), ("p1", card), ("p2", code), ("p1", "v_none")}
        balances = {("p1", CARD), ("p1", "uses/none")}
        wanted = engine_queries.Wanted(keys, balances, ["p1", "p2", "p3"], [], [], [], orders)
        found = await engine_queries.known(connection, wanted)
        accounts = await engine_queries.accounts(
            connection, [("p1", CARD), ("p1", HELD), ("p2", HELD)]
        )
        holds = await engine_queries.holds(connection, [("p1", "s"), ("p2", "s")])
        assert await engine_queries.campaign_documents(connection, [("p1", "camp_none")]) == {}
    shown = {"timezone": "UTC", "stacking_rules": {}, "first_day_of_week": 0}
    assert found.projects == {"p1": shown, "p2": shown}
    assert list(found.orders) == [("p1", "ord_a")]
    order = found.orders["p1", "ord_a"]
    assert (order["sent"]["status"], order["redeemed"], order["version"]) == (
        "CANCELED",
        None,
        None,
    )
    assert found.accounts == {("p1", CARD): {"used": 7, "adjusted": 5, "held": None}}
    assert set(found.vouchers) == {("p1", code), ("p1", card)}
    row = found.vouchers["p1", code]
    assert (row["created_at"], row["updated_at"]) == (START, None)
    assert (row["code"], row["active"], row["version"], row["definition"]["redemption"]) == (
        "a",
        True,
        1,
        {"quantity": 3},
    )
    assert (row["campaign_version"], row["rules"], row["rules_version"]) == (None, [], None)
    assert {key: (one["used"], one["adjusted"], one["held"]) for key, one in accounts.items()} == {
        ("p1", CARD): (7, 5, None),
        ("p1", HELD): (None, None, 1),
    }
    assert holds == {("p1", "s"): {HELD: 1}}
    stored = await engine._stored_positions([("ledger", 0), ("campaigns", 0), ("catalog", 0)])
    assert dict(stored) == {("ledger", 0): 2, ("campaigns", 0): 2}


# -- campaigns -------------------------------------------------------------------------------------


@pytest.fixture
async def memory_campaigns() -> Service:
    return in_memory(campaigns_app.build(CampaignsSettings()))


@pytest.fixture
async def postgres_campaigns(leased_settings: Settings) -> AsyncIterator[Service]:
    built = campaigns_app.build(CampaignsSettings.model_validate(leased_settings.model_dump()))
    async with Harness(built) as harness:
        yield harness.service


@pytest.fixture(
    params=["memory_campaigns", pytest.param("postgres_campaigns", marks=pytest.mark.integration)]
)
def merchant(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


async def test_a_code_is_listed_once_and_found_by_its_text_and_its_id(merchant: Service) -> None:
    async def insert(*codes: str, project: str = "p1") -> list[str]:
        async with merchant.pool.acquire() as connection, connection.transaction():
            return await campaigns_queries.insert_codes(
                connection, project, codes, campaign_id=None, action_id=None, now=START
            )

    assert await insert("a", "b") == ["a", "b"]
    assert await insert("b", "c") == ["c"]
    assert await insert("b") == []
    assert await insert("b", project="p2") == ["b"]
    async with merchant.pool.acquire() as connection:
        found: list[Any] = [
            await campaigns_queries.find_code(connection, *named)
            for named in (("p1", "c"), ("p1", ids.voucher_id("p1", "c")), ("p2", "c"))
        ]
        assert await campaigns_queries.rules_of(connection, "p1", found[0].voucher_id) == set()
    expected = campaigns_queries.Code("c", ids.voucher_id("p1", "c"), None, None, START)
    assert found == [expected, expected, None]


async def test_whoever_lists_a_code_lets_others_wait_who_list_it_too(merchant: Service) -> None:
    async def insert(connection: Any) -> list[str]:
        return await campaigns_queries.insert_codes(
            connection, "p1", ["a"], campaign_id=None, action_id=None, now=START
        )

    async def insert_elsewhere() -> list[str]:
        async with merchant.pool.acquire() as other, other.transaction():
            return await insert(other)

    async with merchant.pool.acquire() as connection, connection.transaction():
        assert await insert(connection) == ["a"]
        task = asyncio.create_task(insert_elsewhere())
        assert await waits(task)
    assert await asyncio.wait_for(task, WAIT_S) == []


# -- the gateway's read models ---------------------------------------------------------------------


@pytest.fixture
async def memory_gateway() -> Service:
    return in_memory(gateway_app.build(Settings()), READ_MODELS)


@pytest.fixture
async def postgres_gateway(leased_settings: Settings) -> AsyncIterator[Service]:
    async with Harness(gateway_app.build(leased_settings)) as harness:
        yield harness.service


@pytest.fixture(
    params=["memory_gateway", pytest.param("postgres_gateway", marks=pytest.mark.integration)]
)
def reader(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


def _redeemed() -> RedemptionSucceeded:
    code = ids.voucher_id("p1", "a")
    item = RedeemedItem(
        redemption_id="r_1",
        redeemable={"object": "voucher", "id": "a"},
        related_object_type="voucher",
        related_object_id=code,
        voucher={"id": code, "code": "a"},
        posted=[Posted(account=HELD, contra="world", unit="use", amount=1, used=1, available=2)],
    )
    return RedemptionSucceeded(
        parent_id="r_0",
        items=[item, item.model_copy(update={"redemption_id": "r_2"})],
        order={"id": "ord_b", "source_id": "b", "amount": 1000},
        order_version=1,
        redeemed_at=START,
    )


async def test_the_gateway_shows_what_its_projection_has_applied(reader: Service) -> None:
    await _read(reader, [*_told(), ("ledger", _redeemed())])
    code, card = (ids.voucher_id("p1", shop.code_of(one)) for one in ("uses/a", shop.CARD))
    async with reader.pool.acquire() as connection:
        orders = [
            await gateway_queries.order(connection, project, name)
            for project, name in (("p1", "ord_a"), ("p1", "b"), ("p1", "ord_c"), ("p2", "ord_a"))
        ]
        redemptions = [
            await gateway_queries.redemption(connection, project, name)
            for project, name in (("p1", "r_0"), ("p1", "r_9"), ("p2", "r_0"))
        ]
        children = await gateway_queries.children(connection, "p1", ["r_0", "r_1"])
        vouchers = [
            await gateway_queries.voucher(connection, project, name)
            for project, name in (("p1", "a"), ("p1", code), ("p1", "none"), ("p2", "a"))
        ]
        balances = await gateway_queries.balances(connection, "p1", [code, card, "v_none"])
        assert await gateway_queries.assignments_of(connection, "p1", [code]) == {}
        assert await gateway_queries.campaigns(connection, "p1", ["camp_none"]) == {}
    assert [one and (one["id"], one["status"]) for one in orders] == [
        ("ord_a", "CANCELED"),
        ("ord_b", "PAID"),
        None,
        None,
    ]
    assert [one and one["result"] for one in redemptions] == ["SUCCESS", None, None]
    assert {name: [one["id"] for one in rows] for name, rows in children.items()} == {
        "r_0": ["r_1", "r_2"]
    }
    assert [one and one["id"] for one in vouchers] == [code, code, None, None]
    assert balances == {
        code: {"id": code, "redeemed_quantity": 1},
        card: {"id": card, "redeemed_amount": 7, "balance": 48, "adjusted": 5},
        "v_none": {"id": "v_none"},
    }


# -- webhooks, customers ---------------------------------------------------------------------------


@pytest.fixture
async def memory_webhooks() -> Service:
    return in_memory(webhooks_app.build(WebhooksSettings()))


@pytest.fixture
async def postgres_webhooks(leased_settings: Settings) -> AsyncIterator[Service]:
    built = webhooks_app.build(WebhooksSettings.model_validate(leased_settings.model_dump()))
    async with Harness(built) as harness:
        yield harness.service


@pytest.fixture(
    params=["memory_webhooks", pytest.param("postgres_webhooks", marks=pytest.mark.integration)]
)
def teller(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


async def test_an_endpoint_is_kept_once_and_told_of_while_it_is_active(teller: Service) -> None:
    made = Endpoint(
        id="e2", target_url="https://8.8.8.8/", events=["*"], secret="s", created_at=START
    )
    async with teller.pool.acquire() as connection, connection.transaction():
        for project, endpoint in (
            ("p1", made),
            ("p1", made.model_copy(update={"events": ["redemption.*"]})),
            ("p1", made.model_copy(update={"id": "e1"})),
            ("p1", made.model_copy(update={"id": "e3", "active": False})),
            ("p2", made),
        ):
            state = EndpointState(endpoint=endpoint)
            await webhooks_queries.keep_endpoint(connection, project, state)
        assert await webhooks_queries.count_endpoints(connection, "p1") == 3
        assert await webhooks_queries.active_endpoints(connection, ["p1", "p3"]) == [
            ("p1", "e1", ["*"]),
            ("p1", "e2", ["redemption.*"]),
        ]


async def test_what_is_to_be_delivered_is_kept_once(teller: Service) -> None:
    hook = webhooks_queries.NewHook("p1", "h1", "redemption.succeeded", "ev1", "{}")
    due = webhooks_queries.NewDelivery("p1", "d1", "e1", "h1", "c1")
    for _ in range(2):
        async with teller.pool.acquire() as connection, connection.transaction():
            more = due._replace(endpoint_id="e2", delivery_id="d2")
            await webhooks_queries.keep_hooks(connection, [hook, hook], START)
            await webhooks_queries.keep_deliveries(connection, [due, more, due], START)
    async with teller.pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM deliveries") == 2


async def test_what_was_learned_last_is_known(teller: Service) -> None:
    async with teller.pool.acquire() as connection:
        for doc in ({"name": "old"}, {"name": "new"}):
            await webhooks_queries.keep_known(connection, [(("p1", "camp_1"), doc)])
        found = await webhooks_queries.known(connection, [("p1", "camp_1"), ("p2", "camp_1")])
    assert found == {("p1", "camp_1"): {"name": "new"}}


@pytest.fixture
async def memory_customers() -> Service:
    return in_memory(customers_app.build(Settings()))


@pytest.fixture
async def postgres_customers(leased_settings: Settings) -> AsyncIterator[Service]:
    async with Harness(customers_app.build(leased_settings)) as harness:
        yield harness.service


@pytest.fixture(
    params=["memory_customers", pytest.param("postgres_customers", marks=pytest.mark.integration)]
)
def owner(request: pytest.FixtureRequest) -> Service:
    found: Service = request.getfixturevalue(request.param)
    return found


async def test_those_who_change_customers_do_not_wait_for_each_other(owner: Service) -> None:
    async def share() -> None:
        async with owner.pool.acquire() as other, other.transaction():
            await customers_queries.lock_segments(other, ["p1", "p2"], [])

    async with owner.pool.acquire() as connection, connection.transaction():
        await customers_queries.lock_segments(connection, ["p1"], [])
        await asyncio.wait_for(share(), WAIT_S)
        assert await customers_queries.dynamic_segments(connection, ["p1"]) == {"p1": []}


def _record(command: Any) -> Record:
    envelope = Envelope(
        id="m1",
        type=command.TYPE,
        source="test",
        time=START,
        project_id="p1",
        subject="m1",
        reply_to=topics.GATEWAY_REPLIES,
        idempotency_key="key",
    )
    return Record(
        topics.commands("ledger"), 0, 0, b"key", command.to_json(), tuple(envelope.to_headers())
    )
