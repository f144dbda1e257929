"""The parser of ``logic``: what it reads, what it refuses, and that its size is bounded."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.logic import BadLogicError, parse

NAMES = ["1", "2", "3"]


@pytest.mark.parametrize(
    ("text", "python"),
    [
        ("1", "a"),
        ("1 and 2", "a and b"),
        ("1 or 2 and 3", "a or b and c"),
        ("(1 or 2) and 3", "(a or b) and c"),
        ("((1)) AND (2 Or 3)", "a and (b or c)"),
        ("1 and 2 or 3", "a and b or c"),
        ("1 and 2 and 3", "a and b and c"),
        ("3 or 2 or 1", "c or b or a"),
        ("(1)and(2)", "a and b"),
        (" 1 or 3 ", "a or c"),
    ],
)
def test_logic_means_what_python_means(text: str, python: str) -> None:
    logic = parse(text, NAMES)
    for a, b, c in itertools.product([False, True], repeat=3):
        assert logic([a, b, c]) is eval(python, {}, {"a": a, "b": b, "c": c}), (a, b, c)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_text_means_all(text: str | None) -> None:
    assert parse(text, NAMES)([True, True, True])
    assert not parse(text, NAMES)([True, False, True])


@pytest.mark.parametrize(
    "text",
    [
        "1 and",
        "and 1",
        "1 2",
        "(1",
        "1)",
        "()",
        "4",
        "1 xor 2",
        "1 and and 2",
        "not 1",
        "1;2",
        "(" * 21 + "1" + ")" * 21,
        "1 or " * 500 + "1",
    ],
)
def test_what_is_no_logic_is_refused(text: str) -> None:
    with pytest.raises(BadLogicError):
        parse(text, NAMES)


def test_long_chains_do_not_nest() -> None:
    text = " or ".join(["1"] * 300)
    assert parse(text, NAMES)([True, False, False])


@given(st.text(alphabet="123()andor ", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        logic = parse(text, NAMES)
    except BadLogicError:
        return
    assert logic([True, True, True]) is True
