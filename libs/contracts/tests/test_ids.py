"""Derived ids: always the same, and never two names' the same."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import ids

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x1f"), max_size=40)
DERIVATIONS = [
    (ids.customer_id, "cust"),
    (ids.order_id, "ord"),
    (ids.product_id, "prod"),
    (ids.sku_id, "sku"),
    (ids.voucher_id, "v"),
    (ids.tracking_id, "track"),
]


def test_ids_of_stored_data_never_change():
    assert ids.customer_id("proj_1", "anna") == "cust_FWcSDCYBr0ELOhC5fbB92mfU"
    assert ids.order_id("proj_1", "o-1") == "ord_7tGvn5cwMAT8tF4YfXIo3iVI"


@pytest.mark.parametrize(("derive", "prefix"), DERIVATIONS)
def test_shape(derive, prefix):
    assert re.fullmatch(rf"{prefix}_[0-9A-Za-z]{{24}}", derive("proj_1", "näme ☃"))


@given(st.lists(st.tuples(TEXT, TEXT), unique=True, max_size=20))
def test_other_names_have_other_ids(names):
    for derive, _ in DERIVATIONS:
        if derive is ids.voucher_id:  # Two ways to write one code are one name.
            told_apart = {(project, ids.canonical_code(project, code)) for project, code in names}
        else:
            told_apart = set(names)
        assert len({derive(*name) for name in names}) == len(told_apart)


@given(TEXT, TEXT)
def test_each_kind_has_ids_of_its_own(project, name):
    bare = {derive(project, name).partition("_")[2] for derive, _ in DERIVATIONS}
    assert len(bare) == len(DERIVATIONS)


def test_a_project_s_id_says_how_its_codes_are_compared() -> None:
    exact = ids.project_id("abc", case_sensitive_codes=True)
    caseless = ids.project_id("abc", case_sensitive_codes=False)
    assert (exact, caseless) == ("proj_abc", "proj_ci_abc")
    assert ids.voucher_id(exact, "Summer-10") != ids.voucher_id(exact, "SUMMER-10")
    spellings = ("Summer-10", "SUMMER-10", "summer-10")
    assert len({ids.voucher_id(caseless, one) for one in spellings}) == 1
    assert ids.voucher_id(caseless, "stra\u00dfe") == ids.voucher_id(caseless, "STRASSE")
    assert ids.voucher_id(caseless, "a") != ids.voucher_id(caseless, "b")
