"""A merchant changes a running campaign: prices follow, and its summary says what happened."""

import uuid
from typing import Any

import pytest

from tests.system import Api, cart, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def campaign(api: Api, **more: Any) -> Any:
    body = {
        "name": f"Changing {uuid.uuid4().hex[:8]}",
        "campaign_type": "DISCOUNT_COUPONS",
        "type": "STATIC",
        "voucher": {
            "type": "DISCOUNT_VOUCHER",
            "discount": {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"},
        },
    }
    return api.must("POST", "/v1/campaigns", {**body, **more})


def test_a_new_discount_prices_the_codes_that_are_out(api: Api) -> None:
    made = campaign(api, metadata={"season": "autumn", "year": 2026})
    path = f"/v1/campaigns/{made['id']}"
    api.must("POST", f"{path}/vouchers/CHANGING", {})
    api.must(
        "POST", f"{path}/vouchers/OTHERWISE", {"discount": {"type": "AMOUNT", "amount_off": 7}}
    )
    assert price(api, "CHANGING") == 1900
    changes = {
        "discount": {"type": "AMOUNT", "amount_off": 350, "effect": "APPLY_TO_ORDER"},
        "unset_metadata_fields": ["season"],
    }
    changed = api.must("PUT", path, changes)
    assert changed["voucher"]["discount"]["amount_off"] == 350
    assert changed["metadata"] == {"year": 2026}
    assert price(api, "CHANGING") == 1650
    assert price(api, "OTHERWISE") == 1993
    refused = api.call("PUT", path, {"discount": {"type": "AMOUNT", "amount_off": -1}})
    assert (refused.status, refused.key) == (400, "invalid_payload")
    assert "discount.amount_off" in refused.json["details"]
    assert price(api, "CHANGING") == 1650
    drawn = api.must("POST", f"{path}/vouchers", {"code_config": {"prefix": "NEW-", "length": 4}})
    assert (drawn["code"][:4], len(drawn["code"])) == ("NEW-", 8)
    named = api.must("POST", f"{path}/vouchers", {"code": "CHOSEN", "active": False})
    assert (named["code"], named["active"]) == ("CHOSEN", False)


def price(api: Api, code: str) -> int:
    total: int = api.must("POST", "/v1/validations", cart(code))["order"]["total_amount"]
    return total


def test_the_summary_of_gift_cards(api: Api) -> None:
    card = {"type": "GIFT_VOUCHER", "gift": {"amount": 1000}}
    made = campaign(api, campaign_type="GIFT_VOUCHERS", voucher=card, vouchers_count=3)
    path = f"/v1/campaigns/{made['id']}"
    wait_until(lambda: api.must("GET", path)["vouchers_count"] == 3, "codes")
    api.must("PUT", path, {"gift": {"amount": 2000}})
    api.must("POST", f"{path}/vouchers/CARD", {})
    api.must("POST", "/v1/vouchers/CARD/balance", {"amount": 500})
    api.must("POST", "/v1/vouchers/CARD/balance", {"amount": -200})
    redemption = api.redeem("CARD", amount=300).json["redemptions"][0]["id"]
    api.must("POST", f"/v1/redemptions/{redemption}/rollback", {})
    assert api.call("POST", f"/v1/redemptions/{redemption}/rollback", {}).status == 400
    summary = api.must("GET", f"{path}/summary")
    assert summary["created_vouchers_amount"] == 3 * 1000 + 2000
    assert (summary["amount_added"], summary["amount_subtracted"]) == (500, 200)
    assert (summary["amount_redeemed"], summary["amount_rolledback"]) == (300, 300)
    assert (summary["rollbacks"], summary["rollbacks_failed"]) == (2, 1)
    assert api.must("GET", f"{path}/summary?start_date=2020-01-01") == summary
    before = api.must("GET", f"{path}/summary?end_date=2020-01-01")
    assert {before[name] for name in summary if isinstance(summary[name], int)} == {0}
