"""Schemathesis over our own OpenAPI document: requests drawn for every operation, sound and broken ones.

``docs/openapi/tessera.json`` promises how requests and answers look; here a program that knows nothing
of Tessera but this document holds it to that. Sound: path, query, header and body are of the schemas,
often with the project's own ids and values grafted in, so that they get past the first checks. Broken:
something is of no schema: types, lengths, words, what is required, content types, methods. Every answer
has a documented status, the documented type and shape, its headers; a refusal names what it refuses;
nothing is a fault or takes for ever. The gate draws few, the same every time; the full form draws many.
"""

import os
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.specs.openapi import checks

from demo.outside import HookReceiver
from gateway.http import CLIENT, MANAGEMENT, OPERATIONS, Operation
from gateway.openapi import document
from gateway.query import Listing
from tests.chaos.kit import say
from tests.chaos.twins import HEADERS, Twin
from tests.support.openapi import assert_valid
from tests.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.config.update(base_url="http://unused")
SCHEMA.config.generation.update(with_security_parameters=False)
BY_NAME = {one.name: one for one in OPERATIONS}
NAMES = sorted(BY_NAME)
SOUND, BROKEN = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
GATE_BOUNDARIES = 4
GATE_DRAWN = 3
FULL_BOUNDARIES = 150
FULL_DRAWN = 40
SEED = int(os.environ.get("SCHEMATHESIS_SEED", "1"))
ANSWER_S = 30
"""A call that takes longer is taken for one that never ends."""
MAKES_WHAT_ITS_PATH_NAMES = {
    "POST /v1/vouchers/{code}",
    "POST /v1/campaigns/{campaignId}/vouchers/{code}",
}
WHOLE = ("The body", "[", "The query", "X-Tessera-Positions")
"""What may be refused as a whole: the body, one of its elements, the query."""
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
    checks.negative_data_rejection,
]


class Shop:
    """A project with one of everything, spares of what an operation takes apart, and its keys."""

    def __init__(self, system: System) -> None:
        receiver = HookReceiver()
        receiver.start()
        self.twin = Twin(system, uuid.uuid4().hex[:6], receiver)
        self.url = system.env["TESSERA_URL"]
        self.management = (
            system.env["TESSERA_MANAGEMENT_ID"],
            system.env["TESSERA_MANAGEMENT_TOKEN"],
        )
        self.spares = {
            "PUT /management/v1/projects/{projectId}": system.project().project_id,
            "DELETE /management/v1/projects/{projectId}": system.project().project_id,
        }
        self.session = requests.Session()
        self.statuses: Counter[str] = Counter()

    def headers(self, operation: Operation) -> dict[str, str]:
        """Return the keys that the operation asks for."""
        pair = self.management if operation.auth == MANAGEMENT else self.twin.key(operation.auth)
        headers = dict(zip(HEADERS[operation.auth], pair, strict=True))
        return (
            {**headers, "Origin": "https://shop.example"} if operation.auth == CLIENT else headers
        )

    def known(self, operation: Operation, parameter: str) -> str:
        """Return the id of something that exists, to stand in the path."""
        if parameter == "projectId":
            return self.spares.get(operation.name, self.twin.api.project_id)
        return self.twin.id_of(parameter, operation.path)

    def take(self, case: Case) -> None:
        """Send the request and check what comes back."""
        operation = BY_NAME[case.operation.label]
        response = case.call(
            base_url=self.url,
            session=self.session,
            headers=self.headers(operation),
            timeout=ANSWER_S,
        )
        self.statuses[f"{case.meta.generation.mode.value} {response.status_code}"] += 1
        case.validate_response(
            response, checks=[no_fault, names_what_it_refuses, *CHECKS], headers={"x": "y"}
        )
        if 200 <= response.status_code < 300 and response.content:
            path = response.request.path_url
            assert_valid(str(response.request.method), path, response.status_code, response.json())


def no_fault(ctx: Any, response: Response, case: Case) -> None:
    """Nothing breaks the server; what it cannot decide it says so, and when to ask again."""
    del ctx, case
    assert response.status_code < 500 or (
        response.status_code == 503 and "retry-after" in response.headers
    ), f"{response.status_code}: {response.text[:500]}"


