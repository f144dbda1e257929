"""Bad input at every operation of the running system: an error in the API's shape, never a 500.

Bodies are drawn from each operation's own fields by hypothesis (bounded, derandomized: the same run
every time), broken ones are written down. Afterwards nothing is half-done: audit clean, no dead letter.
"""

import json
import uuid
from collections import Counter
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gateway.operations
from contracts import topics
from gateway import limits
from gateway.http import A_FORM, CLIENT, MANAGEMENT, OPERATIONS, Operation
from tests.chaos.kit import rows, say
from tests.chaos.twins import HEADERS, PARAMETER, Twin
from tests.system import Api, Json, System, cart

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

assert gateway.operations
WRITING = [one for one in OPERATIONS if one.method in {"POST", "PUT"}]
BODIES_PER_OPERATION = 5
"""Drawn bodies; ``make chaos`` draws ten times as many."""
DEEP = b'{"metadata": ' + b'{"a": ' * 100 + b"1" + b"}" * 101
BROKEN: dict[str, tuple[bytes, set[int]]] = {
    "cut off": (b'{"name": "x', {400}),
    "no JSON": (b"\xff\xfe{}", {400}),
    "a list": (b"[1, 2]", {400}),
    "a word": (b'"text"', {400}),
    "not a number": (b'{"metadata": {"a": NaN}}', {400}),
    "a number without end": (b'{"metadata": {"a": 1' + b"0" * 400 + b"}}", {400}),
    "nested deeply": (DEEP, {400}),
    "nested without end": (b"[" * 200_000, {400}),
    "a NUL": (b'{"metadata": {"a": "x\\u0000y"}, "name": "a\\u0000"}', {400}),
    "half a surrogate": (b'{"name": "\\ud800"}', {400}),
    "too large": (b'{"name": "' + b"x" * limits.BODY_BYTES_MAX + b'"}', {413}),
}


def _broken(operation: Operation) -> dict[str, tuple[bytes, set[int]]]:
    """Bulk operations take larger bodies; a form is no JSON to begin with."""
    if not operation.is_bulk:
        return BROKEN
    large = b'["' + b"x" * limits.BULK_BODY_BYTES_MAX + b'"]'
    broken = {**BROKEN, "too large": (large, {413})}
    if operation.takes != A_FORM:
        return broken
    return {name: (content, {413, 415}) for name, (content, _) in broken.items()}


class Seen:
    """Statuses by kind of call."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()

    def take(self, where: str, response: Any) -> None:
        """Check that it is an answer of the API's: 2xx, or an error in its shape, never a 500."""
        self.statuses[f"{response.status_code // 100}xx"] += 1
        assert response.status_code < 500, f"{where}: {response.status_code} {response.text[:500]}"
        if response.status_code >= 400:
            told = response.json()
            assert told["code"] == response.status_code, f"{where}: {told}"
            assert told["key"] and told["message"] and told["request_id"], f"{where}: {told}"
            assert response.headers["x-request-id"] == told["request_id"]


@pytest.fixture(scope="module")
def twin(system: System) -> Twin:
    from demo.outside import HookReceiver

    receiver = HookReceiver()
    receiver.start()
    return Twin(system, uuid.uuid4().hex[:6], receiver)


@pytest.fixture(autouse=True)
def nothing_half_done(system: System) -> object:
    letters = _letters(system)
    yield
    assert _letters(system) == letters, "bad input became a dead letter"
    assert "audit: clean" in system.audit()


def _letters(system: System) -> dict[str, int]:
    sql = "SELECT count(*) AS n FROM {}.dead_letters"
    return {service: rows(system, sql.format(service))[0]["n"] for service in topics.SERVICES}


def test_broken_bodies_at_every_operation(system: System, twin: Twin) -> None:
    seen = Seen()
    for operation in WRITING:
        path = _unknown_path(operation)
        for name, (content, expected) in _broken(operation).items():
            response = _send(system, twin, operation, path, content)
            where = f"{name} to {operation.name}"
            seen.take(where, response)
            assert response.status_code in expected, f"{where}: {response.text[:300]}"
        response = _send(system, twin, operation, path, b"{}", {"Content-Type": "text/xml"})
        assert response.status_code == 415, f"{operation.name}: {response.text[:300]}"
    say(f"broken bodies: {sum(seen.statuses.values())} calls, {dict(seen.statuses)}")


def test_odd_paths_and_queries_at_every_operation(system: System, twin: Twin) -> None:
    seen = Seen()
    for operation in OPERATIONS:
        for odd in ("unknown", "%00", "%2F..%2F", "%F0%9F%8E%81", "x" * 3000, "%ff%fe", "' OR 1=1"):
            path = _with(operation, quote(odd, safe="%"))
            if PARAMETER.search(operation.path):
                seen.take(
                    f"{operation.name} {odd:.20}", _send(system, twin, operation, path, b"{}")
                )
        if operation.method == "GET":
            for query in ODD_QUERIES:
                response = _send(system, twin, operation, f"{twin.path(operation)}?{query}", None)
                seen.take(f"{operation.name}?{query:.40}", response)
    say(f"odd paths and queries: {sum(seen.statuses.values())} calls, {dict(seen.statuses)}")
    assert seen.statuses["4xx"] > 200


