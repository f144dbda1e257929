"""Customers: what an upsert changes and refuses, what facts of others change, memberships."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from contracts.customers import (
    Customer,
    CustomerCreated,
    CustomerEnteredSegment,
    CustomerLeftSegment,
    CustomerUpdated,
    Segment,
)
from contracts.errors import InvalidPayload, JsonObject
from customers.domain.customer import (
    FIELDS,
    CustomerState,
    decide_memberships,
    decide_take_over,
    decide_upsert_customer,
    evolve,
)
from customers.domain.segment import customer_id_of, depends_on_time, wanted
from runtime.testing import given

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = datetime(2026, 3, 2, 12, tzinfo=UTC)
ANNA = Customer(
    id="cust_1",
    source_id="anna",
    name="Anna",
    email="anna@shop.example",
    address={"city": "Katowice", "line_1": "Mariacka 1"},
    metadata={"tier": "gold", "visits": 3},
    created_at=NOON,
)
CREATED = CustomerCreated(customer=ANNA)


def upsert(changes: JsonObject, *, customer_id: str = "cust_1", **options: Any):
    source = changes.get("source_id")
    known = {"anna": "cust_1", "bert": "cust_2"}
    id_of_source = known.get(source) if isinstance(source, str) else None
    return lambda state: decide_upsert_customer(
        state, customer_id, changes, LATER, id_of_source=id_of_source, **options
    )


def take_over(changes: JsonObject, **options: Any):
    return lambda state: decide_take_over(
        state, "cust_1", changes, LATER, id_of_source="cust_1", **options
    )


def updated(**changes: Any) -> CustomerUpdated:
    return CustomerUpdated(customer=ANNA.model_copy(update={**changes, "updated_at": LATER}))


def test_first_upsert_creates():
    given(evolve).when(upsert({"source_id": "anna", "email": "", "nobody_knows": 1})).then(
        CustomerCreated(customer=Customer(id="cust_1", source_id="anna", created_at=LATER))
    )


def test_update_changes_only_what_was_sent():
    given(evolve, CREATED).when(upsert({"phone": "+48 1"})).then(updated(phone="+48 1"))


def test_metadata_and_address_merge_and_null_removes():
    changes = {
        "metadata": {"visits": 4, "tier": None, "x": [1]},
        "address": {"line_1": None, "country": "PL"},
    }
    given(evolve, CREATED).when(upsert(changes)).then(
        updated(metadata={"visits": 4, "x": [1]}, address={"city": "Katowice", "country": "PL"})
    )


def test_null_clears():
    given(evolve, CREATED).when(upsert({"name": None, "address": None})).then(
        updated(name=None, address=None)
    )


def test_birth_dates_are_days():
    given(evolve, CREATED).when(upsert({"birthdate": "1990-05-17T23:00:00Z"})).then(
        updated(birthdate="1990-05-17")
    )


@pytest.mark.parametrize(
    "changes",
    [{}, {"name": "Anna"}, {"source_id": "anna"}, {"metadata": {"visits": 3}}, {"metadata": None}],
)
def test_no_change_appends_nothing(changes):
    given(evolve, CREATED).when(upsert(changes)).then()


@pytest.mark.parametrize(
    ("changes", "prop"),
    [
        ({"name": 1}, "name"),
        ({"name": "x\x00"}, "name"),
        ({"email": "anna"}, "email"),
        ({"email": "anna@shop.example\nBcc: all@shop.example"}, "email"),
        ({"email": ["a@b"]}, "email"),
        ({"birthdate": "yesterday"}, "birthdate"),
        ({"birthday": 5}, "birthday"),
        ({"address": "street"}, "address"),
        ({"address": {"city": 1}}, "address.city"),
        ({"metadata": "x"}, "metadata"),
        ({"source_id": "bert"}, "source_id"),
    ],
)
def test_refusal_names_the_property(changes, prop):
    given(evolve, CREATED).when(upsert(changes)).then_refused("invalid_payload", prop)
    with pytest.raises(InvalidPayload) as refused:
        upsert(changes, path="customer")(CustomerState(customer=ANNA))
    assert refused.value.prop == f"customer.{prop}"


def test_merged_metadata_stays_within_its_limit():
    start = CREATED.model_copy(
        update={"customer": ANNA.model_copy(update={"metadata": {str(n): n for n in range(200)}})}
    )
    more = {"metadata": {f"x{n}": n for n in range(51)}}
    given(evolve, start).when(upsert(more)).then_refused("invalid_payload", "metadata")


def test_a_source_id_cannot_come_later_or_name_another():
    nameless = CustomerCreated(customer=Customer(id="cust_1", created_at=NOON))
    given(evolve, nameless).when(upsert({"source_id": "anna"})).then_refused(
        "invalid_payload", "source_id: must not change"
    )
    given(evolve).when(upsert({"source_id": "bert"})).then_refused(
        "invalid_payload", "source_id: must be sent without an id"
    )


def test_update_of_an_unknown_customer_is_not_found():
    given(evolve).when(upsert({}, must_exist=True)).then_refused("not_found", "cust_1")


def test_facts_of_others_are_taken_as_far_as_they_are_right():
    changes = {"name": "Anne", "email": "nonsense", "phone": 5, "metadata": {"visits": 9}}
    given(evolve, CREATED).when(take_over(changes)).then(
        updated(name="Anne", metadata={"tier": "gold", "visits": 9})
    )
    given(evolve, CREATED).when(take_over({"source_id": "other", "phone": None})).then()


def test_a_fact_of_an_unknown_customer_creates_it_and_names_it_only_by_its_own_source_id():
    right = Customer(id="cust_1", source_id="anna", name="A", created_at=LATER)
    given(evolve).when(take_over({"source_id": "anna", "name": "A"})).then(
        CustomerCreated(customer=right)
    )
    nameless = Customer(id="cust_1", name="A", created_at=LATER)
    given(evolve).when(
        lambda state: decide_take_over(
            state, "cust_1", {"source_id": "x", "name": "A"}, LATER, id_of_source="cust_2"
        )
    ).then(CustomerCreated(customer=nameless))


def test_old_snapshots_only_fill_in():
    changes = {"name": "Old", "phone": "1", "metadata": {"visits": 1}}
    given(evolve, CREATED).when(take_over(changes, only_missing=True)).then(updated(phone="1"))


def test_memberships_follow_the_filters():
    state = CustomerState(customer=ANNA, segments=["seg_old", "seg_same"])
    events = decide_memberships(
        state,
        [
            ("seg_new", "New", True),
            ("seg_old", "Old", False),
            ("seg_same", "Same", True),
            ("seg_never", "Never", False),
        ],
    )
    assert events == [
        CustomerEnteredSegment(customer_id="cust_1", segment_id="seg_new", segment_name="New"),
        CustomerLeftSegment(customer_id="cust_1", segment_id="seg_old", segment_name="Old"),
    ]
    for event in events:
        state = evolve(state, event)
    assert sorted(state.segments) == ["seg_new", "seg_same"]
    assert evolve(state, updated(name="B")).segments == state.segments


def test_only_auto_update_segments_are_wanted():
    def segment(kind: str, tier: str) -> Segment:
        condition = {"metadata.tier": {"conditions": {"$is": [tier]}}}
        return Segment(id=kind + tier, name="S", type=kind, filter=condition, created_at=NOON)

    segments = [
        segment("auto-update", "gold"),
        segment("auto-update", "x"),
        segment("passive", "gold"),
    ]
    assert wanted(segments, ANNA, NOON) == [
        ("auto-updategold", "S", True),
        ("auto-updatex", "S", False),
    ]


def test_customers_are_named_by_id_or_source_id():
    known = "cust_" + "a" * 24
    assert customer_id_of("p1", known) == known
    assert customer_id_of("p1", "cust_short") != "cust_short"
    assert customer_id_of("p1", "anna") != customer_id_of("p2", "anna")


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("$is", False),
        ("$has_value", False),
        ("$more_than", False),
        ("$before", False),
        ("$more_than_ago", True),
        ("$is_days_ago", True),
        ("$today", True),
        ("$this_week", True),
        ("$last_month_md", True),
        ("$less_than_future", True),
        ("$count_more", False),
        ("$is_day", False),
    ],
)
def test_relative_operators_depend_on_the_time(operator, expected):
    segment_filter = {"junction": "and", "created_at": {"conditions": {operator: ["1"]}}}
    assert depends_on_time(segment_filter) is expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
CHANGES = st.dictionaries(
    st.sampled_from([*FIELDS, "id", "other"]), JSON | st.sampled_from(["a@b", "1990-01-01"])
)


@for_all(st.booleans(), CHANGES)
def test_whatever_is_sent_is_taken_or_refused_by_name(exists, changes):
    state = CustomerState(customer=ANNA) if exists else None
    refused = None
    try:
        events = upsert(changes)(state)
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
    assert list(upsert(changes)(state)) == []


@for_all(st.booleans(), CHANGES)
def test_facts_are_never_refused_and_change_nothing_twice(exists, changes):
    state = CustomerState(customer=ANNA) if exists else None
    for event in take_over(changes)(state):
        state = evolve(state, event)
        assert type(event).from_json(event.to_json()) == event
    assert list(take_over(changes)(state)) == []
