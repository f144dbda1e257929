"""Products and SKUs: what an upsert changes, and what it refuses."""

from datetime import UTC, datetime

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from catalog.domain import product as products
from catalog.domain import sku as skus
from catalog.domain.product import decide_upsert_product
from catalog.domain.sku import decide_upsert_sku
from contracts.catalog import (
    Product,
    ProductCreated,
    ProductUpdated,
    Sku,
    SkuCreated,
    SkuUpdated,
    UpsertProduct,
    UpsertSku,
)
from contracts.errors import InvalidPayload, JsonObject
from runtime.testing import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 12, tzinfo=UTC)
MUG = Product(
    id="prod_1",
    source_id="mug",
    name="Mug",
    price=1250,
    attributes=["blue"],
    metadata={"weight": 300, "maker": "x"},
    image_url="https://shop.example/mug.png",
    created_at=NOON,
)
BIG_MUG = Sku(
    id="sku_1",
    product_id="prod_1",
    source_id="mug-big",
    sku="Big",
    price=1500,
    currency="EUR",
    created_at=NOON,
)
CREATED = ProductCreated(product=MUG)
STORED_SKU = skus.evolve(None, SkuCreated(sku=BIG_MUG))
STORED = products.evolve(None, CREATED)


def upsert(changes: JsonObject, *, product_id: str = "prod_1", must_exist: bool = False):
    command = UpsertProduct(product_id=product_id, changes=changes, must_exist=must_exist)
    source = changes.get("source_id")
    known = {"mug": "prod_1", "cup": "prod_2"}
    id_of_source = known.get(source) if isinstance(source, str) else None
    return lambda state: decide_upsert_product(state, command, LATER, id_of_source)


def upsert_sku(changes: JsonObject, product: Product | None = MUG, *, must_exist: bool = False):
    product_id = product.id if product else "prod_9"
    command = UpsertSku(
        sku_id="sku_1", product_id=product_id, changes=changes, must_exist=must_exist
    )
    id_of_source = "sku_1" if changes.get("source_id") == "mug-big" else None
    return lambda state: decide_upsert_sku(state, product, command, LATER, id_of_source)


def test_first_upsert_creates_with_what_was_sent():
    changes = {
        "source_id": "mug",
        "name": "Mug",
        "price": 1250,
        "attributes": ["blue"],
        "metadata": {"weight": 300, "gone": None},
        "image_url": "https://shop.example/mug.png",
        "colour": "fields nobody knows are ignored",
    }
    expected = MUG.model_copy(update={"metadata": {"weight": 300}, "created_at": LATER})
    given(products.evolve).when(upsert(changes)).then(ProductCreated(product=expected))


def test_update_changes_only_what_was_sent():
    expected = MUG.model_copy(update={"price": 999, "updated_at": LATER})
    given(products.evolve, CREATED).when(upsert({"price": 999})).then(
        ProductUpdated(product=expected)
    )


def test_metadata_merges_key_by_key_and_null_removes():
    changes = {"metadata": {"maker": None, "colour": "red"}}
    expected = MUG.model_copy(
        update={"metadata": {"weight": 300, "colour": "red"}, "updated_at": LATER}
    )
    given(products.evolve, CREATED).when(upsert(changes)).then(ProductUpdated(product=expected))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"price": 1250},
        {"source_id": "mug", "metadata": {"weight": 300}},
        {"metadata": {"unknown": None}},
        {"metadata": None, "attributes": ["blue"]},
    ],
)
def test_update_without_changes_appends_nothing(changes):
    given(products.evolve, CREATED).when(upsert(changes)).then()


def test_null_clears_a_field():
    expected = MUG.model_copy(
        update={"price": None, "image_url": None, "attributes": [], "updated_at": LATER}
    )
    changes = {"price": None, "image_url": None, "attributes": None}
    given(products.evolve, CREATED).when(upsert(changes)).then(ProductUpdated(product=expected))


