"""The language of ``*_formula`` fields: read once when a definition is saved, evaluated when it is used.

A grammar of Tessera's own for the published language (docs/pricing.md has the whole of it). A formula
becomes a flat list of steps for a stack of values: nothing recurses, nothing that a merchant wrote is ever
executed, and length, depth and steps are bounded. Numbers are exact fractions. What is missing (an
attribute that is not there, a division by zero, a text where a number belongs) is no error: it makes the
result missing, and the definition's static value is used instead.
"""

from contracts.formulas.evaluation import Lookup, evaluate, from_json
from contracts.formulas.language import (
    FORMULA_DEPTH_MAX,
    FORMULA_LENGTH_MAX,
    FORMULA_STEPS_MAX,
    Formula,
    FormulaError,
    Value,
)
from contracts.formulas.parser import parse, reader

__all__ = [
    "FORMULA_DEPTH_MAX",
    "FORMULA_LENGTH_MAX",
    "FORMULA_STEPS_MAX",
    "Formula",
    "FormulaError",
    "Lookup",
    "Value",
    "evaluate",
    "from_json",
    "parse",
    "reader",
]