ODD_QUERIES = (
    "limit=-1",
    "limit=99999999999999999999",
    "limit=x",
    "page=0",
    "page=1e9",
    "order=nobody;DROP",
    "order=-",
    "created_at[before]=yesterday",
    "created_at[after]=0001-01-01T00:00:00%2B23:59",
    "filters[metadata.a][conditions][$is][0]=%00",
    "filters[created_at][conditions][$before][0]=x",
    "filters[x][conditions][$nothing][0]=1",
    "filters[junction]=xor",
    "filters=1&filters[]=2",
    "starting_after=%ff%00",
    "expand[]=everything",
    "campaign_id='",
    "customer=%F0%9F%8E%81",
    "&".join(f"a{n}=1" for n in range(300)),
    "%",
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2**31, 2**53, 2**63 - 1, -(2**63), 10**15, 0.1, 1e308, -0.0]),
    st.sampled_from(
        ["", " ", "x" * 5000, "2026-01-01", "9999-12-31T23:59:59Z", "cust_", "PERCENT"]
    ),
    TEXT,
)
NAMES = st.sampled_from(
    [
        *("id", "source_id", "type", "effect", "amount_off", "percent_off", "quantity", "amount"),
        *("price", "items", "metadata", "customer", "order", "object", "name", "conditions", "$is"),
        *(
            "logic",
            "1",
            "rules",
            "count",
            "balance",
            "unit_off",
            "key",
            "ttl",
            "included",
            "trigger",
        ),
    ]
)
JSON = st.recursive(
    ODD,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, TEXT), inner, max_size=4)
    ),
    max_leaves=8,
)


def _bodies(operation: Operation, twin: Twin) -> st.SearchStrategy[Json]:
    """Draw bodies of the operation's own fields: some sound, some odd, some left out."""
    sound = twin.body(operation)
    fields = {
        name: st.one_of(st.just(value), JSON, _broken_inside(value))
        for name, value in sound.items()
    }
    return st.fixed_dictionaries({}, optional=fields)


def _broken_inside(value: Any) -> st.SearchStrategy[Any]:
    """Draw the value with something odd inside, so that what reads it gets past its first check."""
    if isinstance(value, dict):
        return st.dictionaries(NAMES, JSON, max_size=4).map(lambda more: {**value, **more})
    if isinstance(value, list) and value:
        return st.lists(_broken_inside(value[0]), min_size=1, max_size=3)
    return JSON


def test_drawn_bodies_at_every_operation(system: System, twin: Twin) -> None:
    seen = Seen()
    for operation in WRITING:
        _draw(system, twin, operation, seen)
    say(f"drawn bodies: {sum(seen.statuses.values())} calls, {dict(seen.statuses)}")
    assert seen.statuses["2xx"] > 5, "some bodies are sound"
    assert seen.statuses["4xx"] > 50


def _draw(system: System, twin: Twin, operation: Operation, seen: Seen) -> None:
    @settings(
        max_examples=BODIES_PER_OPERATION,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(_bodies(operation, twin))
    def check(body: Json) -> None:
        path = twin.path(operation)
        response = _send(system, twin, operation, path, json.dumps(body).encode())
        seen.take(f"{operation.name} {json.dumps(body)[:1500]}", response)

    check()


def test_a_cart_over_every_limit_is_refused_and_a_large_one_priced(api: Api) -> None:
    code = api.voucher()
    line = {"product_id": "p", "quantity": 1, "price": 100}
    over = cart(*[code] * (limits.REDEEMABLES_MAX + 1))
    assert api.call("POST", "/v1/redemptions", over).status == 400
    huge = cart(code)
    huge["order"]["items"] = [{**line, "quantity": 10**18}]
    answer = api.call("POST", "/v1/validations", huge)
    assert answer.status == 400, answer.json
    many = cart(code)
    many["order"]["items"] = [line] * 5_000
    assert api.call("POST", "/v1/validations", many).status == 400


def _with(operation: Operation, value: str) -> str:
    return PARAMETER.sub(lambda _: value, operation.path)


def _unknown_path(operation: Operation) -> str:
    return _with(operation, "unknown")


def _send(
    system: System,
    twin: Twin,
    operation: Operation,
    path: str,
    content: bytes | None,
    more: dict[str, str] | None = None,
) -> Any:
    if operation.auth == MANAGEMENT:
        pair = (system.env["TESSERA_MANAGEMENT_ID"], system.env["TESSERA_MANAGEMENT_TOKEN"])
    else:
        pair = twin.key(operation.auth)
    headers = dict(zip(HEADERS[operation.auth], pair, strict=True))
    if operation.auth == CLIENT:
        headers["Origin"] = "https://shop.example"
    if operation.method in {"GET", "DELETE"}:
        content = None
    client = twin.api._client
    headers = {"Content-Type": "application/json", **headers, **(more or {})}
    request = client.build_request(operation.method, path, content=content, headers=headers)
    if operation.auth != "server":
        for name in HEADERS["server"]:
            request.headers.pop(name, None)
    return client.send(request)
