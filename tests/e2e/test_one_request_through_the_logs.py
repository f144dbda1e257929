"""One id from the HTTP answer to the webhook: in the logs of every service that had to do with it."""

import json
import uuid
from typing import Any

import pytest

from tests.system import DIRECTORY, Api, System, cart, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def _lines(service: str, correlation_id: str) -> list[dict[str, Any]]:
    path = DIRECTORY / "log" / f"{service}.log"
    found = [line for line in path.read_text().splitlines() if correlation_id in line]
    return [json.loads(line) for line in found]


def _handled(service: str, correlation_id: str) -> dict[str, dict[str, Any]]:
    return {
        line["type"]: line
        for line in _lines(service, correlation_id)
        if line["event"] == "handled" and line["correlation_id"] == correlation_id
    }


def test_a_redemption_is_found_in_four_services(system: System, api: Api) -> None:
    code = api.voucher(quantity=1)
    answer = api.call("POST", "/v1/redemptions", cart(code), key=uuid.uuid4().hex)
    assert answer.status == 200, answer.json
    request_id = answer.headers["x-request-id"]
    assert [line["event"] for line in _lines("gateway", request_id)].count("answered") == 1
    for service, kind, outcome in (
        ("engine", "engine.plan-redemption.v1", "forwarded"),
        ("ledger", "ledger.redeem.v1", "ok"),
        ("webhooks", "ledger.redemption-succeeded.v1", "ok"),
    ):
        line = wait_until(
            lambda: _handled(service, request_id).get(kind),  # noqa: B023 - waited for here
            f"{kind} in the log of {service}",
        )
        assert line["outcome"] == outcome
        assert line["project"] == api.project_id
        assert line["service"] == service
        assert line["ms"] >= 0
    refused = api.redeem(code)
    assert refused.status == 400
    line = _handled("ledger", refused.headers["x-request-id"])["ledger.redeem.v1"]
    assert (line["outcome"], line["error"]) == ("refused", "quantity_exceeded")
