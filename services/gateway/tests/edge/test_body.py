"""Bodies are read whole or refused: by property against Python's own reader."""

import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidPayload
from gateway import limits
from gateway.body import (
    INTEGER,
    NAME,
    OBJECT,
    TEXT,
    TEXTS,
    kept,
    parse_json,
    read,
    required,
)

TEXTS_OF_ALL_SORTS = st.text(max_size=20) | st.sampled_from(["[", "{", '"', "\\", '\\"[', "\x00"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS_OF_ALL_SORTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS_OF_ALL_SORTS, inner),
    max_leaves=30,
)


def depth_of(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    return 0


@given(VALUES, st.integers(0, 40))
def test_what_python_writes_is_read_unless_it_is_deep_or_has_a_nul(value: Any, more: int) -> None:
    for _ in range(more):
        value = [value, "]}"]
    raw = json.dumps(value, ensure_ascii=bool(more % 2)).encode()
    has_nul = "\x00" in json.dumps(value, ensure_ascii=False).replace("\\u0000", "\x00") and any(
        "\x00" in text for text in texts_of(value)
    )
    if depth_of(value) > limits.BODY_DEPTH_MAX or has_nul:
        with pytest.raises(InvalidPayload):
            parse_json(raw)
    else:
        assert parse_json(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        b'{"amount": 1, "amount": 1000000}',
        b'{"order": {"items": [{"amount": 1, "price": 2.5, "\\u0061mount": 1000000}]}}',
    ],
)
def test_T13_a_name_that_stands_twice_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidPayload, match="amount: stands more than once"):
        parse_json(raw)


def test_the_same_name_in_two_objects_is_read() -> None:
    raw = b'[{"a": {"a": 1}}, {"a": 12345678901234567}, {"\\ud83d\\ude00": -0.5e-3}]'
    assert parse_json(raw) == orjson.loads(raw)


def texts_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for one in value for text in texts_of(one)]
    if isinstance(value, dict):
        return [text for key, one in value.items() for text in (key, *texts_of(one))]
    return []


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        found = parse_json(raw)
    except InvalidPayload:
        return
    orjson.dumps(found)


def test_known_properties_are_kept_and_null_is_told_apart_from_absence() -> None:
    fields = {"name": TEXT, "amount": INTEGER, "metadata": OBJECT, "ids": TEXTS}
    body = {"name": "", "metadata": None, "ids": ["a"], "unknown": 1}
    assert read(body, fields) == {"name": "", "metadata": None, "ids": ["a"]}
    assert read({"amount": 10.0}, fields) == {"amount": 10}


@pytest.mark.parametrize(
    ("fields", "body", "mentions"),
    [
        ({"name": required(NAME)}, {}, "name: is required"),
        ({"name": required(NAME)}, {"name": None}, "name: is required"),
        ({"name": NAME}, {"name": ""}, "name: must not be empty"),
        (kept({"name": NAME}, "name"), {"name": None}, "name: must not be null"),
        ({"amount": INTEGER}, {"amount": True}, "amount: must be an integer"),
        ({"amount": INTEGER}, {"amount": 2**60}, "amount: must be from"),
        ({"ids": TEXTS}, {"ids": ["a", 1]}, "ids[1]: must be a string"),
        ({"ids": TEXTS}, {"ids": ["a"] * 10_001}, "ids: must have at most 10000 elements"),
        ({"name": TEXT}, {"name": "x" * 65_537}, "name: must have at most 65536 characters"),
    ],
)
def test_refusals_name_the_property(fields: Any, body: Any, mentions: str) -> None:
    with pytest.raises(InvalidPayload, match=re.escape(mentions)):
        read(body, fields)