def names_what_it_refuses(ctx: Any, response: Response, case: Case) -> None:
    """A refusal has the API's shape; one of a malformed request says which part of it."""
    del ctx
    if response.status_code < 400 or case.method == "HEAD":
        return
    told = response.json()
    assert told["code"] == response.status_code, told
    assert told["key"] and told["message"] and told["request_id"], told
    assert response.headers["x-request-id"] == [told["request_id"]], told
    if told["key"] in {"invalid_payload", "invalid_query_params", "invalid_header"}:
        operation = BY_NAME[case.operation.label]
        named = told.get("details", "") + told["message"]
        asked = [name.partition("[")[0] for name in dict(case.query or {})]
        parameters = operation.query.parameters
        named_in_path = re.findall(r"\w+", operation.path)
        sent = list(case.body) if isinstance(case.body, dict) else []
        names = [*operation.fields, *sent, *asked, *parameters, *named_in_path, *WHOLE]
        assert any(str(name) in named for name in names), f"names no property: {told}"


@pytest.fixture(scope="module")
def shop(system: System) -> Iterator[Shop]:
    made = Shop(system)
    yield made
    say(f"schemathesis: {dict(sorted(made.statuses.items()))}")


def _cases(name: str, mode: GenerationMode) -> Iterator[Case]:
    """Yield the boundaries of each parameter and property, one after the other."""
    found = SCHEMA.find_operation_by_label(name)
    config = SCHEMA.config.generation_for(operation=found, phase="coverage")
    yield from SCHEMA.iter_coverage_cases(found, generation_modes=[mode], generation_config=config)


def _place(shop: Shop, case: Case) -> None:
    """Let a sound path name something that exists."""
    operation = BY_NAME[case.operation.label]
    case.headers.pop("Idempotency-Key", None)  # Else all but the first would be the same request.
    for parameter in list(case.path_parameters or {}):
        is_new = parameter == "code" and operation.name in MAKES_WHAT_ITS_PATH_NAMES
        if not is_new:
            case.path_parameters[parameter] = shop.known(operation, parameter)


def _graft(shop: Shop, case: Case, data: st.DataObject) -> None:
    """Put sound values among the drawn ones."""
    operation = BY_NAME[case.operation.label]
    if data.draw(st.integers(0, 3), "path") > 0:
        _place(shop, case)
    if data.draw(st.integers(0, 7), "positions") > 0:
        case.headers.pop("X-Tessera-Positions", None)
    if isinstance(case.body, dict):
        for name, value in shop.twin.body(operation).items():
            if data.draw(st.integers(0, 2), name) == 0:
                case.body[name] = value


@pytest.mark.parametrize("name", NAMES)
def test_boundaries(shop: Shop, name: str) -> None:
    _take_boundaries(shop, name, GATE_BOUNDARIES)


@pytest.mark.parametrize("name", NAMES)
def test_drawn(shop: Shop, name: str) -> None:
    _take_drawn(shop, name, GATE_DRAWN)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_boundaries_in_full(shop: Shop, name: str) -> None:
    _take_boundaries(shop, name, FULL_BOUNDARIES)


@pytest.mark.full
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", NAMES)
def test_drawn_in_full(shop: Shop, name: str) -> None:
    _take_drawn(shop, name, FULL_DRAWN)


def _take_boundaries(shop: Shop, name: str, count: int) -> None:
    for mode in (SOUND, BROKEN):
        for case in islice(_cases(name, mode), count):
            if mode == SOUND or not case.meta.is_negative_at("path"):
                _place(shop, case)
            shop.take(case)


def _take_drawn(shop: Shop, name: str, count: int) -> None:
    _take_drawn_of(shop, name, SOUND, count)
    if _may_be_broken(BY_NAME[name]):
        _take_drawn_of(shop, name, BROKEN, count)


def _may_be_broken(operation: Operation) -> bool:
    """Any text may stand in a path, and no parameter of a query is of the wrong type but by its text."""
    is_list = isinstance(operation.query, Listing)
    return operation.method != "GET" or is_list or bool(operation.query.parameters)


def _take_drawn_of(shop: Shop, name: str, mode: GenerationMode, count: int) -> None:
    operation = SCHEMA.find_operation_by_label(name)

    @seed(SEED)
    @settings(
        max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def check(case: Case, data: st.DataObject) -> None:
        if mode == SOUND:
            _graft(shop, case, data)
        shop.take(case)

    check()
