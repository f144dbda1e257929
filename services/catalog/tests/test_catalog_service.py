"""The catalog on a real Postgres: commands, intake, two projects."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from catalog.app import build
from catalog.audit import audit
from catalog.bulk import BULK
from contracts import ids, topics
from contracts.bulk import BulkElement
from contracts.catalog import (
    ChangeProductsInBulk,
    CreateProductCollection,
    DeleteProduct,
    DeleteProductCollection,
    IntakeRejected,
    ProductCreated,
    ProductsBulkAdvanced,
    ProductUpdated,
    SkuCreated,
    UpdateProductCollection,
    UpsertProduct,
    UpsertSku,
)
from contracts.gateway import ProjectDeleted
from runtime import clock
from runtime.settings import Settings
from runtime.testing import Harness

pytestmark = pytest.mark.integration


@pytest_asyncio.fixture
async def harness(leased_settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(build(leased_settings)) as running:
        await running.projects("p1", "p2")
        yield running


async def test_upsert_answers_the_product_and_appends_once(harness):
    product_id = ids.product_id("p1", "mug")
    changes = {"source_id": "mug", "name": "Mug", "price": 1250}
    command = UpsertProduct(product_id=product_id, changes=changes)
    first = await harness.command("p1", command)
    again = await harness.command("p1", command)
    assert first.status == again.status == 200
    assert first.body == again.body
    assert first.body["product"]["price"] == 1250
    assert [type(event) for event in harness.appended] == [ProductCreated]
    assert len(first.positions) == 1
    assert again.positions == first.positions, "where stands what it was shown"


async def test_projects_do_not_see_each_other(harness):
    await harness.command("p1", UpsertProduct(product_id="prod_x", changes={"name": "One"}))
    there = await harness.command(
        "p2",
        UpsertProduct(product_id="prod_x", changes={"name": "Two"}, must_exist=True),
    )
    assert there.status == 404
    assert there.error.details == "Cannot find product with id prod_x"
    sku = await harness.command("p2", UpsertSku(sku_id="sku_1", product_id="prod_x", changes={}))
    assert sku.status == 404
    assert len(harness.appended) == 1


async def test_intake_takes_products_with_their_skus(harness):
    mug = {
        "source_id": "mug",
        "name": "Mug",
        "price": 1250,
        "skus": [
            {"source_id": "mug-s", "price": 1000},
            {"source_id": "mug-l", "price": 1500},
        ],
    }
    await harness.intake(topics.INTAKE_PRODUCTS, "p1", mug)
    await harness.intake(topics.INTAKE_PRODUCTS, "p1", [mug, {"source_id": "cup"}])
    created = [event for event in harness.appended if isinstance(event, ProductCreated)]
    assert [event.product.source_id for event in created] == ["mug", "cup"]
    skus = [event.sku for event in harness.appended if isinstance(event, SkuCreated)]
    assert [(sku.source_id, sku.product_id) for sku in skus] == [
        ("mug-s", ids.product_id("p1", "mug")),
        ("mug-l", ids.product_id("p1", "mug")),
    ]
    assert len(harness.appended) == 4


@pytest.mark.parametrize(
    ("element", "prop"),
    [
        ({"name": "no source"}, "source_id"),
        ({"source_id": 7}, "source_id"),
        ({"source_id": "b", "price": -1}, "price"),
        ({"source_id": "b", "skus": [{"price": 1}]}, "skus[0].source_id"),
        (
            {
                "source_id": "b",
                "skus": [{"source_id": "s"}, {"source_id": "t", "price": "1"}],
            },
            "skus[1].price",
        ),
        ({"source_id": "b", "skus": 7}, "skus"),
        ({"source_id": "b", "skus": ["x"]}, "skus[0]"),
        ("text", None),
    ],
)
async def test_intake_refuses_one_and_takes_the_others(harness, element, prop):
    batch = [{"source_id": "a"}, element, {"source_id": "c"}]
    await harness.intake(topics.INTAKE_PRODUCTS, "p1", batch)
    rejected = [event for event in harness.appended if isinstance(event, IntakeRejected)]
    taken = [event for event in harness.appended if isinstance(event, ProductCreated)]
    assert [event.product.source_id for event in taken] == ["a", "c"]
    assert len(harness.appended) == 3
    assert [(one.index, one.property) for one in rejected] == [(1, prop)]
    assert prop is None or prop in rejected[0].reason


async def test_garbage_is_rejected_and_nothing_stops(harness):
    for raw in (b"\xff\xfe", b"{", b"[[1]]", b"null", b'{"source_id": "\\ud800"}', b""):
        await harness.intake(topics.INTAKE_PRODUCTS, "p1", raw)
    await harness.intake(topics.INTAKE_PRODUCTS, "", {"source_id": "a"})
    await harness.intake(topics.INTAKE_PRODUCTS, "p1", {"source_id": "a"})
    kinds = [type(event) for event in harness.appended]
    assert kinds == [IntakeRejected] * 7 + [ProductCreated]
    assert await harness.rows("dead_letters") == []


async def test_audit_is_clean_and_finds_a_changed_aggregate(harness):
    await harness.intake(
        topics.INTAKE_PRODUCTS,
        "p1",
        {"source_id": "a", "price": 5, "skus": [{"source_id": "s"}]},
    )
    async with harness.service.pool.acquire() as connection:
        assert await audit(connection) == []
        await connection.execute(
            "UPDATE aggregates SET state = jsonb_set(state, '{product_id}', '\"prod_9\"')"
            " WHERE stream_id LIKE 'sku-%'"
        )
        sku_id = ids.sku_id("p1", "s")
        assert await audit(connection) == [
            f"project p1: sku-{sku_id} belongs to prod_9, which does not exist",
            f"project p1: {sku_id} is not noted as it was logged",
        ]


async def test_collections_are_counted_changed_and_deleted_and_products_go_with_their_skus(harness):
    body = {"type": "STATIC", "name": "Mugs", "products": [{"id": "prod_x", "object": "product"}]}
    made = CreateProductCollection(collection_id="pc_1", definition=body)
    assert (await harness.command("p1", made)).status == 200
    changed = UpdateProductCollection(collection_id="pc_1", changes={"name": "Cups"})
    reply = await harness.command("p1", changed)
    assert reply.body["collection"]["name"] == "Cups"
    assert (await harness.command("p2", changed)).status == 404
    gone = DeleteProductCollection(collection_id="pc_1")
    assert (await harness.command("p2", gone)).status == 404
    assert (await harness.command("p1", gone)).status == 200
    assert (await harness.command("p1", gone)).status == 404
    await harness.command("p1", UpsertProduct(product_id="prod_x", changes={"name": "One"}))
    await harness.command("p1", UpsertSku(sku_id="sku_1", product_id="prod_x", changes={}))
    assert (await harness.command("p1", DeleteProduct(product_id="prod_x"))).status == 200
    assert [type(event).__name__ for event in harness.appended[-2:]] == [
        "SkuDeleted",
        "ProductDeleted",
    ]
    sku = await harness.command("p1", UpsertSku(sku_id="sku_1", product_id="prod_x", changes={}))
    assert sku.status == 404
    async with harness.service.pool.acquire() as connection:
        assert await audit(connection) == []


async def test_intake_of_a_deleted_project_is_refused_with_the_reason(harness):
    await harness.event(
        "p1", ProjectDeleted(project_id="p1", deleted_at=clock.now()), source="gateway"
    )
    elements = [{"source_id": "a", "project_id": "p1"}, {"source_id": "b"}]
    await harness.intake(topics.INTAKE_PRODUCTS, "p2", elements)
    [refused, taken] = harness.appended
    assert isinstance(refused, IntakeRejected)
    assert refused.reason == "project_id: project p1 was deleted"
    assert (refused.property, refused.index) == ("project_id", 0)
    assert isinstance(taken, ProductCreated)
    assert [row["project_id"] for row in await harness.rows("aggregates")] == ["p2"]


async def test_intake_of_an_unknown_project_waits_for_it_and_is_refused_then(leased_settings):
    async with Harness(build(leased_settings)) as harness:
        patient = {"unknown_project_wait_s": 600.0}
        harness.service.settings = leased_settings.model_copy(update=patient)
        late = asyncio.create_task(harness.intake(topics.INTAKE_PRODUCTS, "p1", {"source_id": "a"}))
        await asyncio.wait([late], timeout=0.2)
        assert not late.done()
        await harness.projects("p1")
        await late
        assert [type(event) for event in harness.appended] == [ProductCreated]
        hasty = {"unknown_project_wait_s": 0.0}
        harness.service.settings = leased_settings.model_copy(update=hasty)
        await harness.intake(topics.INTAKE_PRODUCTS, "nowhere", {"source_id": "a"})
        refused = harness.appended[-1]
        assert isinstance(refused, IntakeRejected)
        assert refused.reason == "project_id: there is no project nowhere"
        assert [row["project_id"] for row in await harness.rows("aggregates")] == ["p1"]


def part(elements, number=0, *, is_last=True, kind="PRODUCTS.BULK_UPDATE", action_id="aa_1"):
    return ChangeProductsInBulk(
        action_id=action_id,
        kind=kind,
        part=number,
        is_last=is_last,
        elements=[BulkElement(row=row + 2, body=body) for row, body in enumerate(elements)],
    )


async def finish(harness) -> None:
    while await BULK.run_part(harness.service):
        async with harness.service.pool.acquire() as connection:
            assert await audit(connection) == []
    await harness.refresh()


async def test_many_products_are_changed_in_parts_and_the_refused_are_named(harness):
    good = [{"source_id": f"p{n}", "price": n} for n in range(3)]
    wrong = [{"source_id": "bad", "price": -1}, {"name": "nobody"}]
    assert (await harness.command("p1", part(good, is_last=False))).status == 200
    assert not await BULK.run_part(harness.service)
    assert (await harness.command("p1", part([*wrong, {"source_id": "last"}], 1))).status == 200
    await finish(harness)
    made = [
        event.product.source_id for event in harness.appended if isinstance(event, ProductCreated)
    ]
    assert made == ["p0", "p1", "p2", "last"]
    told = [event for event in harness.appended if isinstance(event, ProductsBulkAdvanced)]
    assert [(one.done, one.total) for one in told] == [(3, 6), (6, 6)]
    bad, nobody = told[1].refused
    assert (bad.row, bad.source_id, bad.key) == (2, "bad", "invalid_payload")
    assert bad.details.startswith("price: ")
    assert nobody.details.startswith("source_id: ")
    assert await harness.rows("bulk_jobs") == await harness.rows("bulk_parts") == []
    assert {row["project_id"] for row in await harness.rows("aggregates")} == {"p1"}


async def test_a_change_that_breaks_its_handler_holds_up_nobody(harness, monkeypatch):
    kind = BULK._kinds["PRODUCTS.BULK_UPDATE"]

    async def breaks_on_b(unit, body):
        await kind.change(unit, body)
        assert body["source_id"] != "b", "not foreseen"

    monkeypatch.setitem(BULK._kinds, "PRODUCTS.BULK_UPDATE", kind._replace(change=breaks_on_b))
    await harness.command("p1", part([{"source_id": one} for one in "abc"]))
    await finish(harness)
    made = [
        event.product.source_id for event in harness.appended if isinstance(event, ProductCreated)
    ]
    assert made == ["a", "c"]
    [refused] = harness.appended[-1].refused
    assert (refused.source_id, refused.key) == ("b", "internal_error")


async def test_a_part_that_is_missing_starts_nothing(harness):
    await harness.command("p1", part([{"source_id": "a"}], is_last=False))
    refused = await harness.command("p1", part([{"source_id": "c"}], 2))
    assert (refused.status, refused.error.key) == (400, "invalid_payload")
    assert refused.error.details == "part: must follow the others: 2 are there"
    await finish(harness)
    assert harness.appended == []


async def test_metadata_is_merged_into_products_that_are_there(harness):
    await harness.command("p1", part([{"source_id": "a", "metadata": {"old": 1}}]))
    await finish(harness)
    body = [{"source_id": one, "metadata": {"new": 2}} for one in ("a", "b")]
    await harness.command("p1", part(body, kind="PRODUCTS.METADATA_UPDATE", action_id="aa_2"))
    await finish(harness)
    advanced = harness.appended[-1]
    assert [(one.source_id, one.key) for one in advanced.refused] == [("b", "not_found")]
    changed = [event for event in harness.appended if isinstance(event, ProductUpdated)]
    assert [event.product.metadata for event in changed] == [{"old": 1, "new": 2}]


async def test_imported_skus_name_their_product_by_either_name(harness):
    await harness.command("p1", part([{"source_id": "mug"}]))
    await finish(harness)
    body = [
        {"product_id": "mug", "source_id": "mug-s"},
        {"product_id": ids.product_id("p1", "mug"), "source_id": "mug-l"},
        {"product_id": "cup", "source_id": "cup-s"},
    ]
    await harness.command("p1", part(body, kind="SKUS.IMPORT_CSV", action_id="aa_2"))
    await finish(harness)
    made = [event.sku.source_id for event in harness.appended if isinstance(event, SkuCreated)]
    assert made == ["mug-s", "mug-l"]
    [refused] = harness.appended[-1].refused
    assert (refused.row, refused.source_id, refused.key) == (4, "cup-s", "not_found")


async def test_two_workers_and_a_small_action_beside_a_big_one(harness, leased_settings):
    for number in range(5):
        body = [{"source_id": f"big{number}-{n}"} for n in range(3)]
        await harness.command("p1", part(body, number, is_last=number == 4))
    await harness.command("p2", part([{"source_id": "small"}], action_id="aa_2"))
    async with Harness(build(leased_settings), is_new=False) as other:
        await asyncio.gather(
            *(BULK.run_part(one.service) for one in (harness, other, harness, other))
        )
        await finish(harness)
    ended = [event for event in harness.appended if isinstance(event, ProductsBulkAdvanced)]
    assert sorted(event.done for event in ended if event.action_id == "aa_1") == [3, 6, 9, 12, 15]
    made = [event for event in harness.appended if isinstance(event, ProductCreated)]
    assert len(made) == 16
    assert [event.action_id for event in ended].index("aa_2") < 4
