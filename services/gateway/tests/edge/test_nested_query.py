"""Bodies in a query: names with brackets become objects; what makes no sense is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import DomainError
from gateway.operations.single_redeemables import _body_of_query, nested


def test_brackets_become_objects() -> None:
    query = [
        ("code", "A"),
        ("metadata[shop]", "web"),
        ("item[10][product_id]", "prod_b"),
        ("item[2][product_id]", "prod_a"),
        ("item[2][quantity]", "3"),
        ("customer[source_id]", "ada"),
        ("amount", "500"),
        ("session_type", "LOCK"),
        ("session_ttl", "7"),
    ]
    sent = nested(query)
    assert sent["code"] == "A"
    assert _body_of_query(sent) == {
        "metadata": {"shop": "web"},
        "order": {
            "amount": 500,
            "items": [{"product_id": "prod_a", "quantity": 3}, {"product_id": "prod_b"}],
        },
        "customer": {"source_id": "ada"},
        "session": {"type": "LOCK", "ttl": 7},
    }


def test_a_customer_may_be_named_alone() -> None:
    assert _body_of_query(nested([("customer", "ada")]))["customer"] == {"source_id": "ada"}


@pytest.mark.parametrize(
    "query",
    [
        [("a[", "1")],
        [("a", "1"), ("a[b]", "2")],
        [("a[b]", "2"), ("a", "1")],
        [("a[b][c][d][e][f]", "1")],
        [("amount", "x")],
        [("amount", "9" * 16)],
        [("amount[a]", "1")],
        [("item", "1")],
        [("item[0]", "1")],
        [("metadata", "1")],
        [("item[0][price]", "-1")],
    ],
)
def test_nonsense_is_refused(query: list[tuple[str, str]]) -> None:
    with pytest.raises(DomainError):
        _body_of_query(nested(query))


NAMES = st.text("ab[]0", min_size=1, max_size=8)


@given(st.lists(st.tuples(NAMES, st.text("x1", max_size=3)), max_size=5))
def test_any_query_is_read_or_refused(query: list[tuple[str, str]]) -> None:
    try:
        _body_of_query(nested(query))
    except DomainError:
        return
