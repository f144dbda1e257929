"""Reads a formula: text in, a flat list of steps out (Dijkstra's shunting-yard, so without recursion)."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Any, NamedTuple

from contracts import payload
from contracts.formulas.language import (
    FORMULA_DEPTH_MAX,
    FORMULA_LENGTH_MAX,
    FORMULA_STEPS_MAX,
    FROM_TODAY,
    FUNCTIONS,
    INFIX,
    METADATA,
    NEGATE,
    NUMBER_LENGTH_MAX,
    VARIABLES,
    Call,
    Constant,
    Formula,
    FormulaError,
    Load,
    Step,
)

_TOKEN = re.compile(
    r'(?P<number>\d+(?:\.\d+)?)|"(?P<text>(?:[^"\\]|\\["\\])*)"'
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*)|(?P<mark>>=|<=|!=|[-+*/%×÷<>=();])",
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Open(NamedTuple):
    """A parenthesis or a function that is not closed yet; ``name`` is None for a parenthesis."""

    name: str | None
    at: int
    arity: int = 1


class _Pending(NamedTuple):
    """An operator whose right side is not complete yet."""

    name: str
    strength: int
    arity: int = 2


def parse(text: str) -> Formula:
    """Return the formula; raises :class:`FormulaError` for what is none."""
    if len(text) > FORMULA_LENGTH_MAX:
        raise FormulaError(f"it has more than {FORMULA_LENGTH_MAX} characters", FORMULA_LENGTH_MAX)
    reading = _Reading(_tokens(text), len(text))
    reading.run()
    steps = tuple(reading.steps)
    names = frozenset(step.name for step in steps if isinstance(step, Load))
    return Formula(text, steps, names)


def reader(path: str, value: Any) -> str:
    """Read a formula of a JSON body: the text as it was sent, once it is known to be a formula."""
    text: str = payload.text(FORMULA_LENGTH_MAX)(path, value)
    try:
        parse(text)
    except FormulaError as error:
        raise payload.refuse(path, f"must be a formula: {error}") from None
    return text


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        match = _TOKEN.match(text, at)
        if match is None:
            raise FormulaError(f"{text[at]!r} is not expected", at)
        kind = str(match.lastgroup)
        tokens.append(_Token(kind, match[kind], at))
        at = match.end()
    return tokens


class _Reading:
    """The state of one parse: what is done (``steps``), and what is still open (``stack``)."""

    def __init__(self, tokens: Sequence[_Token], end: int) -> None:
        self.tokens = tokens
        self.end = end
        self.next = 0
        self.steps: list[Step] = []
        self.stack: list[_Open | _Pending] = []
        self.depth = 0
        self.is_after_case = False

    def run(self) -> None:
        """Read all tokens."""
        wants_value = True
        while self.next < len(self.tokens):
            token = self.tokens[self.next]
            self.next += 1
            wants_value = self._value(token) if wants_value else self._operator(token)
        if wants_value:
            raise FormulaError("a value is missing", self.end)
        self._reduce(0)
        if self.stack:
            opened = self.stack[-1]
            assert isinstance(opened, _Open), "operators are done when all is read"
            raise FormulaError("a closing parenthesis is missing", self.end)

    def _value(self, token: _Token) -> bool:
        """Read where a value must stand; return whether one must still come."""
        if token.kind == "number":
            if len(token.text) > NUMBER_LENGTH_MAX:
                raise FormulaError("the number is too long", token.at)
            self._emit(Constant(Fraction(token.text)), token.at)
        elif token.kind == "text":
            self._emit(Constant(re.sub(r'\\(["\\])', r"\1", token.text)), token.at)
        elif token.kind == "word":
            return self._word(token)
        elif token.text == "(":
            self._open(_Open(None, token.at))
            return True
        elif token.text == "-":
            self.stack.append(_Pending(*NEGATE, arity=1))
            return True
        else:
            raise FormulaError(f"a value must stand before {token.text!r}", token.at)
        return False

    def _word(self, token: _Token) -> bool:
        name = token.text.upper()
        if name in VARIABLES:
            self._emit(Load(name), token.at)
            return False
        if name in METADATA:
            self._emit(Load(name, self._key(name, token.at)), token.at)
            return False
        if name not in FUNCTIONS:
            raise FormulaError(f"{token.text[:40]} is not known", token.at)
        if not self._takes("("):
            raise FormulaError(f"{name} must be followed by its arguments in parentheses", token.at)
        if name == "SWITCH_CASE":
            self._refuse_stray_case(token.at)
        self._open(_Open(name, token.at))
        return True

    def _key(self, name: str, at: int) -> str:
        """Read the quoted name of an attribute."""
        found = self.tokens[self.next : self.next + 3]
        kinds = [one.kind if one.kind == "text" else one.text for one in found]
        if kinds != ["(", "text", ")"]:
            raise FormulaError(f'{name} must be followed by ("name of an attribute")', at)
        self.next += 3
        return re.sub(r'\\(["\\])', r"\1", found[1].text)

    def _takes(self, mark: str) -> bool:
        is_next = self.next < len(self.tokens) and self.tokens[self.next][:2] == ("mark", mark)
        self.next += is_next
        return is_next

    def _refuse_stray_case(self, at: int) -> None:
        inside = self.stack[-1] if self.stack else None
        if not (isinstance(inside, _Open) and inside.name == "SWITCH" and inside.arity > 1):
            raise FormulaError("SWITCH_CASE must stand inside SWITCH, after its first argument", at)

    def _operator(self, token: _Token) -> bool:
        """Read where a value is complete; return whether the next token must begin a value."""
        if token.kind == "mark" and token.text == ")":
            self._close(token.at)
            return False
        if token.kind == "mark" and token.text == ";":
            self._separate(token.at)
            return True
        word = token.text.upper()
        if token.kind == "word" and word == "SWITCH_CASE" and self.is_after_case:
            self._separate(token.at)
            return self._word(token)
        if token.kind not in {"mark", "word"} or word not in INFIX:
            raise FormulaError(f"an operator must stand before {token.text[:40]!r}", token.at)
        if self.is_after_case:
            raise FormulaError("after SWITCH_CASE must come the next case or ;", token.at)
        name, strength = INFIX[word]
        self._reduce(strength)
        self.stack.append(_Pending(name, strength))
        return True

    def _separate(self, at: int) -> None:
        """An argument is complete, the next one begins."""
        self._reduce(0)
        self.is_after_case = False
        inside = self.stack[-1] if self.stack else None
        if not (isinstance(inside, _Open) and inside.name is not None):
            raise FormulaError("; must stand between the arguments of a function", at)
        self.stack[-1] = inside._replace(arity=inside.arity + 1)

    def _close(self, at: int) -> None:
        self._reduce(0)
        if not self.stack:
            raise FormulaError("the parenthesis was not opened", at)
        opened = self.stack.pop()
        assert isinstance(opened, _Open), "operators inside are done"
        self.depth -= 1
        if opened.name is None:
            return
        least, most = FUNCTIONS[opened.name]
        if not least <= opened.arity <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise FormulaError(f"{opened.name} must have {wanted} arguments", opened.at)
        self._call(opened.name, opened.arity, opened.at)
        self.is_after_case = opened.name == "SWITCH_CASE"

    def _call(self, name: str, count: int, at: int) -> None:
        if name in {"DATE", "DATE_TIME"}:
            self._refuse_no_date(name, at)
        if name in FROM_TODAY:
            self._emit(Load("TODAY"), at)
            count += 1
        self._emit(Call(name, count), at)

    def _refuse_no_date(self, name: str, at: int) -> None:
        """A date that is written down is known to be none before it is saved."""
        last = self.steps[-1]
        if isinstance(last, Constant):
            read = date.fromisoformat if name == "DATE" else datetime.fromisoformat
            try:
                read(str(last.value))
            except ValueError:
                example = "2023-08-17" if name == "DATE" else "2023-08-17T14:05:00Z"
                raise FormulaError(f'{name} must have a date such as "{example}"', at) from None

    def _open(self, opened: _Open) -> None:
        self.depth += 1
        if self.depth > FORMULA_DEPTH_MAX:
            raise FormulaError(f"more than {FORMULA_DEPTH_MAX} levels are inside", opened.at)
        self.stack.append(opened)

    def _reduce(self, strength: int) -> None:
        """Do the operators that bind at least as strongly as the one that comes."""
        while self.stack:
            top = self.stack[-1]
            if not isinstance(top, _Pending) or top.strength < strength:
                return
            self.stack.pop()
            self._emit(Call(top.name, top.arity), self.end)

    def _emit(self, step: Step, at: int) -> None:
        if len(self.steps) >= FORMULA_STEPS_MAX:
            raise FormulaError(f"it has more than {FORMULA_STEPS_MAX} steps", at)
        self.is_after_case = False
        self.steps.append(step)
