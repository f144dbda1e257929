"""Old versions are read as the newest, step by step; nobody registers a step that leads nowhere."""

from typing import ClassVar

import orjson
import pytest

from contracts import upcasting
from contracts.catalog import ProductCreated
from contracts.errors import JsonObject
from contracts.messages import TYPES, Event


class Moved(Event):
    TYPE: ClassVar[str] = "test.moved.v3"
    metres: int
    place: str


def _v1_to_v2(body: JsonObject) -> JsonObject:
    body["metres"] = body.pop("kilometres") * 1000
    return body


def _v2_to_v3(body: JsonObject) -> JsonObject:
    return {**body, "place": "unknown"}


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upcasting, "UPCASTERS", {})
    upcasting.register("test.moved.v1", "test.moved.v2", _v1_to_v2)
    upcasting.register("test.moved.v2", "test.moved.v3", _v2_to_v3)


def test_a_chain_is_followed_to_its_end():
    assert upcasting.newest("test.moved.v1") == "test.moved.v3"
    assert upcasting.read("test.moved.v1", b'{"kilometres":2}') == Moved(
        metres=2000, place="unknown"
    )
    assert upcasting.read("test.moved.v2", '{"metres":5}') == Moved(metres=5, place="unknown")


def test_the_newest_version_is_read_as_it_is_written():
    text = '{"metres":5,"place":"here"}'
    assert upcasting.newest_body("test.moved.v3", text) is text
    assert upcasting.read("test.moved.v3", text) == Moved(metres=5, place="here")


@pytest.mark.parametrize("data", [b"{", b"7", b"null", b"{}", b'{"kilometres":null}', b"\xff"])
def test_a_body_that_is_not_what_its_type_says_is_a_value_error(data):
    with pytest.raises(ValueError):
        upcasting.newest_body("test.moved.v1", data)


def test_an_unknown_type_is_a_key_error():
    with pytest.raises(KeyError):
        upcasting.read("test.moved.v9", b"{}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("test.moved.v1", "test.moved.v2"),  # twice
        ("test.moved.v4", "test.moved.v6"),  # a version left out
        ("test.moved.v4", "test.shifted.v5"),  # another event
        (ProductCreated.TYPE, "catalog.product-created.v2"),  # still written
    ],
)
def test_a_step_that_cannot_be_right_is_refused(old, new):
    assert ProductCreated.TYPE in TYPES
    with pytest.raises(AssertionError):
        upcasting.register(old, new, lambda body: body)


def test_bodies_are_json_again():
    assert orjson.loads(upcasting.newest_body("test.moved.v1", b'{"kilometres":1}')) == {
        "metres": 1000,
        "place": "unknown",
    }
