"""Reading JSON bodies: right values are kept, wrong ones are refused by name."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import payload
from contracts.errors import InvalidPayload

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)
READERS = {
    "text": payload.text(10),
    "pattern": payload.text(10, pattern="[a-z]+", meaning="letters"),
    "number": payload.whole_number(0, 100),
    "word": payload.one_of("a", "b"),
    "words": payload.list_of(payload.text(3), 2),
    "body": payload.object_of({"inner": payload.text(3)}),
    "flag": payload.boolean,
    "day": payload.calendar_date,
    "moment": payload.instant,
    "metadata": payload.metadata,
}


@given(st.sampled_from(sorted(READERS)), JSON)
def test_any_json_is_read_or_refused_by_name(name, value):
    try:
        READERS[name](name, value)
    except InvalidPayload as error:
        refusal = error
    else:
        return
    assert refusal.prop is not None
    assert refusal.prop.startswith(name)
    assert refusal.details is not None
    assert refusal.details.startswith(f"{refusal.prop}: must ")


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("text", "x" * 10, "x" * 10),
        ("number", 100, 100),
        ("number", 7.0, 7),
        ("word", "b", "b"),
        ("words", ["abc", ""], ["abc", ""]),
        ("body", {"inner": "abc", "other": 1}, {"inner": "abc"}),
        ("flag", False, False),
        ("day", "2026-02-28T10:00:00Z", "2026-02-28"),
        ("metadata", None, {}),
        ("metadata", {"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    ],
)
def test_right_values_are_kept(name, value, kept):
    read = READERS[name](name, value)
    assert read == kept
    assert type(read) is type(kept)


@pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        ("text", "x" * 11, "text"),
        ("text", "a\x00", "text"),
        ("text", "\ud800", "text"),
        ("pattern", "ab\n", "pattern"),
        ("number", 101, "number"),
        ("number", -1, "number"),
        ("number", True, "number"),
        ("number", math.nan, "number"),
        ("number", math.inf, "number"),
        ("number", "7", "number"),
        ("word", ["a"], "word"),
        ("words", ["a", "long!"], "words[1]"),
        ("words", ["a"] * 3, "words"),
        ("body", {"inner": 1}, "body.inner"),
        ("flag", 1, "flag"),
        ("day", "2026-02-30", "day"),
        ("moment", "noon", "moment"),
        ("moment", "0001-01-01T00:00:00+23:00", "moment"),
        ("metadata", {"a": {"b": math.nan}}, "metadata.a.b"),
        ("metadata", {"a": 2**53}, "metadata.a"),
        ("metadata", {"a": "\x00"}, "metadata.a"),
        ("metadata", {"\x00": 1}, "metadata"),
        ("metadata", {"k" * 256: 1}, "metadata"),
        ("metadata", {str(n): n for n in range(251)}, "metadata"),
        ("metadata", {str(n): "x" * 700 for n in range(100)}, "metadata"),
    ],
)
def test_wrong_values_are_refused_by_name(name, value, path):
    with pytest.raises(InvalidPayload) as refused:
        READERS[name](name, value)
    assert refused.value.prop == path


def test_only_what_was_sent_is_read():
    fields = {"a": payload.optional(payload.text(3)), "b": payload.text(3)}
    assert payload.read({"a": None, "c": 1}, fields) == {"a": None}
    assert payload.read_leniently({"a": 5, "b": "x"}, fields) == {"b": "x"}
    with pytest.raises(InvalidPayload) as refused:
        payload.read({"b": 5}, fields, "order.items[2]")
    assert refused.value.details == "order.items[2].b: must be a string"
    with pytest.raises(InvalidPayload) as missing:
        payload.required(payload.text(3), {"a": None}, "a")
    assert missing.value.details == "a: must be set"


@given(
    st.dictionaries(st.text(max_size=3), st.integers(0, 9) | st.none()),
    st.dictionaries(st.text(max_size=3), st.integers(0, 9) | st.none()),
)
def test_metadata_merges_key_by_key(stored, changes):
    stored = {
        key: value for key, value in stored.items() if value is not None and "\x00" not in key
    }
    changes = {key: value for key, value in changes.items() if "\x00" not in key}
    merged = payload.merge_metadata(stored, changes)
    for key in {*stored, *changes}:
        assert merged.get(key) == (changes[key] if key in changes else stored[key])
    assert None not in merged.values()
    assert payload.merge_metadata(merged, changes) == merged


def test_merged_metadata_keeps_its_limits():
    stored = {str(n): n for n in range(250)}
    assert len(payload.merge_metadata(stored, {"0": None, "new": 1})) == 250
    with pytest.raises(InvalidPayload):
        payload.merge_metadata(stored, {"new": 1})
