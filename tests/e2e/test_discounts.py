"""A merchant gives things away in every way there is, and a shop sees the prices."""

import uuid
from typing import Any

import pytest

from tests.system import Api, cart

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def product(api: Api, name: str, price: int) -> str:
    body = {"name": name, "source_id": unique(name), "price": price}
    return str(api.must("POST", "/v1/products", body)["id"])


def coupon(api: Api, discount: dict[str, Any], **rule: Any) -> str:
    """Return a code with this discount; ``rule`` says what it applies to."""
    code = unique("CODE")
    body = {"type": "DISCOUNT_VOUCHER", "discount": discount, "redemption": {"quantity": None}}
    api.must("POST", f"/v1/vouchers/{code}", body)
    if rule:
        made = api.must("POST", "/v1/validation-rules", {"name": unique("R"), "rules": {}, **rule})
        path = f"/v1/validation-rules/{made['id']}/assignments"
        api.must("POST", path, {"voucher": code})
    return code


def asked(code: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**cart(code, customer=unique("shopper")), "order": {"items": list(items), **more}}


def line(product_id: str, quantity: int = 1, price: int = 2000) -> dict[str, Any]:
    return {"product_id": product_id, "quantity": quantity, "price": price}


def priced(api: Api, wanted: dict[str, Any]) -> Any:
    """Validate and redeem; both give the same prices."""
    validated = api.must("POST", "/v1/validations", wanted)
    assert validated["valid"] is True
    redeemed = api.must("POST", "/v1/redemptions", wanted)
    assert redeemed["order"]["total_amount"] == validated["order"]["total_amount"]
    return validated


def test_free_units_come_with_the_catalogues_price(api: Api) -> None:
    tee, gift = product(api, "Tee", 2000), product(api, "Gift", 700)
    free = {"type": "UNIT", "unit_off": 2, "unit_type": gift, "effect": "ADD_NEW_ITEMS"}
    answer = priced(api, asked(coupon(api, free), line(tee)))
    added = answer["order"]["items"][1]
    assert (added["price"], added["discount_amount"], added["applied_quantity"]) == (700, 1400, 2)
    assert answer["redeemables"][0]["result"]["discount"]["product"]["name"] == "Gift"
    assert answer["order"]["total_amount"] == 2000


def test_every_second_unit_from_the_most_expensive(api: Api) -> None:
    tee, mug = product(api, "Tee", 2000), product(api, "Mug", 1000)
    off = {"type": "AMOUNT", "amount_off": 500, "effect": "APPLY_TO_ITEMS"}
    how = {"effect": "APPLY_FROM_MOST_EXPENSIVE", "target": "UNIT", "repeat": 2}
    scope = {"included": [{"object": "product", "id": one, **how} for one in (tee, mug)]}
    code = coupon(api, off, applicable_to=scope)
    answer = priced(api, asked(code, line(mug, 2, 1000), line(tee, 3)))
    entries = answer["redeemables"][0]["applicable_to"]["data"]
    units = {entry["id"]: entry["order_item_units"][0]["units"] for entry in entries}
    assert units == {tee: [1, 3], mug: [1]}
    assert answer["order"]["total_amount"] == 6500


def test_a_formula_decides_and_a_broken_one_is_refused(api: Api) -> None:
    percent = {"type": "PERCENT", "percent_off": 3, "effect": "APPLY_TO_ORDER"}
    formula = "IF(ORDER_AMOUNT > 50; 20; 10)"
    code = coupon(api, {**percent, "percent_off_formula": formula})
    tee = product(api, "Tee", 2000)
    answer = priced(api, asked(code, line(tee, 3)))
    shown = answer["redeemables"][0]["result"]["discount"]
    assert (shown["percent_off"], shown["is_dynamic"]) == (20, True)
    assert answer["order"]["total_amount"] == 4800
    body = {"type": "DISCOUNT_VOUCHER", "discount": {**percent, "percent_off_formula": "IF(1;2)"}}
    refused = api.call("POST", f"/v1/vouchers/{unique('BAD')}", body)
    assert (refused.status, refused.json["key"]) == (400, "invalid_payload")
    assert "discount.percent_off_formula" in refused.json["details"]


def test_a_cap_over_all_redemptions_leaves_the_fourth_buyer_the_full_price(api: Api) -> None:
    tee = product(api, "Tee", 2000)
    off = {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ITEMS_BY_QUANTITY"}
    scope = {"included": [{"object": "product", "id": tee, "product_campaign_quantity_limit": 10}]}
    code = coupon(api, off, applicable_to=scope)
    discounted = []
    for quantity in (5, 4, 3, 2):
        redeemed = api.must("POST", "/v1/redemptions", asked(code, line(tee, quantity)))
        discounted.append(redeemed["order"]["items"][0].get("discount_amount", 0))
    assert discounted == [500, 400, 100, 0]


def test_a_new_price(api: Api) -> None:
    tee = product(api, "Tee", 2000)
    fixed = {"type": "FIXED", "fixed_amount": 2000, "effect": "APPLY_TO_ITEMS"}
    scope = {"included": [{"object": "product", "id": tee, "price": 1500}]}
    answer = priced(api, asked(coupon(api, fixed, applicable_to=scope), line(tee, 2)))
    assert answer["order"]["total_amount"] == 3000
