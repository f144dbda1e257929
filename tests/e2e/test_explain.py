"""Why a price came about, over HTTP: for a validation, for a qualification, and never for a browser."""

import uuid
from typing import Any

import pytest

from tests.system import Api, System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

Json = dict[str, Any]


def ruled_code(api: Api) -> str:
    rules = {
        "1": {"name": "order.amount", "conditions": {"$more_than": [5000]}},
        "2": {"name": "order.metadata", "property": "channel", "conditions": {"$is": ["app"]}},
        "logic": "1 and 2",
    }
    body = {
        "name": f"rule-{uuid.uuid4().hex[:8]}",
        "rules": rules,
        "error": {"message": "Only in the app"},
    }
    made = api.must("POST", "/v1/validation-rules", body)
    code = api.voucher()
    api.must("POST", f"/v1/validation-rules/{made['id']}/assignments", {"voucher": code})
    return code


def test_a_validation_tells_which_rule_refused_and_what_it_saw(api: Api) -> None:
    code = ruled_code(api)
    body: Json = {
        "redeemables": [{"object": "voucher", "id": code}],
        "order": {"amount": 8000, "metadata": {"channel": "web"}},
        "options": {"explain": True},
    }
    refused = api.must("POST", "/v1/validations", body)
    assert refused["valid"] is False
    [rule] = refused["inapplicable_redeemables"][0]["explanation"]["rules"]
    assert (rule["result"], rule["message"]) == (False, "Only in the app")
    seen = {name: (one["input"], one["result"]) for name, one in rule["rules"].items()}
    assert seen == {"1": (8000, True), "2": ("web", False)}
    body["order"]["metadata"] = {"channel": "app"}
    applied = api.must("POST", "/v1/validations", body)
    amounts = applied["redeemables"][0]["explanation"]["amounts"]
    totals = amounts["before"]["total_amount"], amounts["after"]["total_amount"]
    assert totals == (8000, applied["order"]["total_amount"])
    assert totals[1] < totals[0]


def test_a_qualification_explains_and_a_browser_is_told_nothing(system: System, api: Api) -> None:
    code = ruled_code(api)
    body: Json = {
        "scenario": "ALL",
        "order": {"amount": 8000, "metadata": {"channel": "app"}},
        "options": {"explain": True},
    }
    [offered] = api.must("POST", "/v1/qualifications", body)["redeemables"]["data"]
    assert offered["id"] == code
    assert offered["explanation"]["rules"][0]["rules"]["1"]["input"] == 8000
    wrong = api.call("POST", "/v1/qualifications", {**body, "options": {"explain": "yes"}})
    assert wrong.status == 400
    assert "options.explain" in wrong.json["details"]
    key = api.made["client_side_key"]
    browser = Api(
        system.env["TESSERA_URL"],
        {
            "X-Client-Application-Id": key["app_id"],
            "X-Client-Token": key["app_token"],
            "Origin": "https://shop.example",
        },
        api.project_id,
    )
    for path, sent in (
        ("/client/v1/qualifications", body),
        (
            "/client/v1/validations",
            {"redeemables": [{"object": "voucher", "id": code}], "options": {"explain": True}},
        ),
    ):
        refused = browser.call("POST", path, sent)
        assert (refused.status, refused.json["details"]) == (
            400,
            "options.explain: is not answered client-side",
        )
