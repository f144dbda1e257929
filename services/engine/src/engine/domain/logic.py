"""The ``logic`` of a validation rule: ``1 and (2 or 3)``, parsed once into a closure.

Bounded in length and depth, and parsed with a stack of its own, so that no text can exhaust ours.
``and`` binds tighter than ``or``, as everywhere.
"""

import re
from collections.abc import Callable, Sequence

from engine import limits

Verdicts = Sequence[bool]
Logic = Callable[[Verdicts], bool]
"""Gets the verdicts of the rules, in the order of their names; says whether they suffice."""

_TOKEN = re.compile(r"\s*(?:(\()|(\))|(\d{1,6})|(and|or)\b)", re.IGNORECASE)
_STRENGTH = {"or": 1, "and": 2}


class BadLogicError(ValueError):
    """The text is no logic over these rules."""


def parse(text: str | None, names: Sequence[str]) -> Logic:
    """Return the closure; no text means that all must hold. Raises :class:`BadLogicError`."""
    if text is None or not text.strip():
        return all
    if len(text) > limits.LOGIC_LENGTH_MAX:
        raise BadLogicError(f"must have at most {limits.LOGIC_LENGTH_MAX} characters")
    places = {name: index for index, name in enumerate(names)}
    return _Parser(places).run(text)


class _Parser:
    """Shunting-yard: operands and operators on two stacks."""

    def __init__(self, places: dict[str, int]) -> None:
        self.places = places
        self.operands: list[Logic] = []
        self.operators: list[str] = []

    def run(self, text: str) -> Logic:
        end = len(text.rstrip())
        at, is_operand_next = 0, True
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise BadLogicError("must consist of rule numbers, and, or, ( and )")
            opening, closing, number, word = match.groups()
            if is_operand_next != bool(opening or number):
                raise BadLogicError("must have rule numbers and operators in turn")
            if opening:
                self._open()
            elif number:
                self.operands.append(self._operand(number))
                is_operand_next = False
            elif closing:
                self._close()
            else:
                self._operator(word.lower())
                is_operand_next = True
            at = match.end()
        return self._finish(is_complete=not is_operand_next)

    def _operand(self, number: str) -> Logic:
        index = self.places.get(number)
        if index is None:
            raise BadLogicError(f"must name rules that are there; {number} is not")
        return lambda verdicts: verdicts[index]

    def _open(self) -> None:
        if self.operators.count("(") >= limits.LOGIC_DEPTH_MAX:
            raise BadLogicError(f"must nest at most {limits.LOGIC_DEPTH_MAX} parentheses")
        self.operators.append("(")

    def _close(self) -> None:
        while self.operators and self.operators[-1] != "(":
            self._reduce()
        if not self.operators:
            raise BadLogicError("must have balanced parentheses")
        self.operators.pop()

    def _operator(self, word: str) -> None:
        while self.operators and _STRENGTH.get(self.operators[-1], 0) > _STRENGTH[word]:
            self._reduce()
        self.operators.append(word)

    def _reduce(self) -> None:
        # Operators of one kind are joined at once, so that closures nest by parentheses, not by length.
        word = self.operators.pop()
        operands = [self.operands.pop(), self.operands.pop()]
        while self.operators and self.operators[-1] == word:
            self.operators.pop()
            operands.append(self.operands.pop())
        operands.reverse()
        self.operands.append(_joined(word, operands))

    def _finish(self, *, is_complete: bool) -> Logic:
        if not is_complete or "(" in self.operators:
            raise BadLogicError("must be complete")
        while self.operators:
            self._reduce()
        assert len(self.operands) == 1, "a complete expression leaves one operand"
        return self.operands[0]


def _joined(word: str, operands: list[Logic]) -> Logic:
    if word == "and":
        return lambda verdicts: all(operand(verdicts) for operand in operands)
    return lambda verdicts: any(operand(verdicts) for operand in operands)
