"""Identifiers: their prefixes, and those that follow from a name.

An id that is derived lets any service address a thing without asking its owner. Random ids are
drawn by ``runtime.ids``; the domain gets them as data.
"""

import hashlib
from functools import lru_cache
from itertools import product

from contracts import codes

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ID_LENGTH = 24
_THREE_DIGITS = ["".join(digits[::-1]) for digits in product(BASE62, repeat=3)]
"""All numbers of three digits, the lowest digit first: a third of the divisions."""


@lru_cache(maxsize=8192)  # whoever names a thing addresses it again in a moment
def derived_id(prefix: str, project_id: str, *names: str) -> str:
    """Return the id that the names always have in this project: 24 base62 digits of a SHA-256."""
    text = "\x1f".join((prefix, project_id, *names))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return f"{prefix}_{base62(number)}"


def base62(number: int) -> str:
    """Return the lowest 24 base62 digits of ``number``."""
    digits = []
    for _ in range(ID_LENGTH // 3):
        number, three = divmod(number, len(_THREE_DIGITS))
        digits.append(_THREE_DIGITS[three])
    return "".join(digits)


def customer_id(project_id: str, source_id: str) -> str:
    """Return the id of the customer that upstream calls ``source_id``."""
    return derived_id("cust", project_id, source_id)


def order_id(project_id: str, source_id: str) -> str:
    """Return the id of the order that upstream calls ``source_id``."""
    return derived_id("ord", project_id, source_id)


def product_id(project_id: str, source_id: str) -> str:
    """Return the id of the product that upstream calls ``source_id``."""
    return derived_id("prod", project_id, source_id)


def sku_id(project_id: str, source_id: str) -> str:
    """Return the id of the SKU that upstream calls ``source_id``."""
    return derived_id("sku", project_id, source_id)


CASELESS = "proj_ci_"
"""Begins the id of a project whose codes may be written in any case (ADR 0013)."""


def project_id(drawn: str, *, case_sensitive_codes: bool) -> str:
    """Return a new project's id; whoever sees it knows how the project's codes are compared."""
    return f"proj_{drawn}" if case_sensitive_codes else f"{CASELESS}{drawn}"


def is_caseless(project_id: str) -> bool:
    """Say whether the project's codes may be written in any case."""
    return project_id.startswith(CASELESS)


def canonical_code(project_id: str, code: str) -> str:
    """Return the form by which codes of the project are compared."""
    return codes.compared(code, caseless=is_caseless(project_id))


def voucher_id(project_id: str, code: str) -> str:
    """Return the id of the voucher with this code: of two spellings of one code, the same."""
    return derived_id("v", project_id, canonical_code(project_id, code))


def tracking_id(project_id: str, source_id: str) -> str:
    """Return the opaque tracking id that stands for a customer's ``source_id``."""
    return derived_id("track", project_id, source_id)
