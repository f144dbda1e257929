"""Which codes are the same code (T13): written otherwise, or in letters that look alike."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import codes, ids

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
CYRILLIC_SUMMER = "SU\u041c\u041cER"
GREEK_SUMMER = "SUMM\u0395R"
WIDE_SUMMER = "\uff33\uff35\uff2d\uff2d\uff25\uff32"


@pytest.mark.parametrize(
    ("written", "other"),
    [
        ("SUMMER", CYRILLIC_SUMMER),
        ("SUMMER", GREEK_SUMMER),
        ("SUMMER", WIDE_SUMMER),
        ("COCO", "\u0421\u041e\u0421\u041e"),
        ("pace", "\u0440\u0430\u0441\u0435"),
        ("caf\u00e9", "cafe\u0301"),
        ("\u00cb10", "\u040110"),
        ("\u212a9", "K9"),
    ],
)
def test_T13_one_code_however_it_is_written(written, other):
    for project in ("proj_1", "proj_ci_1"):
        assert ids.voucher_id(project, written) == ids.voucher_id(project, other)


@pytest.mark.parametrize(
    ("one", "other"), [("SUMMER", "summer"), ("cafe", "caf\u00e9"), ("O0", "00"), ("Il", "ll")]
)
def test_what_a_customer_tells_apart_stays_apart(one, other):
    assert ids.voucher_id("proj_1", one) != ids.voucher_id("proj_1", other)


@pytest.mark.parametrize(
    "code", ["\u0412\u0415\u0421\u041d\u0410", "\u0391\u039d\u03a4\u03a9", "stra\u00dfe"]
)
def test_any_case_is_any_case_in_every_script(code):
    spellings = {code, code.upper(), code.lower(), code.casefold(), code.title()}
    assert len({ids.voucher_id("proj_ci_1", one) for one in spellings}) == 1


@pytest.mark.parametrize("caseless", [False, True])
@given(code=TEXT)
def test_normal_forms_are_the_same_code(caseless, code):
    compared = codes.compared(code, caseless=caseless)
    assert codes.compared(compared, caseless=caseless) == compared
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert codes.compared(unicodedata.normalize(form, code), caseless=caseless) == compared


@given(TEXT)
def test_case_makes_no_difference_where_the_project_says_so(code):
    compared = codes.compared(code, caseless=True)
    assert codes.compared(code.casefold(), caseless=True) == compared


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_codes_are_compared_as_they_always_were(code):
    assert codes.compared(code, caseless=False) == code
    assert codes.compared(code, caseless=True) == code.casefold()
