"""Whatever is sent gets an answer in the API's shape, never a fault, and reaches no service."""

import asyncio
import gzip
import re
from typing import Any

import orjson
import pytest

from contracts.messages import Reply
from gateway import limits
from gateway.http import CLIENT, MANAGEMENT, OPERATIONS, SERVER, Operation
from services.gateway.tests.edge.front import Front, Keys, assert_refused

pytestmark = pytest.mark.integration

WRITES = [one for one in OPERATIONS if one.fields and not one.is_bulk]
NOT_JSON = [
    b"{",
    b'{"name": }',
    b"nonsense",
    b'{"name": NaN}',
    b'{"name": Infinity}',
    b'{"name": 1e999}',
    b'{"name": "\\ud800"}',
    b'{"name": "\xff\xfe"}',
    b'{"name": "a\x00b"}',
    b'{"name": ' + b"9" * 500 + b"}",
    b"{'name': 'x'}",
    b"\xef\xbb\xbf{}",
    b"[" * 100_000,
    b'{"a":' * 100_000,
]


async def headers_of(front: Front, keys: Keys, one: Operation) -> dict[str, str]:
    if one.auth == MANAGEMENT:
        return await front.management()
    return {**keys.client, "Origin": "https://shop.example"} if one.auth == CLIENT else keys.server


def path_of(one: Operation, project_id: str) -> str:
    path = one.path.replace("{projectId}", project_id)
    return re.sub(r"\{\w+\}", "unknown", path)


async def test_what_is_no_json_is_refused(front: Front) -> None:
    keys = await front.project()
    for raw in NOT_JSON:
        for path in ("/v1/customers", "/v1/redemptions"):
            answer = await front.send("POST", path, keys.server, raw=raw)
            assert_refused(answer, 400, "invalid_payload", "The body is")
    assert front.services.asked == []


async def test_a_body_that_is_no_object_is_refused(front: Front) -> None:
    keys = await front.project()
    for raw in (b"[]", b'"text"', b"1", b"null", b"true", b'[{"name": "x"}]'):
        answer = await front.send("POST", "/v1/customers", keys.server, raw=raw)
        assert_refused(answer, 400, "invalid_payload", "must be a JSON object")
    assert front.services.asked == []


async def test_size_and_depth_are_limited(front: Front) -> None:
    keys = await front.project()
    large = orjson.dumps({"name": "x" * limits.BODY_BYTES_MAX})
    answer = await front.send("POST", "/v1/customers", keys.server, raw=large)
    assert_refused(answer, 413, "payload_too_large", str(limits.BODY_BYTES_MAX))
    answer = await front.send(
        "POST", "/v1/customers", keys.server, raw=b"{}", Content_Length="9" * 400
    )
    assert_refused(answer, 413, "payload_too_large")
    deep = b'{"metadata":' + b"[" * limits.BODY_DEPTH_MAX + b"]" * limits.BODY_DEPTH_MAX + b"}"
    answer = await front.send("POST", "/v1/customers", keys.server, raw=deep)
    assert_refused(answer, 400, "invalid_payload", "levels deep")
    brackets = orjson.dumps({"name": '"[' * 5000, "metadata": {"a": "}{"}})
    answer = await front.send("POST", "/v1/customers", keys.server, raw=brackets)
    assert_refused(answer, 503, "service_unavailable")
    assert [one.message.TYPE for one in front.services.asked] == ["customers.upsert-customer.v1"]


