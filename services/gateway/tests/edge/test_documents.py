"""The API's own documentation is current, complete, and served without anybody else's help."""

import json
import re

import pytest

import gateway.operations  # noqa: F401 - registers all operations
from gateway import openapi
from gateway.http import OPERATIONS
from runtime.testing.servers import REPOSITORY
from services.gateway.tests.edge.front import Front


def test_the_document_is_current() -> None:
    stored = json.loads((REPOSITORY / openapi.TARGET).read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(openapi.document())), "run `make docs`"


def test_every_operation_is_documented_once() -> None:
    paths = openapi.document()["paths"]
    documented = {(method.upper(), path) for path, found in paths.items() for method in found}
    assert documented == {(one.method, one.path) for one in OPERATIONS}
    assert len(documented) == len(OPERATIONS)
    names = [found["operationId"] for methods in paths.values() for found in methods.values()]
    assert len(set(names)) == len(names)


def test_what_must_be_sent_is_told() -> None:
    paths = openapi.document()["paths"]
    body = paths["/v1/redemptions"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["required"] == ["redeemables"]
    assert body["schema"]["properties"]["redeemables"]["maxItems"] == 30
    codes = set(paths["/v1/campaigns/{campaignId}/vouchers"]["post"]["responses"])
    assert {"200", "400", "401", "404", "409", "413", "429", "503"} <= codes


@pytest.mark.integration
async def test_the_page_and_its_files_come_from_here(front: Front) -> None:
    page = await front.send("GET", "/docs")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert re.findall(rb"https?://", page.content) == []
    for name in re.findall(rb'(?:href|src)="([^"]+)"', page.content):
        asset = await front.send("GET", name.decode())
        assert asset.status == 200
        assert len(asset.content) > 1000
    document = await front.send("GET", "/openapi.json")
    assert document.json["info"]["title"] == "Tessera"
