"""Patterns, and random bytes that become codes."""

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns import limits
from campaigns.domain.codes import (
    bytes_needed,
    code,
    code_config,
    distinct,
    draw_codes,
    list_codes,
    pattern_of,
    pick,
)
from contracts import codes as unicode_codes
from contracts import ids
from contracts.codes import stands_alone
from contracts.errors import DomainError

PRINTABLE = st.characters(min_codepoint=33, max_codepoint=0x2FF).filter(str.isprintable)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "length": st.integers(1, 20),
        "charset": st.text(PRINTABLE.filter(stands_alone), min_size=1, max_size=60),
        "prefix": st.text(PRINTABLE, max_size=10),
        "postfix": st.text(PRINTABLE, max_size=10),
        "pattern": st.text(st.sampled_from("#-AB0é"), min_size=1, max_size=20),
    },
)


def expected(config):
    body = config.get("pattern") or "#" * config.get("length", 8)
    charset = config.get("charset") or (
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    )
    one = f"[{''.join(re.escape(character) for character in charset)}]"
    inner = one.join(re.escape(piece) for piece in body.split("#"))
    prefix, postfix = (re.escape(config.get(name) or "") for name in ("prefix", "postfix"))
    return prefix + inner + postfix


@given(CONFIGS, st.integers(1, 300), st.randoms(use_true_random=False))
def test_codes_match_their_pattern_and_differ(config, count, source):
    pattern = pattern_of(code_config("code_config", config))
    drawn = draw_codes(pattern, source.randbytes(bytes_needed(pattern, count)), count)
    assert len(set(drawn)) == len(drawn) <= min(count, pattern.capacity)
    shape = re.compile(expected(config))
    assert all(shape.fullmatch(one) for one in drawn)
    assert all(code("code", one) == one for one in drawn)


@given(st.integers(1, 256), st.integers(1, 12), st.integers(1, 500))
def test_the_bytes_that_are_needed_suffice(size, length, count):
    pattern = pattern_of({"charset": "".join(chr(256 + n) for n in range(size)), "length": length})
    source = random.Random(size * 1_000_003 + length * 1_009 + count)
    enough = source.randbytes(bytes_needed(pattern, count))
    drawn = draw_codes(pattern, enough, count)
    if pattern.capacity > 10**9:
        assert len(drawn) == count
    assert draw_codes(pattern, b"", count) == []


def test_every_character_is_equally_likely():
    # Bytes modulo 200, taken as they come, would favour the first 56 characters by two to one.
    charset = "".join(chr(256 + number) for number in range(200))
    pattern = pattern_of({"charset": charset, "length": 8})
    source = random.Random(1)
    drawn = draw_codes(pattern, source.randbytes(bytes_needed(pattern, 50_000)), 50_000)
    counts = Counter("".join(drawn))
    assert set(counts) == set(charset)
    assert max(counts.values()) / min(counts.values()) < 1.3


def test_one_code_of_a_pattern_without_slots():
    pattern = pattern_of({"pattern": "ONLY", "prefix": "THE-"})
    assert pattern.capacity == 1
    assert draw_codes(pattern, b"", 5) == ["THE-ONLY"]
    assert list_codes(pattern, 5) == ["THE-ONLY"]


def test_prefix_pattern_and_postfix_stand_around_each_other():
    pattern = pattern_of({"prefix": "P-", "pattern": "A#B#", "postfix": "-Q", "charset": "x"})
    assert draw_codes(pattern, bytes(300), 1) == ["P-AxBx-Q"]


@given(st.text("abcd", min_size=1, max_size=4), st.integers(1, 4))
def test_all_codes_of_a_small_pattern_are_listed(charset, length):
    pattern = pattern_of(code_config("", {"charset": charset, "length": length}))
    listed = list_codes(pattern, 10_000)
    assert len(set(listed)) == len(listed) == pattern.capacity


@given(st.lists(st.text(max_size=3), unique=True), st.integers(0, 2**200), st.integers(0, 20))
def test_picking_takes_different_ones(codes, number, count):
    picked = pick(codes, number, count)
    assert len(set(picked)) == len(picked) == min(count, len(codes))
    assert set(picked) <= set(codes)


