"""Orders at the edge of what is priced, over HTTP: the largest is, a larger one is refused by name."""

from typing import Any

import pytest

from tests.system import Api

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

Json = dict[str, Any]
LINES_MAX = 500


def order_of(lines: int) -> Json:
    return {"items": [{"product_id": f"prod_{n}", "price": 1000} for n in range(lines)]}


def code_of(api: Api, discount: Json) -> Json:
    code = api.voucher(discount=discount)
    return {"object": "voucher", "id": code}


def test_500_lines_are_priced_and_501_are_refused(api: Api) -> None:
    percent = {"type": "PERCENT", "percent_off": 10, "effect": "APPLY_TO_ITEMS"}
    body: Json = {"redeemables": [code_of(api, percent)], "order": order_of(LINES_MAX)}
    priced = api.must("POST", "/v1/validations", body)
    assert priced["valid"] is True
    assert len(priced["order"]["items"]) == LINES_MAX
    assert priced["order"]["items_discount_amount"] == LINES_MAX * 100
    for path in ("/v1/validations", "/v1/redemptions"):
        refused = api.call("POST", path, {**body, "order": order_of(LINES_MAX + 1)})
        assert (refused.status, refused.json["key"]) == (400, "invalid_payload")
        assert "order.items" in refused.json["details"]


def test_a_cart_that_is_too_much_work_is_refused_and_nothing_is_redeemed(api: Api) -> None:
    steps = " + ".join(["ORDER_ITEM_PRICE / ORDER_AMOUNT"] * 40)
    dear = {
        "type": "PERCENT",
        "percent_off": 1,
        "percent_off_formula": steps,
        "effect": "APPLY_TO_ITEMS",
    }
    redeemables = [code_of(api, dear) for _ in range(5)]
    body: Json = {"redeemables": redeemables, "order": order_of(LINES_MAX)}
    for path in ("/v1/validations", "/v1/redemptions"):
        refused = api.call("POST", path, body)
        assert (refused.status, refused.json["key"]) == (400, "cart_too_complex"), path
        assert "500 lines" in refused.json["details"]
    fewer = api.must("POST", "/v1/validations", {**body, "order": order_of(5)})
    assert fewer["valid"] is True, "the same codes on a small order are no trouble"
    used = [api.must("GET", f"/v1/vouchers/{one['id']}")["redemption"] for one in redeemables]
    assert [one["redeemed_quantity"] for one in used] == [0] * len(redeemables)
