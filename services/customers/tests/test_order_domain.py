"""Orders: amounts, lines, refusals, and the ledger's facts in any order."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from contracts import ids
from contracts.customers import Order, OrderCreated, OrderUpdated, UpsertOrder
from contracts.errors import InvalidPayload, JsonObject
from customers import limits
from customers.domain.order import (
    FIELDS,
    ITEM,
    OrderState,
    decide_apply_fact,
    decide_upsert_order,
    evolve,
    unpriced,
)
from runtime.testing import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 12, tzinfo=UTC)
ORDER_ID = ids.order_id("p1", "o-1")
BARE = Order(id=ORDER_ID, source_id="o-1", created_at=NOON)
PLACED = BARE.model_copy(
    update={"amount": 1000, "initial_amount": 1000, "total_amount": 1000, "metadata": {"a": 1}}
)
CREATED = OrderCreated(order=PLACED)


def upsert(changes: JsonObject, customer_id: str | None = None, **options: Any):
    command = UpsertOrder(**{"order_id": ORDER_ID, "changes": changes, **options})
    return lambda state: decide_upsert_order(state, "p1", command, LATER, customer_id)


def fact(body: JsonObject, cause: tuple[str, datetime], status: str = "PAID"):
    return lambda state: decide_apply_fact(state, "p1", ORDER_ID, body, status, None, cause, LATER)


def amounts(changes: JsonObject, state: OrderState | None = None) -> tuple[Any, ...]:
    order = list(upsert(changes)(state))[-1].order
    return (
        order.amount,
        order.initial_amount,
        order.discount_amount,
        order.items_discount_amount,
        order.total_discount_amount,
        order.total_amount,
    )


def updated(**changes: Any) -> OrderUpdated:
    return OrderUpdated(
        order=PLACED.model_copy(update={**changes, "updated_at": LATER}), previous_status="CREATED"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (None, None, None, None, None, None)),
        ({"amount": 500}, (500, 500, None, None, None, 500)),
        ({"amount": 500, "discount_amount": 100}, (500, 500, 100, None, 100, 400)),
        ({"amount": 500, "initial_amount": 450}, (500, 450, None, None, None, 500)),
        (
            {"items": [{"quantity": 3, "price": 200}, {"price": 50}]},
            (650, 650, None, None, None, 650),
        ),
        (
            {
                "items": [{"quantity": 3, "price": 200, "discount_amount": 60}],
                "discount_amount": 40,
            },
            (600, 600, 40, 60, 100, 500),
        ),
        (
            {"items": [{"quantity": 3, "price": 200}], "amount": 599},
            (599, 599, None, None, None, 599),
        ),
        ({"items": [{"source_id": "x"}]}, (None, None, None, None, None, None)),
        ({"items": [{"amount": 70}], "amount": None}, (70, 70, None, None, None, 70)),
        ({"items": []}, (None, None, None, None, None, None)),
    ],
)
def test_amounts_follow(changes, expected):
    assert amounts(changes) == expected


def test_new_items_give_a_new_amount():
    assert amounts({"items": [{"price": 7}]}, OrderState(order=PLACED)) == (
        7,
        7,
        None,
        None,
        None,
        7,
    )


def test_lines_name_the_catalogue_and_carry_their_amount():
    changes = {
        "items": [
            {"related_object": "product", "source_id": "mug", "quantity": 2, "price": 100},
            {"related_object": "sku", "source_id": "mug-xl", "amount": 5},
            {"product": {"source_id": "cup", "price": 30, "override": True}, "quantity": 3},
            {"sku": {"id": "sku_1"}, "metadata": {"gift": True}, "ignored": 1},
            {"product_id": "prod_1", "source_id": "other"},
        ]
    }
    order = next(iter(upsert(changes)(None))).order
    assert order.items == [
        {
            "object": "order_item",
            "related_object": "product",
            "source_id": "mug",
            "quantity": 2,
            "price": 100,
            "amount": 200,
            "product_id": ids.product_id("p1", "mug"),
        },
        {
            "object": "order_item",
            "related_object": "sku",
            "source_id": "mug-xl",
            "amount": 5,
            "sku_id": ids.sku_id("p1", "mug-xl"),
        },
        {
            "object": "order_item",
            "quantity": 3,
            "price": 30,
            "amount": 90,
            "product": {"source_id": "cup", "price": 30, "override": True},
            "product_id": ids.product_id("p1", "cup"),
        },
        {
            "object": "order_item",
            "sku": {"id": "sku_1"},
            "sku_id": "sku_1",
            "metadata": {"gift": True},
        },
        {"object": "order_item", "product_id": "prod_1", "source_id": "other"},
    ]


def test_update_changes_only_what_was_sent():
    given(evolve, CREATED).when(upsert({"status": "CANCELED", "metadata": {"b": 2}})).then(
        updated(status="CANCELED", metadata={"a": 1, "b": 2})
    )
    given(evolve, CREATED).when(upsert({"source_id": "o-1"}, "cust_1")).then(
        updated(customer_id="cust_1")
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"amount": 1000},
        {"status": "CREATED"},
        {"metadata": {"a": 1, "b": None}},
        {"items": None},
        {"created_at": "2020-01-01"},
    ],
)
def test_no_change_appends_nothing(changes):
    given(evolve, CREATED).when(upsert(changes)).then()


def test_created_at_is_taken_once():
    order = next(iter(upsert({"created_at": "2025-12-24T18:00:00+01:00"})(None))).order
    assert order.created_at == datetime(2025, 12, 24, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changes", "prop"),
    [
        ({"status": "LOST"}, "status"),
        ({"status": None}, "status"),
        ({"amount": -1}, "amount"),
        ({"amount": "5"}, "amount"),
        ({"amount": 10**16}, "amount"),
        ({"discount_amount": 1001}, "discount_amount"),
        ({"amount": 5, "discount_amount": 6}, "discount_amount"),
        ({"items": {}}, "items"),
        ({"items": [{}] * 501}, "items"),
        ({"items": ["mug"]}, "items[0]"),
        ({"items": [{}, {"quantity": 0}]}, "items[1].quantity"),
        ({"items": [{"quantity": 1.5}]}, "items[0].quantity"),
        ({"items": [{"price": -5}]}, "items[0].price"),
        ({"items": [{"price": 10**12, "quantity": 10**6}]}, "items[0].amount"),
        ({"items": [{"price": 10**12, "quantity": 900}] * 2}, "amount"),
        ({"items": [{"price": 5, "discount_amount": 6}]}, "items[0].discount_amount"),
        ({"items": [{"related_object": "car"}]}, "items[0].related_object"),
        ({"items": [{"product": {"price": "x"}}]}, "items[0].product.price"),
        ({"items": [{"metadata": 1}]}, "items[0].metadata"),
        ({"metadata": []}, "metadata"),
        ({"source_id": "o-2"}, "source_id"),
        ({"referrer_id": {}}, "referrer_id"),
        ({"created_at": "soon"}, "created_at"),
    ],
)
def test_refusal_names_the_property(changes, prop):
    given(evolve, CREATED).when(upsert(changes)).then_refused("invalid_payload", prop)
    with pytest.raises(InvalidPayload) as refused:
        upsert(changes)(OrderState(order=PLACED))
    assert refused.value.prop == prop


def test_an_amount_below_the_discounts_is_refused():
    discounted = PLACED.model_copy(update={"discount_amount": 300})
    with pytest.raises(InvalidPayload) as refused:
        upsert({"amount": 299})(OrderState(order=discounted))
    assert refused.value.prop == "amount"


def test_unknown_order_is_not_found_and_a_foreign_id_is_refused():
    given(evolve).when(upsert({}, must_exist=True)).then_refused("not_found", ORDER_ID)
    given(evolve).when(upsert({"source_id": "o-2"})).then_refused("invalid_payload", "source_id")


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 500, "discount_amount": 500},
        {"items": [{"price": 5, "discount_amount": 5}]},
        {"items": [{"discount_amount": 5}], "amount": 5},
        {"items": [{"price": 1}] * limits.ORDER_ITEMS_MAX},
        {"items": [{"price": 10**9, "quantity": 10**6}]},
        {"items": [{"price": 0, "quantity": 1}]},
        {"items": [{"initial_quantity": 0, "discount_quantity": 0, "amount": 0}]},
        {"amount": limits.AMOUNT_MINOR_MAX},
    ],
)
def test_the_limits_themselves_are_allowed(changes):
    assert len(upsert(changes)(None)) == 1


def test_lines_at_the_catalogues_price():
    prices = {"prod_1": 30, "sku_1": 7}
    lines = [
        {"product_id": "prod_1", "quantity": 3},
        {"product_id": "prod_1", "sku_id": "sku_1"},
        {"product_id": "prod_1", "price": 20},
        {"product_id": "prod_1", "amount": 10},
        {"product_id": "prod_9"},
        {},
    ]
    command = UpsertOrder(order_id=ORDER_ID, changes={"items": lines})
    order = next(iter(decide_upsert_order(None, "p1", command, LATER, None, prices))).order
    assert [item.get("amount") for item in order.items] == [90, 7, 20, 10, None, None]
    assert [item.get("price") for item in order.items] == [30, 7, 20, None, None, None]
    assert order.amount == 127
    assert list(unpriced("p1", lines)) == ["prod_1", "sku_1", "prod_9"]
    assert list(unpriced("p1", [*lines[:1], {"quantity": 0}, "x"])) == ["prod_1"]
    assert list(unpriced("p1", lines[:1] * limits.ORDER_ITEMS_MAX)) != []
    for odd in (None, {}, "items", 7, lines * limits.ORDER_ITEMS_MAX):
        assert list(unpriced("p1", odd)) == []


def test_an_upsert_without_amounts_keeps_what_the_engine_priced():
    priced = {
        "amount": 1000,
        "items_discount_amount": 50,
        "total_discount_amount": 50,
        "total_amount": 950,
    }
    state = evolve(None, next(iter(fact(priced, ("r_1", NOON))(None))))
    order = next(iter(upsert({"status": "FULFILLED"})(state))).order
    assert (order.items_discount_amount, order.total_amount) == (50, 950)


def test_a_fact_of_an_unknown_order_creates_it():
    body = {"source_id": "o-1", "amount": 10}
    events = decide_apply_fact(None, "p1", ORDER_ID, body, "PAID", "cust_1", ("r_1", NOON), LATER)
    order = BARE.model_copy(
        update={"status": "PAID", "customer_id": "cust_1", "amount": 10, "created_at": LATER}
    )
    assert list(events) == [OrderCreated(order=order, caused_by="r_1", caused_at=NOON)]
    foreign = decide_apply_fact(None, "p2", ORDER_ID, body, "PAID", None, ("r_1", NOON), LATER)
    assert next(iter(foreign)).order.source_id is None


FACTS = [
    ({"amount": 1000, "total_amount": 900, "discount_amount": 100}, ("r_1", NOON), "PAID"),
    (
        {"amount": 1000, "total_amount": 700, "discount_amount": 300},
        ("r_2", NOON + timedelta(seconds=1)),
        "PAID",
    ),
    (
        {"amount": 1000, "total_amount": 900, "discount_amount": 100},
        ("rr_2", NOON + timedelta(seconds=2)),
        "CANCELED",
    ),
]


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("times", [1, 2])
def test_the_newest_fact_wins_in_whatever_order_they_come(order, times):
    state = evolve(None, CREATED)
    for index in [*order] * times:
        body, cause, status = FACTS[index]
        for event in fact(body, cause, status)(state):
            state = evolve(state, event)
    assert (state.order.status, state.order.total_amount) == ("CANCELED", 900)
    assert state.caused_by == "rr_2"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_facts_of_one_instant_the_greater_id_counts(order):
    facts = [({"total_amount": 900}, ("r_1", NOON)), ({"total_amount": 800}, ("r_2", NOON))]
    state = evolve(None, CREATED)
    for index in order:
        for event in fact(*facts[index])(state):
            state = evolve(state, event)
        assert list(fact(*facts[index])(state)) == []
    assert (state.order.total_amount, state.caused_by) == (800, "r_2")


def test_a_priced_order_is_complete_and_an_unpriced_one_keeps_the_amounts():
    state = evolve(None, CREATED)
    priced = {
        "amount": 1000,
        "total_amount": 900,
        "discount_amount": 100,
        "total_discount_amount": 100,
    }
    without = {"amount": 1000, "total_amount": 1000, "status": "CANCELED"}
    for body, cause in ((priced, ("r_1", NOON)), (without, ("rr_1", LATER))):
        for event in fact(body, cause)(state):
            state = evolve(state, event)
    assert (state.order.discount_amount, state.order.total_discount_amount) == (None, None)
    assert state.order.total_amount == 1000
    for event in fact({"metadata": {"b": 1}}, ("r_2", LATER + timedelta(seconds=1)))(state):
        state = evolve(state, event)
    assert (state.order.amount, state.order.metadata) == (1000, {"a": 1, "b": 1})


def test_an_upsert_keeps_the_newest_fact():
    state = evolve(None, CREATED)
    for decide in (
        fact(*FACTS[2]),
        upsert({"status": "FULFILLED"}),
        fact(*FACTS[2]),
        fact(*FACTS[0]),
    ):
        for event in decide(state):
            state = evolve(state, event)
    assert state.order.status == "FULFILLED"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**17) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*ITEM, "x"]), inner, max_size=4)
    ),
    max_leaves=10,
)
CHANGES = st.dictionaries(
    st.sampled_from([*FIELDS, "total_amount"]), JSON | st.sampled_from(["PAID", "o-1", "o-2"])
)


@for_all(st.booleans(), CHANGES)
def test_whatever_is_sent_is_taken_or_refused_by_name(exists, changes):
    state = OrderState(order=PLACED) if exists else None
    refused = None
    try:
        events = list(upsert(changes)(state))
    except InvalidPayload as error:
        refused = error
        events = []
    if refused is not None:
        assert refused.prop is not None
        assert refused.details.startswith(refused.prop)
        return
    for event in events:
        state = evolve(state, event)
        assert type(event).from_json(event.to_json()) == event
        order = event.order
        assert (order.total_amount or 0) + (order.total_discount_amount or 0) == (order.amount or 0)
    assert list(upsert(changes)(state)) == []


@for_all(st.booleans(), CHANGES)
def test_facts_are_never_refused(exists, changes):
    state = OrderState(order=PLACED) if exists else None
    for event in fact(changes, ("r_1", NOON))(state):
        state = evolve(state, event)
        assert type(event).from_json(event.to_json()) == event
    assert list(fact(changes, ("r_1", NOON))(state)) == []
