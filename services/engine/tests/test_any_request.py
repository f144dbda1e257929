"""Requests from anybody: an answer or a refusal that names the property, never a fault."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import DomainError, InvalidPayload
from contracts.ledger import Redeem
from engine.domain.order import item_references
from engine.domain.plan import plan
from engine.domain.validate import validate
from engine.gathering import order_id_of
from engine.testing import NOW, drawn_ids, make_snapshot

Json = dict[str, Any]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(max_size=4)
    | st.sampled_from(["prod_a", "A", "G", "voucher", "product", "sku"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def some_of(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Json]:
    """Objects with any of these fields, each right or anything."""
    return st.fixed_dictionaries(
        {}, optional={name: value | anything for name, value in fields.items()}
    )


named = some_of(id=st.just("prod_a"), source_id=st.text(), price=st.integers(0, 99))
items = some_of(
    product_id=st.just("prod_a"),
    sku_id=st.just("sku_a"),
    quantity=st.integers(0, 9),
    price=st.integers(0, 99),
    amount=st.integers(0, 99),
    product=named,
    sku=named,
    metadata=st.dictionaries(st.text(), scalars),
    related_object=st.sampled_from(["product", "sku"]),
)
orders = some_of(
    id=st.just("ord_1"),
    source_id=st.text(),
    amount=st.integers(0, 999),
    items=st.lists(items | anything, max_size=3),
    metadata=st.dictionaries(st.text(), scalars),
)
customers = some_of(
    id=st.just("cust_1"),
    source_id=st.text(),
    name=st.text(),
    metadata=st.dictionaries(st.text(), scalars),
    address=anything,
    birthdate=anything,
)
redeemables = some_of(
    object=st.just("voucher"),
    id=st.sampled_from(["A", "G", "R"]),
    gift=some_of(credits=st.integers(1, 99)),
)
requests = st.fixed_dictionaries(
    {"redeemables": st.lists(redeemables, max_size=3)},
    optional={"order": orders, "customer": customers},
)
WORLD: Json = {
    "rules": [
        {
            "id": "val_1",
            "rules": {
                "1": {"name": "order.items.any", "conditions": {"$is": ["prod_a"]}},
                "2": {
                    "name": "customer.metadata",
                    "property": "a",
                    "conditions": {"$more_than": [1]},
                },
                "3": {"name": "order.metadata", "property": "a", "conditions": {"$contains": [1]}},
                "4": {"name": "order.items.price_any", "conditions": {"$less_than": [5]}},
                "logic": "1 or 2 or 3 or 4",
            },
        }
    ],
    "vouchers": {
        "A": {
            "definition": {
                "type": "DISCOUNT_VOUCHER",
                "discount": {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ITEMS"},
            }
        },
        "G": {"definition": {"type": "GIFT_VOUCHER", "gift": {"amount": 50}}},
        "R": {
            "rules": ["val_1"],
            "definition": {
                "type": "DISCOUNT_VOUCHER",
                "discount": {"type": "AMOUNT", "amount_off": 10},
            },
        },
    },
}


@settings(max_examples=400, deadline=None)
@given(requests)
def test_any_request_is_answered_or_refused(request: Json) -> None:
    order_id_of("proj", request.get("order"))
    order = request.get("order", {})
    for item in order.get("items") if isinstance(order.get("items"), list) else ():
        if isinstance(item, dict):
            item_references("proj", item)
    try:
        snapshot = make_snapshot(WORLD, {"request": request})
        body = validate(snapshot, "valid_1")
        made = plan(snapshot, drawn_ids(), attempt=1, planned_at=NOW)
    except DomainError:
        return
    assert isinstance(body["valid"], bool)
    assert (made.refusal is None) == bool(made.redemptions)
    Redeem(plan=made).to_json()


def test_an_order_has_at_most_500_lines() -> None:
    def valid(lines: int) -> Any:
        items = [{"price": 1}] * lines
        request = {"redeemables": [{"id": "A"}], "order": {"items": items}}
        return validate(make_snapshot(WORLD, {"request": request}), "valid_1")["valid"]

    assert valid(500) is True
    with pytest.raises(InvalidPayload, match=r"order\.items: must have at most 500 elements"):
        valid(501)


def test_amounts_stay_exact_integers() -> None:
    items = [{"price": 10**12, "quantity": 10**6}]
    request = {"redeemables": [{"id": "A"}], "order": {"items": items}}
    with pytest.raises(InvalidPayload, match="must have amounts up to"):
        validate(make_snapshot(WORLD, {"request": request}), "valid_1")
