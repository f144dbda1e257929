"""Codes: what a pattern allows, and how random bytes become codes. No randomness of its own."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice, product
from typing import Any, NamedTuple

from campaigns import limits
from contracts import ids
from contracts.codes import compared, is_seen, stands_alone
from contracts.errors import JsonObject
from contracts.payload import Fields, is_storable, json_object, optional, read, refuse, whole_number

LENGTH_DEFAULT = 8
CHARSET_DEFAULT = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
SLOT = "#"
_BYTE_VALUES = 256
_SEEN = "must have visible characters only: no control, direction or zero-width ones"


class CodePattern(NamedTuple):
    """The fixed pieces of a code, and the characters that are drawn between them."""

    pieces: tuple[str, ...]
    charset: str

    @property
    def slots(self) -> int:
        """Characters that are drawn."""
        return len(self.pieces) - 1

    @property
    def capacity(self) -> int:
        """How many different codes there are."""
        capacity: int = len(self.charset) ** self.slots
        return capacity

    def fill(self, characters: Sequence[str] | str) -> str:
        """Return the code with these characters in its slots."""
        parts = [self.pieces[0]]
        for character, piece in zip(characters, self.pieces[1:], strict=True):
            parts += character, piece
        return "".join(parts)


def code(path: str, value: Any) -> str:
    """Read a code that somebody chose."""
    if not isinstance(value, str) or not value:
        raise refuse(path, "must be a non-empty string")
    if len(value) > limits.CODE_LENGTH_MAX:
        raise refuse(path, f"must have at most {limits.CODE_LENGTH_MAX} characters")
    if not is_storable(value) or not is_seen(value) or value != value.strip():
        raise refuse(path, f"{_SEEN}, and no spaces at its ends")
    return value


def _part(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(path, "must be a string")
    if len(value) > limits.CODE_LENGTH_MAX:
        raise refuse(path, f"must have at most {limits.CODE_LENGTH_MAX} characters")
    if not is_storable(value) or not is_seen(value):
        raise refuse(path, _SEEN)
    return value


def _charset(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise refuse(path, "must be a string")
    characters = "".join(dict.fromkeys(value))
    if not characters or len(characters) > limits.CHARSET_LENGTH_MAX:
        raise refuse(path, f"must have 1 to {limits.CHARSET_LENGTH_MAX} different characters")
    if not is_storable(characters) or not is_seen(characters) or " " in characters:
        raise refuse(path, f"{_SEEN}, and no space")
    if not all(map(stands_alone, characters)):
        raise refuse(path, "must have characters only that no neighbour and no case changes")
    return _first_of_each(characters, partial(compared, caseless=False))


def _first_of_each(characters: str, form: Callable[[str], str]) -> str:
    """Return the characters without those that have the form of an earlier one."""
    first = {form(one): one for one in reversed(characters)}
    kept = frozenset(first.values())
    return "".join(one for one in characters if one in kept)


CODE_CONFIG_FIELDS: Fields = {
    "length": optional(whole_number(1, limits.CODE_LENGTH_MAX)),
    "charset": optional(_charset),
    "prefix": optional(_part),
    "postfix": optional(_part),
    "pattern": optional(_part),
}


def code_config(path: str, value: Any) -> JsonObject:
    """Read ``code_config``; refuses one that makes no storable code."""
    config = read(json_object(path, value), CODE_CONFIG_FIELDS, path)
    config = {name: kept for name, kept in config.items() if kept not in {None, ""}}
    pattern = pattern_of(config)
    code(path, pattern.fill(pattern.charset[:1] * pattern.slots))
    return config


def pattern_of(config: JsonObject | None) -> CodePattern:
    """Return the pattern that a checked ``code_config`` means."""
    config = config or {}
    body = config.get("pattern") or SLOT * config.get("length", LENGTH_DEFAULT)
    pieces = body.split(SLOT)
    pieces[0] = config.get("prefix", "") + pieces[0]
    pieces[-1] += config.get("postfix", "")
    return CodePattern(tuple(pieces), config.get("charset", CHARSET_DEFAULT))


def distinct(project_id: str, pattern: CodePattern) -> CodePattern:
    """Return the pattern without characters that the project takes for an earlier one."""
    charset = _first_of_each(pattern.charset, partial(ids.canonical_code, project_id))
    return pattern._replace(charset=charset)


def bytes_needed(pattern: CodePattern, count: int) -> int:
    """Return how many random bytes make ``count`` codes, with room for those that are rejected.

    Of n characters so many bytes more are rejected than expected: eight standard deviations of the negative
    binomial distribution, which no test and no merchant meets.
    """
    size = len(pattern.charset)
    rejected = _BYTE_VALUES % size
    usable = _BYTE_VALUES - rejected
    characters = count * pattern.slots
    deviation = math.isqrt(characters * rejected * _BYTE_VALUES) // usable + 1
    return characters * _BYTE_VALUES // usable + 8 * deviation + 64


def draw_codes(pattern: CodePattern, random_bytes: bytes, count: int) -> list[str]:
    """Return up to ``count`` different codes, each character equally likely.

    Bytes beyond the largest multiple of the charset's size are rejected, so no character is favoured;
    too few bytes make fewer codes.
    """
    size = len(pattern.charset)
    usable = _BYTE_VALUES - _BYTE_VALUES % size
    table = bytes(value % size for value in range(_BYTE_VALUES))
    drawn = random_bytes.translate(table, bytes(range(usable, _BYTE_VALUES))).decode("latin-1")
    text = drawn.translate(dict(enumerate(pattern.charset)))
    slots = pattern.slots
    if slots == 0:
        return [pattern.fill("")][:count]
    count = min(count, len(text) // slots)
    bodies = [text[start : start + slots] for start in range(0, count * slots, slots)]
    return list(dict.fromkeys(_filled(pattern, bodies)))


def _filled(pattern: CodePattern, bodies: list[str]) -> list[str]:
    first, *inner, last = pattern.pieces
    if not any(inner):
        return [f"{first}{body}{last}" for body in bodies]
    return [pattern.fill(body) for body in bodies]


def list_codes(pattern: CodePattern, limit: int) -> list[str]:
    """Return the first ``limit`` codes of the pattern, in order: all of a small one."""
    combinations: Iterator[tuple[str, ...]] = product(pattern.charset, repeat=pattern.slots)
    return [pattern.fill(characters) for characters in islice(combinations, limit)]


def pick(codes: Sequence[str], random_number: int, count: int) -> list[str]:
    """Return ``count`` of the codes, chosen by the digits of a large random number."""
    left = list(codes)
    picked = []
    for _ in range(min(count, len(left))):
        random_number, index = divmod(random_number, len(left))
        left[index], left[-1] = left[-1], left[index]
        picked.append(left.pop())
    return picked