@pytest.mark.parametrize(
    ("config", "prop"),
    [
        ({"length": 0}, "code_config.length"),
        ({"length": 8.5}, "code_config.length"),
        ({"length": limits.CODE_LENGTH_MAX + 1}, "code_config.length"),
        ({"charset": 5}, "code_config.charset"),
        ({"charset": ""}, "code_config.charset"),
        ({"charset": "a b"}, "code_config.charset"),
        ({"charset": "a\n"}, "code_config.charset"),
        ({"charset": "".join(chr(256 + n) for n in range(257))}, "code_config.charset"),
        ({"charset": "ab\u200b"}, "code_config.charset"),
        ({"charset": "ab\u3164"}, "code_config.charset"),
        ({"charset": "e\u0301"}, "code_config.charset"),
        ({"charset": "a\ufb01"}, "code_config.charset"),
        ({"charset": "s\u00df"}, "code_config.charset"),
        ({"charset": "\u1100\u1161"}, "code_config.charset"),
        ({"prefix": "\x00"}, "code_config.prefix"),
        ({"prefix": "A\u202e"}, "code_config.prefix"),
        ({"postfix": "\ufeff"}, "code_config.postfix"),
        ({"pattern": "A\u00ad###"}, "code_config.pattern"),
        ({"prefix": "x" * 60, "postfix": "y" * 60}, "code_config"),
        ({"pattern": ["#"]}, "code_config.pattern"),
        ([], "code_config"),
        ("########", "code_config"),
    ],
)
def test_a_wrong_code_config_is_refused_by_name(config, prop):
    with pytest.raises(DomainError) as refused:
        code_config("code_config", config)
    assert refused.value.prop == prop


@pytest.mark.parametrize(
    "given_code", ["", " A", "A ", "A\tB", "A\x00B", 5, None, "x" * 101, "\ud800"]
)
def test_a_code_that_cannot_be_typed_is_refused(given_code):
    with pytest.raises(DomainError) as refused:
        code("code", given_code)
    assert refused.value.prop == "code"


UNSEEN = [
    "\u0007",  # a control character
    "\u00a0",  # a space that is none
    "\u00ad",  # a hyphen that only shows at the end of a line
    "\u034f",  # joins graphemes
    "\u200b",  # no width
    "\u200d",  # joins letters
    "\u202e",  # turns the direction
    "\u2066",  # isolates a direction
    "\u2800",  # a blank in Braille
    "\u3164",  # a letter that fills
    "\ufe0f",  # how the one before is drawn
    "\ufeff",  # byte order
    "\uffa0",  # a letter that fills, half as wide
    "\ue000",  # private
    "\u0378",  # of no meaning
    "\U000e0041",  # a tag
    "\U000e0100",  # how the one before is drawn
]


@pytest.mark.parametrize("unseen", UNSEEN)
def test_T13_a_character_that_does_not_show_is_refused(unseen):
    with pytest.raises(DomainError) as refused:
        code("code", f"SUM{unseen}MER")
    assert refused.value.prop == "code"
    assert "visible" in str(refused.value)


@pytest.mark.parametrize(
    "shown", ["\u0417\u0418\u041c\u0410-10", "\u590f\u5b63", "cafe\u0301", "\u0928\u093f", "-20%"]
)
def test_codes_of_any_script_may_be_given(shown):
    assert code("code", shown) == shown


@pytest.mark.parametrize("project", ["proj_1", "proj_ci_1"])
def test_T13_of_characters_that_look_alike_one_is_drawn(project):
    config = code_config("code_config", {"charset": "A\u0410\u0391\uff21B\u0412", "length": 2})
    assert config["charset"] == "AB"
    pattern = distinct(project, pattern_of(config))
    listed = list_codes(pattern, 100)
    assert len({ids.voucher_id(project, one) for one in listed}) == len(listed) == 4


@pytest.mark.parametrize("project", ["proj_1", "proj_ci_1"])
@given(charset=st.text(st.characters(codec="utf-8"), min_size=1, max_size=6))
def test_drawn_codes_that_differ_are_different_codes(project, charset):
    alone = "".join(filter(stands_alone, filter(unicode_codes.is_seen, charset))).replace(" ", "")
    config = code_config("code_config", {"charset": alone or "x", "length": 3})
    listed = list_codes(distinct(project, pattern_of(config)), 1000)
    assert len({ids.voucher_id(project, one) for one in listed}) == len(listed)
