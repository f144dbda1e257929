"""How codes are compared, and which characters they may have (ADR 0018).

Two codes are one if a customer who reads the one and types the other must be served: composed or
decomposed, wide or narrow (NFKD), in Greek or Cyrillic letters that look like Latin ones, and in any case
where the project says so. ``ids.voucher_id`` is made of this form, so every look-up compares by it. It is
never shown: the text of a code stays as it was given.
"""

import unicodedata

_CYRILLIC_CAPITALS = (
    "\u0410\u0412\u0421\u0415\u041d\u0406\u04c0\u0408\u041a\u041c\u041e\u0420\u0405\u0422\u051c\u0425\u0423",
    "ABCEHIIJKMOPSTWXY",
)
_GREEK_CAPITALS = (
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7",
    "ABEZHIKMNOPTYX",
)
_CYRILLIC_SMALL = (
    "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u04cf\u043e\u0440\u051b\u0455\u051d\u0445\u0443",
    "acdehijlopqswxy",
)
_GREEK_SMALL = ("\u03b1\u03b3\u03b9\u03bd\u03bf\u03c1\u03c5", "ayivopu")
_CAPITALS = str.maketrans(*_CYRILLIC_CAPITALS) | str.maketrans(*_GREEK_CAPITALS)
_LETTERS = _CAPITALS | str.maketrans(*_CYRILLIC_SMALL) | str.maketrans(*_GREEK_SMALL)
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {
    chr(point)
    for first, last in ((0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
    for point in range(first, last + 1)
}
"""Letters, marks and symbols that show nothing, though Unicode's categories take them for printable."""
_JOINING_JAMO = range(0x1100, 0x1200)


def compared(code: str, *, caseless: bool) -> str:
    """Return the form by which the code is compared."""
    if code.isascii():
        return code.casefold() if caseless else code
    if not caseless:
        return unicodedata.normalize("NFKD", code).translate(_LETTERS)
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", code).casefold())
    # Letters of any case look alike where their capitals do.
    return folded.upper().translate(_CAPITALS).casefold()


def is_seen(text: str) -> bool:
    """Say whether every character of the text shows: no control, direction or zero-width character."""
    return text.isprintable() and (text.isascii() or _UNSEEN.isdisjoint(text))


def stands_alone(character: str) -> bool:
    """Say whether the character is the same one beside any other, and one in any case: it may be drawn."""
    if character.isascii():
        return True
    is_mark = unicodedata.category(character).startswith("M")
    whole = unicodedata.normalize("NFKC", character)
    single = len(whole) == len(whole.casefold()) == 1
    return single and not is_mark and ord(whole) not in _JOINING_JAMO