@pytest.mark.parametrize(
    ("changes", "prop"),
    [
        ({"price": -1}, "price"),
        ({"price": "12"}, "price"),
        ({"price": True}, "price"),
        ({"price": 12.5}, "price"),
        ({"price": 10**12 + 1}, "price"),
        ({"name": 7}, "name"),
        ({"name": "x" * 1001}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"attributes": "blue"}, "attributes"),
        ({"attributes": ["blue", 3]}, "attributes[1]"),
        ({"attributes": ["x"] * 101}, "attributes"),
        ({"metadata": []}, "metadata"),
        ({"metadata": {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}}, "metadata"),
        ({"metadata": {str(n): n for n in range(251)}}, "metadata"),
        ({"metadata": {"long": "x" * 70_000}}, "metadata"),
        ({"metadata": {"a": float("inf")}}, "metadata.a"),
        ({"image_url": "javascript:alert(1)"}, "image_url"),
        ({"source_id": "cup"}, "source_id"),
        ({"source_id": ""}, "source_id"),
    ],
)
def test_refusal_names_the_property(changes, prop):
    given(products.evolve, CREATED).when(upsert(changes)).then_refused("invalid_payload", prop)
    with pytest.raises(InvalidPayload) as refused:
        upsert(changes)(STORED)
    assert (refused.value.prop or "").startswith(prop)


def test_source_id_that_names_another_id_is_refused():
    given(products.evolve).when(upsert({"source_id": "cup"})).then_refused(
        "invalid_payload", "source_id"
    )


def test_id_of_a_new_product_must_be_an_id():
    given(products.evolve).when(upsert({}, product_id="prod 1/../x")).then_refused(
        "invalid_payload", "id"
    )


def test_update_of_an_unknown_product_is_not_found():
    given(products.evolve).when(upsert({"price": 1}, must_exist=True)).then_refused(
        "not_found", "Cannot find product with id prod_1"
    )


def test_sku_is_created_and_changed():
    changes = {"source_id": "mug-big", "sku": "Big", "price": 1500, "currency": "EUR"}
    created = SkuCreated(sku=BIG_MUG.model_copy(update={"created_at": LATER}))
    given(skus.evolve).when(upsert_sku(changes)).then(created)
    changed = BIG_MUG.model_copy(update={"attributes": {"size": "L"}, "updated_at": LATER})
    given(skus.evolve, SkuCreated(sku=BIG_MUG)).when(
        upsert_sku({"attributes": {"size": "L"}})
    ).then(SkuUpdated(sku=changed))


def test_sku_needs_its_product():
    given(skus.evolve).when(upsert_sku({}, None)).then_refused(
        "not_found", "Cannot find product with id prod_9"
    )


def test_sku_of_another_product_is_not_found_by_update_and_refused_by_upsert():
    other = MUG.model_copy(update={"id": "prod_2"})
    there = given(skus.evolve, SkuCreated(sku=BIG_MUG))
    there.when(upsert_sku({}, other, must_exist=True)).then_refused("not_found", "sku_1")
    there = given(skus.evolve, SkuCreated(sku=BIG_MUG))
    there.when(upsert_sku({"source_id": "mug-big"}, other)).then_refused(
        "invalid_payload", "source_id"
    )


@pytest.mark.parametrize("currency", ["eur", "EURO", "E1R", 978, ""])
def test_currency_is_iso_4217(currency):
    given(skus.evolve).when(upsert_sku({"currency": currency})).then_refused(
        "invalid_payload", "currency"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**13) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
VALUES = JSON | st.sampled_from(["mug", "mug-big", "EUR", "https://shop.example/x.png"])


@for_all(st.booleans(), st.dictionaries(st.sampled_from([*products.FIELDS, "id"]), VALUES))
def test_whatever_is_sent_of_a_product_is_taken_or_refused_by_name(exists, changes):
    taken_or_refused(products.evolve, upsert(changes), STORED if exists else None)


@for_all(st.booleans(), st.dictionaries(st.sampled_from([*skus.FIELDS, "id"]), VALUES))
def test_whatever_is_sent_of_a_sku_is_taken_or_refused_by_name(exists, changes):
    taken_or_refused(skus.evolve, upsert_sku(changes), STORED_SKU if exists else None)


def taken_or_refused(evolve, decide, state):
    refused, events = None, []
    try:
        events = list(decide(state))
    except InvalidPayload as error:
        refused = error
    if refused is not None:
        assert refused.details.startswith(f"{refused.prop}: must ")
        return
    for event in events:
        state = evolve(state, event)
        assert type(event).from_json(event.to_json()) == event
    assert list(decide(state)) == []