async def test_a_crowd_is_told_to_come_again(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = await front.project()
    monkeypatch.setattr(limits, "REQUESTS_IN_FLIGHT_MAX", 0)
    answer = await front.send("GET", "/v1/customers", keys.server)
    assert_refused(answer, 503, "service_unavailable", "repeat this one")
    assert answer.headers["retry-after"] == "1"
    monkeypatch.setattr(limits, "REQUESTS_IN_FLIGHT_MAX", 1)
    assert (await front.send("GET", "/v1/customers", keys.server)).status == 200


async def test_what_hangs_is_answered_in_time(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = await front.project()

    async def hangs(*_: Any, **__: Any) -> Reply:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    monkeypatch.setattr(front.services, "call", hangs)
    monkeypatch.setattr("gateway.limits.ANSWER_S_MAX", 0.1)
    answer = await front.send("POST", "/v1/customers", keys.server, {"source_id": "a"}, key="k")
    assert_refused(answer, 503, "service_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert "same key" in answer.json["details"]


async def test_nul_is_refused_wherever_it_stands(front: Front) -> None:
    keys = await front.project()
    for raw, place in (
        (b'{"name": "a\\u0000b"}', "name: "),
        (b'{"a\\u0000": 1}', "The body: "),
        (b'{"metadata": {"a\\u0000": 1}}', "metadata: "),
        (b'{"metadata": {"a": [1, {"b": "\\u0000"}]}}', "metadata.a[1].b: "),
    ):
        answer = await front.send("POST", "/v1/customers", keys.server, raw=raw)
        assert_refused(answer, 400, "invalid_payload", "NUL")
        assert answer.json["details"].startswith(place)
    answer = await front.send("GET", "/v1/customers/a%00b", keys.server)
    assert_refused(answer, 404, "not_found")
    answer = await front.send("GET", "/v1/customers?email=a%00", keys.server)
    assert_refused(answer, 400, "invalid_query_params", "email")
    assert front.services.asked == []
    # An escaped backslash before u0000 is ordinary text.
    answer = await front.send("POST", "/v1/customers", keys.server, raw=b'{"name": "\\\\u0000"}')
    assert_refused(answer, 503, "service_unavailable")


async def test_a_compressed_body_is_not_unpacked(front: Front) -> None:
    keys = await front.project()
    bomb = gzip.compress(b'{"name": "' + b"x" * 50_000_000 + b'"}')
    assert len(bomb) < 100_000
    answer = await front.send("POST", "/v1/customers", keys.server, raw=bomb)
    assert_refused(answer, 400, "invalid_payload", "not JSON")
    assert front.services.asked == []


async def test_other_media_types_are_refused(front: Front) -> None:
    keys = await front.project()
    for media_type in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        answer = await front.send(
            "POST", "/v1/customers", keys.server, raw=b"name=x", Content_Type=media_type
        )
        assert_refused(answer, 415, "unsupported_media_type")
    assert front.services.asked == []


async def test_every_property_of_a_wrong_type_is_named(front: Front) -> None:
    keys = await front.project(client_publish_enabled=True)
    for one in WRITES:
        await wrong_types_are_named(front, keys, one)
    assert front.services.asked == []


async def wrong_types_are_named(front: Front, keys: Keys, one: Operation) -> None:
    headers = await headers_of(front, keys, one)
    path = path_of(one, keys.project_id)
    good = {name: right_value(kind.schema) for name, kind in one.fields.items() if kind.is_required}
    tried = 0
    for name, kind in one.fields.items():
        for value in wrong_values(kind.schema):
            answer = await front.send(one.method, path, headers, {**good, name: value})
            assert_refused(answer, 400, "invalid_payload", name)
            tried += 1
    assert tried >= len([kind for kind in one.fields.values() if kind.schema])


async def test_no_value_of_any_property_is_a_fault(front: Front) -> None:
    keys = await front.project(client_publish_enabled=True)
    for one in WRITES:
        await odd_values_are_answered(front, keys, one)


async def odd_values_are_answered(front: Front, keys: Keys, one: Operation) -> None:
    headers = await headers_of(front, keys, one)
    path = path_of(one, keys.project_id)
    good = {name: right_value(kind.schema) for name, kind in one.fields.items() if kind.is_required}
    for name in one.fields:
        for value in ODD:
            answer = await front.send(one.method, path, headers, {**good, name: value})
            assert answer.status in {200, 400, 404, 409, 503}, (name, value, answer.json)
    for left_out in good:
        body = {name: value for name, value in good.items() if name != left_out}
        answer = await front.send(one.method, path, headers, body)
        assert_refused(answer, 400, "invalid_payload", f"{left_out}: is required")


ODD: list[Any] = [
    None,
    "",
    " ",
    "x" * 70_000,
    "\U0001f389",
    -1,
    0,
    2**53,
    2**63,
    -(2**63),
    10**18,
    1.5,
    -0.0,
    1e308,
    True,
    [],
    [None],
    [[]],
    [{}],
    {},
    {"": None},
    {"id": None, "source_id": None, "name": None},
    {"id": {}, "source_id": [], "name": 1},
    {"id": 5},
    {"$is": ["x"]},
]


def right_value(schema: dict[str, Any]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    by_type = {"string": "EUR", "integer": 1, "boolean": True, "object": {"id": "x"}}
    kind = schema.get("type")
    if kind == "array":
        is_texts = schema["items"].get("type") == "string"
        return ["x"] if is_texts else [{"object": "voucher", "id": "x"}]
    return by_type.get(str(kind), "x")


def wrong_values(schema: dict[str, Any]) -> list[Any]:
    if not schema:
        return []
    found: list[Any] = [5.5]
    kinds = {one["type"] for one in schema.get("anyOf", [schema])}
    found += [value for name, value in SAMPLES.items() if name not in kinds]
    return found + (["nonsense"] if "enum" in schema else [])


SAMPLES = {"string": "text", "integer": 5, "boolean": True, "object": {"a": 1}, "array": [[1]]}


QUERIES = [
    "limit=0",
    "limit=101",
    "limit=-1",
    "limit=x",
    "limit=" + "9" * 5000,
    "limit=%D9%A3",
    "page=0",
    "page=1001",
    "page=" + "9" * 5000,
    "order=name%3Bdrop",
    "order=",
    "nonsense=1",
    "created_at[after]=yesterday",
    "[created_at][before]=9999-99-99",
    "created_at[after]=0001-01-01T00:00:00%2B14:00",
    "filters[created_at][conditions][$after][0]=x",
    "filters[created_at][conditions][$evil][0]=x",
    "filters[nonsense][conditions][$is][0]=x",
    "filters[created_at",
    "filters[junction]=xor",
    "&".join(f"limit={number}" for number in range(300)),
]


async def test_queries_that_cannot_be_read_are_refused(front: Front) -> None:
    keys = await front.project()
    for path in ("/v1/campaigns", "/v1/customers", "/v1/vouchers"):
        for query in QUERIES:
            answer = await front.send("GET", f"{path}?{query}", keys.server)
            assert answer.status == 400, (query, answer.json)
            assert answer.json["key"] in {"invalid_query_params", "page_over_limit"}


async def test_counts_in_queries_are_read_with_care(front: Front) -> None:
    keys = await front.project()
    for count in ("0", "-1", "x", "9" * 5000, "1.5", ""):
        path = f"/v1/campaigns/camp/vouchers?vouchers_count={count}"
        answer = await front.send("POST", path, keys.server, {})
        assert_refused(answer, 400, "invalid_query_params", "vouchers_count")


async def test_unknown_addresses_and_methods(front: Front) -> None:
    keys = await front.project()
    for path in ("/", "/v1", "/v1/nonsense", "/v1/customers/", "/v1/customers/a/b"):
        assert_refused(await front.send("GET", path, keys.server), 404, "not_found")
    for method in ("PUT", "PATCH", "DELETE", "HEAD", "TRACE", "OPTIONS"):
        answer = await front.send(method, "/v1/customers", keys.server)
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, POST"
    odd = await front.send("GET", "/v1/customers/%ff%fe", keys.server)
    assert_refused(odd, 404, "not_found", "customer")


async def test_positions_that_nobody_gave_out_are_refused(front: Front) -> None:
    keys = await front.project()
    far = "ledger/1/" + "9" * 5000
    for text in ("x", "ledger/1", "ledger/a/1", far, "nobody/0/1", "ledger/9999/1", "ledger/1/-1"):
        answer = await front.send("GET", "/v1/customers", keys.server, X_Tessera_Positions=text)
        assert_refused(answer, 400, "invalid_header")


async def test_unknown_and_other_projects_ids(front: Front) -> None:
    mine, other = await front.project(), await front.project()
    management = await front.management()
    path = f"/management/v1/projects/{mine.project_id}x/webhooks"
    body = {"target_url": "https://example.com", "events": ["campaign.created"]}
    answer = await front.send("POST", path, management, body)
    assert_refused(answer, 404, "not_found", "project")
    for path, body in (
        ("/v1/campaigns/camp_x", {"name": "New"}),
        ("/v1/orders/ord_x", {"amount": 1}),
        ("/v1/products/prod_x", {"name": "New"}),
    ):
        assert_refused(await front.send("PUT", path, other.server, body), 404, "not_found")
    assert front.services.asked == []


async def test_too_many_redeemables(front: Front) -> None:
    keys = await front.project()
    one = {"object": "voucher", "id": "x"}
    cases = [
        ([], "redeemables"),
        ([one] * 31, "at most 30"),
        ([one, {"object": "voucher"}], "redeemables[1].id"),
        ([{**one, "id": 5}], "redeemables[0].id"),
        ([{**one, "id": ""}], "redeemables[0].id"),
        (["x"], "redeemables[0]"),
    ]
    for path in ("/v1/validations", "/v1/redemptions"):
        for redeemables, mentions in cases:
            answer = await front.send("POST", path, keys.server, {"redeemables": redeemables})
            assert_refused(answer, 400, "invalid_payload", mentions)
    assert front.services.asked == []


async def test_a_fault_of_ours_tells_nothing(front: Front) -> None:
    keys = await front.project()

    def broken(message: Any) -> Any:
        raise RuntimeError("postgresql://user:secret@host")

    front.services.play["customers.upsert-customer.v1"] = broken
    answer = await front.send("POST", "/v1/customers", keys.server, {"name": "Ann"})
    assert_refused(answer, 500, "internal_error")
    assert b"secret" not in answer.content


def test_every_write_is_covered() -> None:
    assert len(WRITES) >= 25
    assert {one.auth for one in WRITES} == {SERVER, CLIENT, MANAGEMENT}
