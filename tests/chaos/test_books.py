"""The books of R09 bite: what must not happen is found, and what explains nothing does not explain."""

import json
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tests.chaos.books import Books
from tests.chaos.journal import Call
from tests.chaos.test_oracle import Asked, _is_told_rightly, _may_refuse

USES = "uses/v_1"
LOAD: Any = SimpleNamespace(ids={"ONE": "v_1"}, limited={"ONE": 1}, cards=[], switched="SWITCH")


def row(position: int, at: float, kind: str, **event: Any) -> dict[str, Any]:
    return {
        "position": position,
        "type": f"ledger.{kind}.v1",
        "data": json.dumps(event),
        "occurred_at": datetime.fromtimestamp(at, UTC),
    }


def redeemed(position: int, at: float, name: str, amount: int = 1) -> dict[str, Any]:
    item = {"redemption_id": name, "posted": [{"account": USES, "amount": amount}]}
    return row(position, at, "redemption-succeeded", items=[item])


def given_back(position: int, at: float, name: str, amount: int = -1) -> dict[str, Any]:
    items = [{"posted": [{"account": USES, "amount": amount}]}]
    return row(position, at, "redemption-rolled-back", redemption_id=name, items=items)


def held(position: int, at: float, key: str, *, kind: str = "hold-placed") -> dict[str, Any]:
    holding = [{"account": USES, "amount": 1}] if kind == "hold-placed" else []
    return row(position, at, kind, session_key=key, held=holding)


def books(*log: dict[str, Any]) -> Books:
    kept = Books({USES: 1})
    kept.read(log)
    return kept


def refusal(began: float, ended: float, error: str = "quantity_exceeded") -> Call:
    return Call("redeem", "k", "fail", 400, error, {}, 1, began, ended)


@pytest.mark.parametrize(
    "log",
    [
        [redeemed(1, 10, "r_1"), redeemed(2, 11, "r_2")],
        [held(1, 10, "s_1"), redeemed(2, 11, "r_1")],
        [redeemed(1, 10, "r_1"), redeemed(2, 11, "r_1", 0)],
        [redeemed(1, 10, "r_1"), given_back(2, 11, "r_1", -2)],
        [redeemed(1, 10, "r_1"), given_back(2, 11, "r_1"), given_back(3, 12, "r_1")],
    ],
    ids=["over", "over what is held", "twice", "too much given back", "given back twice"],
)
def test_what_must_not_happen_is_found(log: list[dict[str, Any]]) -> None:
    assert books(*log).findings


def test_what_may_happen_is_not_found() -> None:
    log = [
        held(1, 10, "s_1"),
        held(2, 11, "s_1", kind="hold-released"),
        redeemed(3, 12, "r_1"),
        given_back(4, 13, "r_1"),
        redeemed(5, 14, "r_2"),
    ]
    assert books(*log).findings == []


def test_a_refusal_is_explained_only_by_what_was_so_meanwhile() -> None:
    kept = books(redeemed(1, 100, "r_1"), given_back(2, 200, "r_1"))
    asked = Asked(("ONE",))

    def explains(began: float, ended: float, error: str = "quantity_exceeded") -> bool:
        return _may_refuse(refusal(began, ended, error), asked, kept, LOAD, (began, ended))

    assert explains(110, 111), "it was used up"
    assert explains(98, 101), "it was used up while the call was open"
    assert not explains(50, 60), "it was not yet"
    assert not explains(300, 301), "it was no longer"
    assert not explains(110, 111, "voucher_expired"), "and never for another reason"


def test_an_answer_that_tells_of_another_price_is_not_explained() -> None:
    kept = books(redeemed(1, 100, "r_1"))
    assert kept.redeemed == {"r_1": Counter({USES: 1})}

    def is_right(discount: int) -> bool:
        redemption = {"id": "r_1", "order": {"total_applied_discount_amount": discount}}
        body = {"redemptions": [redemption]}
        call = Call("redeem", "k", "ok", 200, "", body, 1, 99, 101)
        return _is_told_rightly(call, Asked(("ONE",)), kept, LOAD, (99, 101))

    assert is_right(100)
    assert not is_right(99)
