"""Codes in Unicode (T13): a customer types another keyboard's letters, somebody wants a twin of a code."""

from urllib.parse import quote

import pytest

from tests.system import Api, cart

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SUMMER = "SUMMER-\u00c910"
TWINS = {
    "decomposed": "SUMMER-E\u030110",
    "wide letters": "\uff33\uff35\uff2d\uff2d\uff25\uff32-\u00c910",
    "Cyrillic letters": "SU\u041c\u041c\u0415R-\u00c910",
    "Greek letters": "SU\u039c\u039cER-\u0395\u030110",
}
GIFT = {"type": "GIFT_VOUCHER", "gift": {"amount": 1}}


def test_T13_one_code_in_all_its_spellings(api: Api) -> None:
    api.voucher(code=quote(SUMMER), quantity=len(TWINS))
    for twin in TWINS.values():
        taken = api.call("POST", f"/v1/vouchers/{quote(twin)}", GIFT)
        assert (taken.status, taken.key) == (409, "duplicate_found")
        assert api.must("GET", f"/v1/vouchers/{quote(twin)}")["code"] == SUMMER
        assert api.must("GET", f"/v1/vouchers?code={quote(twin)}")["total"] == 1
        told = api.must("POST", "/v1/validations", cart(twin))
        assert (told["valid"], told["order"]["total_discount_amount"]) == (True, 100)
        assert api.redeem(twin).status == 200
    refused = api.redeem(SUMMER)
    assert (refused.status, refused.key) == (400, "quantity_exceeded")
    listed = api.must(
        "GET", f"/v1/redemptions?filters[voucher_code][conditions][$is]={quote(SUMMER)}"
    )
    assert listed["total"] == len(TWINS) + 1
    twice = api.must("POST", "/v1/validations", cart(SUMMER, TWINS["wide letters"]))
    assert twice["valid"] is False
    assert api.must("GET", "/v1/vouchers")["total"] == 1


@pytest.mark.parametrize(
    "hidden", ["\u200b", "\u202e", "\u2066", "\ufeff", "\u3164", "\ufe0f", "\x07"]
)
def test_T13_no_code_hides_a_character(api: Api, hidden: str) -> None:
    code = quote(f"SUM{hidden}MER")
    config = {"code_config": {"pattern": f"A{hidden}##"}}
    campaign = {"name": "Hidden", "voucher": {**GIFT, "code_config": {"charset": f"ab{hidden}"}}}
    for path, body, prop in (
        (f"/v1/vouchers/{code}", GIFT, "code"),
        ("/v1/vouchers", {**GIFT, **config}, "code_config.pattern"),
        ("/v1/campaigns", campaign, "code_config.charset"),
    ):
        refused = api.call("POST", path, body)
        assert (refused.status, refused.key) == (400, "invalid_payload"), refused
        assert prop in refused.json["details"], refused
    assert api.call("GET", f"/v1/vouchers/{code}").status == 404
    assert api.redeem(f"SUM{hidden}MER").status == 404
    assert api.must("GET", "/v1/vouchers")["total"] == 0
    assert api.must("GET", "/v1/campaigns")["total"] == 0
