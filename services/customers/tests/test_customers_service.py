"""Customers on a real Postgres: commands, intake, reactions, two projects."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from contracts import ids, topics
from contracts.catalog import (
    IntakeRejected,
    Product,
    ProductCreated,
    ProductUpdated,
    Sku,
    SkuCreated,
)
from contracts.customers import (
    CreateSegment,
    CustomerEnteredSegment,
    CustomEventRecorded,
    OrderCreated,
    OrderUpdated,
    RecordCustomEvent,
    UpsertCustomer,
    UpsertOrder,
)
from contracts.distribution import Publication, PublicationSucceeded
from contracts.gateway import ProjectDeleted
from contracts.ledger import (
    RedeemedItem,
    RedemptionRolledBack,
    RedemptionSucceeded,
    RolledBackItem,
)
from customers import limits, queries
from customers.app import build
from customers.audit import audit
from customers.sweeps import sweep_once
from runtime import clock
from runtime.settings import Settings
from runtime.testing import Harness

pytestmark = pytest.mark.integration
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 13, tzinfo=UTC)
GOLD = {"junction": "and", "metadata.tier": {"conditions": {"$is": ["gold"]}}}


@pytest_asyncio.fixture
async def harness(leased_settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(build(leased_settings)) as running:
        await running.projects("p1", "p2")
        yield running


def kinds(harness: Harness) -> list[str]:
    return [type(event).__name__ for event in harness.appended]


async def upsert(harness: Harness, project: str, source_id: str, **changes: Any):
    command = UpsertCustomer(
        customer_id=ids.customer_id(project, source_id),
        changes={"source_id": source_id, **changes},
    )
    return await harness.command(project, command)


async def audited(harness: Harness) -> list[str]:
    async with harness.service.pool.acquire() as connection:
        return await audit(connection)


async def test_customer_is_created_changed_and_left_alone(harness):
    created = await upsert(harness, "p1", "anna", name="Anna", email="anna@shop.example")
    same = await upsert(harness, "p1", "anna", name="Anna")
    changed = await upsert(harness, "p1", "anna", name="Anne", metadata={"tier": "gold"})
    assert created.body["customer"]["email"] == "anna@shop.example"
    assert same.body == created.body
    assert changed.body["customer"]["name"] == "Anne"
    assert kinds(harness) == ["CustomerCreated", "CustomerUpdated"]


async def test_projects_do_not_see_each_other(harness):
    await upsert(harness, "p1", "anna", name="Anna")
    here = ids.customer_id("p1", "anna")
    there = await harness.command(
        "p2", UpsertCustomer(customer_id=here, changes={"name": "X"}, must_exist=True)
    )
    assert (there.status, there.error.details) == (404, f"Cannot find customer with id {here}")
    await harness.command(
        "p2",
        CreateSegment(segment_id="seg_1", name="Gold", type="auto-update", filter=GOLD),
    )
    await upsert(harness, "p1", "anna", metadata={"tier": "gold"})
    assert kinds(harness) == ["CustomerCreated", "SegmentCreated", "CustomerUpdated"]


async def test_segment_is_entered_and_left_with_the_change_that_causes_it(harness):
    for name in ("silver", "gold"):
        await upsert(harness, "p1", name, metadata={"tier": name})
    await harness.command(
        "p1", CreateSegment(segment_id="seg_1", name="Gold", type="auto-update", filter=GOLD)
    )
    entered = [event for event in harness.appended if isinstance(event, CustomerEnteredSegment)]
    assert [(event.customer_id, event.segment_name) for event in entered] == [
        (ids.customer_id("p1", "gold"), "Gold")
    ]
    await upsert(harness, "p1", "silver", metadata={"tier": "gold"})
    await upsert(harness, "p1", "gold", metadata={"tier": None})
    await upsert(harness, "p1", "new", metadata={"tier": "gold"})
    assert kinds(harness)[4:] == [
        "CustomerUpdated",
        "CustomerEnteredSegment",
        "CustomerUpdated",
        "CustomerLeftSegment",
        "CustomerCreated",
        "CustomerEnteredSegment",
    ]
    while await sweep_once(harness.service):
        pass
    await harness.refresh()
    assert len(harness.appended) == 10
    assert await audited(harness) == []


async def test_segment_in_the_batch_of_its_customers(harness):
    customers = [
        UpsertCustomer(
            customer_id=ids.customer_id("p1", name),
            changes={"source_id": name, "metadata": {"tier": "gold"}},
        )
        for name in ("before", "after")
    ]
    segment = CreateSegment(segment_id="seg_1", name="Gold", type="auto-update", filter=GOLD)
    replies = await harness.commands([("p1", c) for c in (customers[0], segment, customers[1])])
    assert [reply.status for reply in replies] == [200, 200, 200]
    while await sweep_once(harness.service):
        pass
    await harness.refresh()
    entered = [event for event in harness.appended if isinstance(event, CustomerEnteredSegment)]
    assert {event.customer_id for event in entered} == {c.customer_id for c in customers}
    assert await audited(harness) == []


async def test_sweep_goes_slice_by_slice_and_survives_a_restart(harness, monkeypatch):
    monkeypatch.setattr(limits, "SWEEP_SLICE_CUSTOMERS", 3)
    batch = [{"source_id": f"c{n}", "metadata": {"tier": "gold"}} for n in range(10)]
    await harness.intake(topics.INTAKE_CUSTOMERS, "p1", batch)
    await harness.intake(topics.INTAKE_CUSTOMERS, "p2", batch)
    await harness.command(
        "p1", CreateSegment(segment_id="seg_1", name="Gold", type="auto-update", filter=GOLD)
    )
    assert kinds(harness).count("CustomerEnteredSegment") == 3
    sweeps = 0
    while await sweep_once(harness.service):
        sweeps += 1
    await harness.refresh()
    assert sweeps == 4
    assert kinds(harness).count("CustomerEnteredSegment") == 10
    assert await audited(harness) == []


async def test_only_segments_that_depend_on_the_time_are_swept_again(harness):
    recent = {"created_at": {"conditions": {"$less_than_ago": [30]}}}
    for segment_id, segment_filter in (("seg_1", GOLD), ("seg_2", recent)):
        await harness.command(
            "p1",
            CreateSegment(
                segment_id=segment_id, name="S", type="auto-update", filter=segment_filter
            ),
        )
    while await sweep_once(harness.service):
        pass
    rows = {row["segment_id"]: row["due_at"] for row in await harness.rows("dynamic_segments")}
    assert rows["seg_1"] is None
    wait_s = (rows["seg_2"] - clock.now()).total_seconds()
    assert limits.SWEEP_PERIOD_S - 60 < wait_s <= limits.SWEEP_PERIOD_S


async def test_static_and_passive_segments_move_nobody(harness):
    await upsert(harness, "p1", "anna", metadata={"tier": "gold"})
    anna = ids.customer_id("p1", "anna")
    static = await harness.command(
        "p1",
        CreateSegment(
            segment_id="seg_1", name="VIP", type="static", customers=["anna", anna, "bert"]
        ),
    )
    passive = await harness.command(
        "p1", CreateSegment(segment_id="seg_2", name="P", type="passive", filter=GOLD)
    )
    assert static.body["segment"]["customer_ids"] == [anna, ids.customer_id("p1", "bert")]
    assert passive.body["segment"]["filter"] == GOLD
    assert kinds(harness) == ["CustomerCreated", "SegmentCreated", "SegmentCreated"]
    assert await audited(harness) == []


@pytest.mark.parametrize(
    ("fields", "prop"),
    [
        ({"type": "auto-update"}, "filter"),
        ({"type": "auto-update", "filter": {"junction": "xor"}}, "filter.junction"),
        ({"type": "passive", "filter": {}}, "filter"),
        ({"type": "static", "name": ""}, "name"),
        ({"type": "static", "customers": [""]}, "customers[0]"),
        ({"type": "static", "customers": ["x"] * 20_001}, "customers"),
    ],
)
async def test_wrong_segment_is_refused(harness, fields, prop):
    command = CreateSegment(**{"segment_id": "seg_1", "name": "S", **fields})
    reply = await harness.command("p1", command)
    assert reply.status == 400
    assert reply.error.details.startswith(prop)
    assert harness.appended == []
    assert await harness.rows("dynamic_segments") == []


async def test_segments_with_a_filter_are_limited(harness, monkeypatch):
    monkeypatch.setattr(limits, "DYNAMIC_SEGMENTS_MAX", 2)
    commands = [
        ("p1", CreateSegment(segment_id=f"seg_{n}", name="S", type="passive", filter=GOLD))
        for n in range(3)
    ]
    replies = await harness.commands(commands)
    other = await harness.command("p2", commands[0][1])
    assert [reply.status for reply in replies] == [200, 200, 400]
    assert other.status == 200


async def test_order_brings_its_customer(harness):
    order_id = ids.order_id("p1", "o-1")
    reply = await harness.command(
        "p1",
        UpsertOrder(
            order_id=order_id,
            changes={
                "source_id": "o-1",
                "items": [
                    {"related_object": "product", "source_id": "mug", "quantity": 2, "price": 1250},
                    {"sku_id": "sku_9", "price": 100},
                ],
            },
            customer={"source_id": "anna", "name": "Anna"},
        ),
    )
    order = reply.body["order"]
    assert (order["amount"], order["initial_amount"], order["total_amount"]) == (2600, 2600, 2600)
    assert order["items"][0]["product_id"] == ids.product_id("p1", "mug")
    assert order["items"][0]["amount"] == 2500
    assert order["customer_id"] == reply.body["customer"]["id"] == ids.customer_id("p1", "anna")
    assert kinds(harness) == ["CustomerCreated", "OrderCreated"]
    paid = await harness.command(
        "p1", UpsertOrder(order_id=order_id, changes={"status": "PAID"}, must_exist=True)
    )
    assert paid.body["customer"]["name"] == "Anna"
    last = harness.appended[-1]
    assert isinstance(last, OrderUpdated)
    assert (last.previous_status, last.order.status) == ("CREATED", "PAID")
    assert await audited(harness) == []


async def test_lines_without_a_price_have_the_catalogues(harness):
    def product(price: int | None) -> Product:
        return Product(id=ids.product_id("p1", "mug"), price=price, created_at=NOON)

    sku = Sku(id="sku_1", product_id=product(1).id, price=None, created_at=NOON)
    for event in (
        ProductCreated(product=product(100)),
        SkuCreated(sku=sku),
        ProductUpdated(product=product(250)),
    ):
        await harness.event("p1", event, source="catalog")
        await harness.event("p2", ProductCreated(product=product(7)), source="catalog")
    lines = [
        {"related_object": "product", "source_id": "mug", "quantity": 2},
        {"sku_id": "sku_1"},
        {"related_object": "product", "source_id": "mug", "price": 90},
        {"related_object": "product", "source_id": "mug", "amount": 80},
        {"product_id": "prod_unknown"},
    ]
    reply = await harness.command("p1", UpsertOrder(order_id="ord_1", changes={"items": lines}))
    amounts = [item.get("amount") for item in reply.body["order"]["items"]]
    assert amounts == [500, 250, 90, 80, None]
    assert reply.body["order"]["amount"] == 920
    await harness.intake(
        topics.INTAKE_ORDERS, "p1", [{"source_id": "o1", "items": lines[:1]}, {"items": "x"}]
    )
    assert harness.appended[-2].order.amount == 500


async def test_order_of_an_unknown_customer_is_refused_whole(harness):
    reply = await harness.command(
        "p1",
        UpsertOrder(order_id="ord_1", changes={"amount": 5}, customer={"id": "cust_nobody"}),
    )
    assert (reply.status, reply.error.resource_id) == (404, "cust_nobody")
    bad = await harness.command(
        "p1",
        UpsertOrder(order_id="ord_1", changes={"amount": -5}, customer={"source_id": "anna"}),
    )
    assert (bad.status, bad.error.details.split(":")[0]) == (400, "amount")
    assert harness.appended == []


async def test_a_source_id_may_stand_for_the_id(harness):
    await upsert(harness, "p1", "anna", name="Anna")
    reply = await harness.command(
        "p1", UpsertOrder(order_id="ord_1", changes={"amount": 5}, customer={"id": "anna"})
    )
    known = ids.customer_id("p1", "anna")
    assert reply.body["customer"]["id"] == known
    again = await harness.command(
        "p1", UpsertOrder(order_id="ord_1", changes={}, customer={"id": known, "name": "Anne"})
    )
    assert again.body["customer"]["name"] == "Anne"
    assert kinds(harness) == ["CustomerCreated", "OrderCreated", "CustomerUpdated"]


async def test_custom_event_is_recorded_once(harness):
    command = RecordCustomEvent(
        event_id="ev_1",
        event="cart.abandoned",
        customer={"source_id": "anna", "email": "anna@shop.example"},
        metadata={"total": 100},
    )
    first = await harness.command("p1", command)
    again = await harness.command("p1", command)
    assert first.body == again.body
    assert first.body["event"]["event"] == "cart.abandoned"
    assert kinds(harness) == ["CustomerCreated", "CustomEventRecorded"]
    recorded = harness.appended[-1]
    assert recorded.customer.email == "anna@shop.example"
    assert recorded.metadata == {"total": 100}
    assert harness.envelopes[-1].stream == "custom-event-ev_1"


@pytest.mark.parametrize(
    ("fields", "prop"),
    [
        ({"event": ""}, "event"),
        ({"event": " x"}, "event"),
        ({"event": "a\nb"}, "event"),
        ({"event": "x" * 301}, "event"),
        ({"customer": {"email": "no address"}}, "customer.email"),
        ({"customer": {}}, "customer"),
        ({"metadata": {"a": "\x00"}}, "metadata.a"),
        ({"referral": {}}, "referral.code"),
        ({"loyalty": {"code": 7}}, "loyalty.code"),
    ],
)
async def test_wrong_custom_event_is_refused_whole(harness, fields, prop):
    command = RecordCustomEvent(
        **{"event_id": "ev_1", "event": "e", "customer": {"source_id": "anna"}, **fields}
    )
    reply = await harness.command("p1", command)
    assert reply.status == 400
    assert reply.error.details.split(":")[0] == prop
    assert harness.appended == []


async def test_intake_takes_the_good_and_names_the_bad(harness):
    await harness.intake(
        topics.INTAKE_ORDERS,
        "p1",
        [
            {"source_id": "o1", "amount": 100, "customer": {"source_id": "anna"}},
            {"source_id": "o2", "items": [{"quantity": 0}]},
            {"source_id": "o3", "customer": {"source_id": "anna", "email": "nonsense"}},
            {"amount": 5},
            {"source_id": "o4", "customer": "anna"},
            {"source_id": "o5", "amount": 100, "discount_amount": 101},
            {"source_id": "o6", "amount": 300, "customer": {"source_id": "anna", "name": "A"}},
        ],
    )
    rejected = [event for event in harness.appended if isinstance(event, IntakeRejected)]
    assert [(event.index, event.property) for event in rejected] == [
        (1, "items[0].quantity"),
        (2, "customer.email"),
        (3, "source_id"),
        (4, "customer"),
        (5, "discount_amount"),
    ]
    orders = [event.order for event in harness.appended if isinstance(event, OrderCreated)]
    assert [order.source_id for order in orders] == ["o1", "o6"]
    assert kinds(harness).count("CustomerCreated") == 1
    assert kinds(harness).count("CustomerUpdated") == 1


async def test_intake_of_custom_events_takes_an_id_once(harness):
    event = {"id": "e-1", "event": "sign_up", "customer": {"source_id": "anna"}}
    bare = {"event": "sign_up", "customer": {"source_id": "anna"}}
    await harness.intake(topics.INTAKE_CUSTOM_EVENTS, "p1", [event, event, bare, bare])
    await harness.intake(topics.INTAKE_CUSTOM_EVENTS, "p1", [event, {"event": "x"}])
    recorded = [one for one in harness.appended if isinstance(one, CustomEventRecorded)]
    assert len(recorded) == 3
    assert len({one.event_id for one in recorded}) == 3
    rejected = [one for one in harness.appended if isinstance(one, IntakeRejected)]
    assert [one.property for one in rejected] == ["customer"]


def redemption(**fields: Any) -> RedemptionSucceeded:
    item = RedeemedItem(
        redemption_id="r_1",
        redeemable={"object": "voucher", "id": "X"},
        related_object_type="voucher",
        related_object_id="v_1",
        posted=[],
    )
    defaults = {
        "items": [item],
        "customer": {
            "object": "customer",
            "id": ids.customer_id("p1", "anna"),
            "source_id": "anna",
        },
        "customer_changes": {"source_id": "anna", "name": "Anna"},
        "order": {
            "object": "order",
            "id": ids.order_id("p1", "o1"),
            "source_id": "o1",
            "amount": 1000,
            "initial_amount": 1000,
            "discount_amount": 100,
            "total_discount_amount": 100,
            "total_amount": 900,
            "applied_discount_amount": 100,
        },
        "redeemed_at": NOON,
    }
    return RedemptionSucceeded(**{**defaults, **fields})


def rollback(**fields: Any) -> RedemptionRolledBack:
    item = RolledBackItem(
        rollback_id="rr_1",
        redemption_id="r_1",
        related_object_type="voucher",
        related_object_id="v_1",
        posted=[],
    )
    order = {
        "id": ids.order_id("p1", "o1"),
        "status": "CANCELED",
        "amount": 1000,
        "total_amount": 1000,
        "discount_amount": 0,
        "total_discount_amount": 0,
    }
    defaults = {"redemption_id": "r_1", "items": [item], "order": order, "rolled_back_at": LATER}
    return RedemptionRolledBack(**{**defaults, **fields})


async def test_redemption_pays_the_order_and_rollback_cancels_it(harness):
    await harness.event("p1", redemption(), source="ledger")
    await harness.event("p1", rollback(), source="ledger")
    assert kinds(harness) == ["CustomerCreated", "OrderCreated", "OrderUpdated"]
    created, paid, canceled = harness.appended
    assert created.customer.name == "Anna"
    assert paid.order.status == "PAID"
    assert (paid.order.total_amount, paid.order.discount_amount) == (900, 100)
    assert (paid.caused_by, paid.order.source_id) == ("r_1", "o1")
    assert paid.order.customer_id == created.customer.id
    assert (canceled.order.status, canceled.previous_status) == ("CANCELED", "PAID")
    assert (canceled.order.total_amount, canceled.order.discount_amount) == (1000, 0)
    assert await audited(harness) == []


async def test_repeated_and_late_facts_change_nothing(harness):
    for event in (redemption(), redemption(), rollback(), redemption(), rollback()):
        await harness.event("p1", event, source="ledger")
    assert kinds(harness) == ["CustomerCreated", "OrderCreated", "OrderUpdated"]
    kept = await harness.command(
        "p1", UpsertOrder(order_id=ids.order_id("p1", "o1"), changes={"metadata": {"a": 1}})
    )
    assert kept.body["order"]["status"] == "CANCELED"
    await harness.event("p1", rollback(), source="ledger")
    assert len(harness.appended) == 4


async def test_rollback_without_order_leaves_it_paid(harness):
    await harness.event("p1", redemption(), source="ledger")
    await harness.event("p1", rollback(order_mode="WITHOUT_ORDER"), source="ledger")
    assert kinds(harness) == ["CustomerCreated", "OrderCreated"]


async def test_publication_creates_its_customer_and_old_snapshots_overwrite_nothing(harness):
    def published(channel: str, **customer: Any) -> PublicationSucceeded:
        customer = {"id": ids.customer_id("p1", "anna"), "source_id": "anna", **customer}
        return PublicationSucceeded(
            publication=Publication(id="pub_1", customer=customer, channel=channel, created_at=NOON)
        )

    await harness.event("p1", published("API", name="Anna"), source="distribution")
    await harness.event(
        "p1", published("DISTRIBUTION", name="Old", phone="1"), source="distribution"
    )
    await harness.event("p1", published("shop", name="New"), source="distribution")
    customers = [event.customer for event in harness.appended]
    assert [(one.name, one.phone) for one in customers] == [
        ("Anna", None),
        ("Anna", "1"),
        ("New", "1"),
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"customer": None, "customer_changes": None, "order": None},
        {"customer": {}, "order": {}},
        {"customer": {"id": 7}, "order": {"id": ["x"]}},
        {"customer": {"id": "weird id ☃", "source_id": 5}, "customer_changes": {"email": 1}},
        {"customer_changes": {"metadata": [], "address": 1, "birthdate": "soon", "source_id": "b"}},
        {"order": {"id": "ord_1", "amount": -1, "items": "x", "metadata": 7, "status": "ODD"}},
        {"order": {"id": "ord_1", "items": [1, 2], "source_id": {"a": 1}, "total_amount": "9"}},
    ],
)
async def test_odd_facts_stop_nothing(harness, fields):
    await harness.event("p1", redemption(**fields), source="ledger", stream="redemption-r_1")
    await harness.event("p1", rollback(order=fields.get("order")), source="ledger")
    assert await harness.rows("dead_letters") == []


async def test_garbage_on_intake_stops_nothing(harness):
    for topic in (topics.INTAKE_CUSTOMERS, topics.INTAKE_ORDERS, topics.INTAKE_CUSTOM_EVENTS):
        for raw in (b"\xff\xfe", b"{", b"[[1]]", b"null", b"7", b"", b'{"source_id":"\\u0000"}'):
            await harness.intake(topic, "p1", raw)
        await harness.intake(topic, "", {"source_id": "a"})
    assert set(kinds(harness)) == {"IntakeRejected"}
    assert len(harness.appended) == 24
    assert await harness.rows("dead_letters") == []


async def test_audit_finds_what_is_wrong(harness):
    await upsert(harness, "p1", "anna", metadata={"tier": "gold"})
    await harness.command(
        "p1", CreateSegment(segment_id="seg_1", name="Gold", type="auto-update", filter=GOLD)
    )
    while await sweep_once(harness.service):
        pass
    anna = ids.customer_id("p1", "anna")
    async with harness.service.pool.acquire() as connection:
        await connection.execute(
            "UPDATE aggregates SET state = jsonb_set(state, '{segments}', '[]')"
            " WHERE stream_id LIKE 'customer-%'"
        )
        await connection.execute(
            "UPDATE dynamic_segments SET segment = jsonb_set(segment, '{name}', '\"X\"')"
        )
    assert await audited(harness) == [
        "project p1: dynamic_segments has another seg_1 than the log",
        f"project p1: customer-{anna} should be in seg_1",
    ]


async def test_two_processes_change_one_customer_and_lose_nothing(leased_settings):
    async with (
        Harness(build(leased_settings)) as one,
        Harness(build(leased_settings), is_new=False) as other,
    ):

        async def count_up(harness: Harness, name: str) -> None:
            for number in range(10):
                await upsert(harness, "p1", "anna", metadata={f"{name}{number}": number})

        await asyncio.gather(count_up(one, "a"), count_up(other, "b"))
        last = await upsert(one, "p1", "anna")
        assert len(last.body["customer"]["metadata"]) == 20
        async with one.service.pool.acquire() as connection:
            versions = await connection.fetch("SELECT stream_version FROM events ORDER BY position")
        assert [row["stream_version"] for row in versions] == list(range(1, 21))


async def test_a_segment_waits_for_those_who_change_customers_without_it(harness, eventually):
    command = CreateSegment(segment_id="seg_1", name="Gold", type="auto-update", filter=GOLD)
    pool = harness.service.pool
    async with pool.acquire() as changing, changing.transaction():
        await queries.lock_segments(changing, ["p1", "p2"], [])
        await upsert(harness, "p1", "anna", metadata={"tier": "gold"})
        making = asyncio.create_task(harness.command("p1", command))
        await eventually(
            pool, "SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        )
        assert not making.done()
    assert (await making).status == 200


@pytest.fixture
def eventually():
    async def wait(pool: Any, question: str) -> None:
        async with asyncio.timeout(10), pool.acquire() as connection:
            while not await connection.fetchval(question):
                await asyncio.sleep(0.01)

    return wait


async def test_no_customer_slips_past_a_segment_that_is_being_made(leased_settings):
    async with (
        Harness(build(leased_settings)) as one,
        Harness(build(leased_settings), is_new=False) as other,
    ):
        await one.projects("p1")
        for round_ in range(15):
            customers = [
                {"source_id": f"c{round_}-{number}", "metadata": {"tier": "gold"}}
                for number in range(20)
            ]
            segment = CreateSegment(
                segment_id=f"seg_{round_}", name="Gold", type="auto-update", filter=GOLD
            )
            await asyncio.gather(
                other.intake(topics.INTAKE_CUSTOMERS, "p1", customers),
                one.command("p1", segment),
            )
            while await sweep_once(one.service):
                pass
        assert await audited(one) == []
        await one.refresh()
        entered = [event for event in one.appended if isinstance(event, CustomerEnteredSegment)]
        assert len(entered) == 15 * 15 * 20


async def test_a_deleted_project_takes_nothing_and_is_swept_no_more(harness):
    segment = CreateSegment(segment_id="seg_1", name="Gold", type="auto-update", filter=GOLD)
    await harness.command("p1", segment)
    await harness.event(
        "p1", ProjectDeleted(project_id="p1", deleted_at=clock.now()), source="gateway"
    )
    async with harness.service.pool.acquire() as connection:
        await connection.execute("UPDATE dynamic_segments SET due_at = now()")
    assert not await sweep_once(harness.service)
    for topic in (topics.INTAKE_CUSTOMERS, topics.INTAKE_ORDERS, topics.INTAKE_CUSTOM_EVENTS):
        await harness.intake(topic, "p1", {"source_id": "a", "event": "x", "customer": {"id": "c"}})
        refused = harness.appended[-1]
        assert isinstance(refused, IntakeRejected)
        assert (refused.reason, refused.property) == (
            "project_id: project p1 was deleted",
            "project_id",
        )
    streams = [row["stream_id"] for row in await harness.rows("aggregates")]
    assert streams == ["segment-seg_1"]
