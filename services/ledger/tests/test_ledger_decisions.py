"""Decisions as data, without a database: what the state machine reaches only by luck."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.engine import StackRequest
from contracts.errors import ErrorBody, InvalidPayload
from contracts.ledger import (
    Plan,
    PlannedRedemption,
    Posting,
    RedemptionSucceeded,
    RollBack,
    RollbackFailed,
)
from ledger.domain.accounts import Account
from ledger.domain.redeem import HandBack, Redeemed, Refused, decide_redeem
from ledger.domain.rollback import Redemption, RolledBack, decide_roll_back
from ledger.limits import REDEEMABLES_MAX, ROLLBACK_DAYS_MAX

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def uses(amount: int = 1, *, limit: int | None = 5, version: int = 1, **more: Any) -> Posting:
    error = ErrorBody(code=400, key="quantity_exceeded", message="quantity exceeded", details="A")
    return Posting(
        account="uses/a",
        contra="world",
        unit="use",
        amount=amount,
        limit=limit,
        limit_version=version,
        error=error,
        **more,
    )


def plan(*redeemables: list[Posting]) -> Plan:
    return Plan(
        stack=StackRequest(redeemables=[]),
        planned_at=NOW,
        parent_id="r_parent" if len(redeemables) > 1 else None,
        customer={"id": "cust_1", "source_id": "ann"},
        order={"id": "ord_1", "amount": 1000, "total_amount": 900},
        redemptions=[
            PlannedRedemption(
                redemption_id=f"r_{number}",
                redeemable={"object": "voucher", "id": f"code{number}"},
                related_object_type="voucher",
                related_object_id=f"v_{number}",
                postings=postings,
            )
            for number, postings in enumerate(redeemables)
        ],
        failed_redemption_id="rf_1",
    )


def account(**values: Any) -> dict[str, Account]:
    return {"uses/a": Account("uses/a", "use", 5, 1, is_new=False)._replace(**values)}


def redeemed(*redeemables: list[Posting]) -> tuple[RedemptionSucceeded, dict[str, Account]]:
    decision = decide_redeem(plan(*redeemables), {}, [], NOW)
    assert isinstance(decision, Redeemed)
    return decision.event, dict(decision.accounts)


def test_a_failure_shows_the_order_as_it_was_sent() -> None:
    """Nothing was paid and nothing taken off."""
    sent = {"source_id": "o-1", "amount": 1000, "total_amount": 1000}
    priced = {"id": "ord_1", "amount": 1000, "total_amount": 900, "status": "PAID"}
    made = plan([uses()]).model_copy(update={"sent_order": sent, "order": priced})
    decision = decide_redeem(made, account(used=5), [], NOW)
    assert isinstance(decision, Refused)
    assert decision.event.order == sent


def test_the_first_posting_that_does_not_fit_is_the_answer() -> None:
    accounts = account(used=4)
    decision = decide_redeem(plan([uses()], [uses()], [uses()]), accounts, [], NOW)
    assert isinstance(decision, Refused)
    assert decision.event.refused == {"object": "voucher", "id": "code1"}
    assert decision.event.error.key == "quantity_exceeded"
    assert decision.event.error.resource_id == "rf_1"
    assert accounts == account(used=4)


def test_a_limit_of_the_version_zero_counts() -> None:
    decision = decide_redeem(plan([uses(6, version=0)]), {}, [], NOW)
    assert isinstance(decision, Refused)


def test_one_definition_may_hold_a_narrow_and_a_wide_limit() -> None:
    wide = decide_redeem(plan([uses(2, limit=9)]), account(used=4), [], NOW)
    assert isinstance(wide, Redeemed)
    assert wide.accounts["uses/a"].limit == 9
    narrow = decide_redeem(plan([uses(limit=5)]), wide.accounts, [], NOW)
    assert isinstance(narrow, Refused)
    unlimited = decide_redeem(plan([uses(limit=None)]), wide.accounts, [], NOW)
    assert isinstance(unlimited, Redeemed)
    assert unlimited.accounts["uses/a"].limit is None
    assert isinstance(decide_redeem(plan([uses(limit=5)]), unlimited.accounts, [], NOW), Refused)


def test_what_its_own_session_holds_is_told_to_the_engine_as_available() -> None:
    accounts = account(used=1, held=3)
    decision = decide_redeem(plan([uses(5, is_adjustable=True)]), accounts, [uses(3)], NOW)
    assert decision == HandBack({"uses/a": 4})
    decision = decide_redeem(plan([uses(5, is_adjustable=True)]), accounts, [], NOW)
    assert decision == HandBack({"uses/a": 1})


def test_an_older_plan_goes_back_only_if_the_limit_has_changed() -> None:
    accounts = account(limit=7, limit_version=2)
    assert decide_redeem(plan([uses(limit=5)]), accounts, [], NOW) == HandBack({"uses/a": 7})
    assert isinstance(decide_redeem(plan([uses(limit=7)]), accounts, [], NOW), Redeemed)


def test_a_redemption_has_at_most_thirty_redeemables() -> None:
    with pytest.raises(InvalidPayload, match="at most 30"):
        decide_redeem(plan(*[[uses(limit=None)]] * (REDEEMABLES_MAX + 1)), {}, [], NOW)


@pytest.mark.parametrize(
    ("changes", "days", "key"),
    [
        ({"is_single": True}, 0, "invalid_redemption"),
        ({}, ROLLBACK_DAYS_MAX + 1, "invalid_redemption"),
        ({"customer": {"source_id": "bob"}}, 0, "invalid_customer"),
        ({"customer": {"id": "cust_2"}}, 0, "invalid_customer"),
        ({"order": {"id": "ord_2"}}, 0, "invalid_order"),
    ],
)
def test_what_a_stack_s_rollback_is_refused_for(
    changes: dict[str, Any], days: int, key: str
) -> None:
    event, accounts = redeemed([uses()], [uses()])
    command = roll_back(**changes)
    later = NOW + timedelta(days=days)
    decision = decide_roll_back(command, Redemption(event), accounts, later)
    assert isinstance(decision, RollbackFailed)
    assert (decision.error.key, decision.error.resource_id) == (key, "rrf_1")


def test_a_stack_s_rollback_restores_everything() -> None:
    event, accounts = redeemed([uses()], [uses(2)])
    decision = decide_roll_back(
        roll_back(customer={"source_id": "ann"}, order={"id": "ord_1"}),
        Redemption(event),
        accounts,
        NOW,
    )
    assert isinstance(decision, RolledBack)
    assert decision.accounts["uses/a"].used == 0
    assert decision.event.parent_rollback_id == "rr_0"
    assert [item.rollback_id for item in decision.event.items] == ["rr_1", "rr_2"]
    assert [one.amount for item in decision.event.items for one in item.posted] == [-1, -2]


def roll_back(**changes: Any) -> RollBack:
    values: dict[str, Any] = {
        "redemption_id": "r_parent",
        "is_single": False,
        "rollback_ids": ["rr_0", "rr_1", "rr_2"],
        "failed_rollback_id": "rrf_1",
    }
    return RollBack(**{**values, **changes})
