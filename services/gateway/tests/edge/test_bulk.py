"""Lists of many things and CSV files: how they are read, cut into parts, and refused."""

from typing import Any

import orjson
import pytest

from contracts.messages import Reply
from gateway import limits
from gateway.http import A_FORM, A_LIST, OPERATIONS
from gateway.imports import read_csv
from gateway.operations.bulk import CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SKU_COLUMNS
from services.gateway.tests.edge.front import Front, assert_refused

LISTS = [one.path for one in OPERATIONS if one.takes == A_LIST]
FORMS = [one.path for one in OPERATIONS if one.takes == A_FORM]
TYPE = "multipart/form-data; boundary=line"


def form(content: bytes, name: str = "file") -> bytes:
    head = (
        f'--line\r\nContent-Disposition: form-data; name="{name}"; filename="../../x.csv"\r\n\r\n'
    )
    return head.encode() + content + b"\r\n--line--\r\n"


def played(front: Front) -> None:
    def taken(message: Any) -> Reply:
        return Reply(body={"async_action_id": message.action_id})

    for kind in (
        "catalog.change-products",
        "customers.change-customers",
        "campaigns.change-vouchers",
    ):
        front.services.play[f"{kind}-in-bulk.v1"] = taken


@pytest.mark.integration
async def test_a_list_goes_out_in_parts_under_one_action(front: Front) -> None:
    played(front)
    keys = await front.project()
    body = [{"source_id": f"p{n}", "price": n} for n in range(450)]
    answer = await front.send(
        "POST", "/v1/products/bulk/async", keys.server, raw=orjson.dumps(body)
    )
    assert answer.status == 202
    parts = [one.message for one in front.services.asked]
    assert [len(one.elements) for one in parts] == [200, 200, 50]
    assert [(one.part, one.is_last) for one in parts] == [(0, False), (1, False), (2, True)]
    assert {one.action_id for one in parts} == {answer.json["async_action_id"]}
    assert len({(one.topic, one.key) for one in front.services.asked}) == 1


@pytest.mark.integration
async def test_T15_a_file_is_read_line_by_line(front: Front) -> None:
    played(front)
    keys = await front.project()
    content = b'\xef\xbb\xbfSource_id,Name,Price,attributes,colour\r\n\r\nmug,"Mug, big",1250,"a,b",red\r\n'
    answer = await front.send(
        "POST", "/v1/products/importCSV", keys.server, raw=form(content), Content_Type=TYPE
    )
    assert answer.status == 200
    [part] = [one.message for one in front.services.asked]
    [element] = part.elements
    assert (part.kind, element.row) == ("PRODUCTS.IMPORT_CSV", 3)
    assert element.body == {
        "source_id": "mug",
        "name": "Mug, big",
        "price": 1250,
        "attributes": ["a", "b"],
        "metadata": {"colour": "red"},
    }


@pytest.mark.integration
async def test_T15_what_is_no_csv_is_refused_by_its_line(front: Front) -> None:
    keys = await front.project()
    large = form(b"x" * limits.BULK_BODY_BYTES_MAX)
    for path in FORMS:
        for raw, told in (
            (form(b""), "file: line 1 must name source_id"),
            (form(b"name\nx\n"), "file: line 1 must name source_id"),
            (form(b"source_id\n"), "file: must have a line"),
            (form(b"source_id,source_id\na,b\n"), "file: line 1 names source_id twice"),
            (form(b"source_id,name\na,b\nc\n"), "file: line 3 has 1 cells, the header 2"),
            (form(b"source_id,\na,b\n"), "file: line 1 has a column whose name is empty"),
            (form(b'source_id\n"a" b\n'), "file: line 2 is no CSV"),
            (form(b'source_id\n"' + b"x" * 200_000 + b'"\n'), "file: line"),
            (form(b"source_id\n\xff\n"), "file: must be UTF-8"),
            (form(b"source_id\n\x00\n"), "file: must not contain the character NUL"),
            (form(b"x", name="other"), "file: is required"),
            (b"", "file: is required"),
            (b"--line\r\nnothing", "The body is no form"),
            (b"nonsense", "The body is no form"),
            (form(b"x") + b"--line", "The body is no form"),
        ):
            answer = await front.send("POST", path, keys.server, raw=raw, Content_Type=TYPE)
            assert_refused(answer, 400, "invalid_payload", told)
        answer = await front.send("POST", path, keys.server, raw=large, Content_Type=TYPE)
        assert_refused(answer, 413, "payload_too_large", str(limits.BULK_BODY_BYTES_MAX))
        answer = await front.send("POST", path, keys.server, raw=b"{}")
        assert_refused(answer, 415, "unsupported_media_type", "multipart/form-data")
    assert front.services.asked == []


@pytest.mark.integration
async def test_a_wrong_list_is_refused_by_its_element(front: Front) -> None:
    keys = await front.project()
    for path in LISTS:
        name = "code" if "vouchers" in path else "source_id"
        good = {name: "x", "metadata": {}}
        for body, told in (
            ({}, "must be a list"),
            ([], "must be a list"),
            (["x"], "[0]: must be an object"),
            ([good, {"metadata": {}}], f"[1].{name}: is required"),
            ([{**good, "metadata": 1}], "[0].metadata: must be an object"),
            ([{**good, name: ""}], f"[0].{name}: must not be empty"),
            ([good] * (limits.BULK_ELEMENTS_MAX + 1), "must be a list of 1 to"),
        ):
            answer = await front.send("POST", path, keys.server, raw=orjson.dumps(body))
            assert_refused(answer, 400, "invalid_payload", told)
    for path in ("/v1/products/metadata/async", "/v1/vouchers/metadata/async"):
        body = {"source_ids": [], "codes": [], "metadata": {}}
        answer = await front.send("POST", path, keys.server, raw=orjson.dumps(body))
        assert_refused(answer, 400, "invalid_payload", "must not be empty")
    assert front.services.asked == []


def test_cells_become_properties() -> None:
    [sku] = read_csv(
        "product_id,sku,source_id,price,image_url,attributes\nmug,XL,m-xl,12.5,,size:XL\n",
        SKU_COLUMNS,
        "source_id",
    )
    assert sku.body == {
        "product_id": "mug",
        "sku": "XL",
        "source_id": "m-xl",
        "price": "12.5",
        "attributes": {"size": "XL"},
    }
    [ann] = read_csv(
        "Name,Source_id,Address_line_1,Postal Code,vip\nAnn,a,Main St 1,0815,yes\n",
        CUSTOMER_COLUMNS,
        "source_id",
    )
    assert ann.body == {
        "name": "Ann",
        "source_id": "a",
        "address": {"line_1": "Main St 1", "postal_code": "0815"},
        "metadata": {"vip": "yes"},
    }


def test_lines_are_numbered_as_an_editor_does() -> None:
    file = 'source_id,name\na,"two\nlines"\n\nb,x\n'
    assert [one.row for one in read_csv(file, PRODUCT_COLUMNS, "source_id")] == [3, 5]
