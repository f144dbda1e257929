"""Simultaneous redemptions of one order take turns: none is refused for being second, none is lost."""

import uuid
from collections import Counter
from typing import Any

import pytest

from tests.system import Api, run

pytestmark = pytest.mark.e2e

AT_ONCE = 20


def on(order: str, code: str, amount: int = 10_000) -> dict[str, Any]:
    """Return a redemption of one code on the order."""
    return {
        "redeemables": [{"object": "voucher", "id": code}],
        "customer": {"source_id": f"c-{order}"},
        "order": {"source_id": order, "amount": amount},
    }


def test_twenty_redemptions_of_one_order_add_up(api: Api) -> None:
    order = f"o-{uuid.uuid4().hex}"
    codes = [api.voucher(quantity=1) for _ in range(AT_ONCE)]
    requests = [("POST", "/v1/redemptions", on(order, code), uuid.uuid4().hex) for code in codes]
    answers = run(api.at_once(requests, retries=20))
    assert Counter(answer.status for answer in answers) == {200: AT_ONCE}
    # Each was decided on the order as those before it had left it: 1.00, 2.00, 3.00 …
    discounts = sorted(answer.json["order"]["discount_amount"] for answer in answers)
    assert discounts == [100 * (number + 1) for number in range(AT_ONCE)]
    shown = api.must("GET", f"/v1/orders/{order}")
    assert shown["discount_amount"] == 100 * AT_ONCE
    assert shown["total_amount"] == 10_000 - 100 * AT_ONCE


def test_a_card_never_pays_for_more_than_the_order_costs(api: Api) -> None:
    order = f"o-{uuid.uuid4().hex}"
    cards = [f"G-{uuid.uuid4().hex[:10]}" for _ in range(6)]
    for card in cards:
        api.must("POST", f"/v1/vouchers/{card}", {"type": "GIFT_VOUCHER", "gift": {"amount": 3000}})
    requests = [
        ("POST", "/v1/redemptions", on(order, card, amount=10_000), uuid.uuid4().hex)
        for card in cards
    ]
    answers = run(api.at_once(requests, retries=20))
    assert {answer.status for answer in answers} <= {200, 400}
    paid = sum(3000 - api.must("GET", f"/v1/vouchers/{card}")["gift"]["balance"] for card in cards)
    assert paid == 10_000
    assert api.must("GET", f"/v1/orders/{order}")["total_amount"] == 0


def test_simultaneous_rollbacks_give_back_once(api: Api) -> None:
    code = api.voucher(quantity=1)
    redemption = api.redeem(code).json["redemptions"][0]["id"]
    path = f"/v1/redemptions/{redemption}/rollback"
    answers = run(
        api.at_once([("POST", path, {}, uuid.uuid4().hex) for _ in range(10)], retries=20)
    )
    told = Counter((answer.status, answer.key) for answer in answers)
    assert told == {(200, ""): 1, (400, "already_rolled_back"): 9}
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 0
