"""The ledger on a real Postgres."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from contracts.engine import PlanRedemption, StackRequest
from contracts.errors import ErrorBody
from contracts.ledger import (
    AdjustBalance,
    HoldReleased,
    PlaceHold,
    Plan,
    PlannedRedemption,
    Posting,
    Redeem,
    RedemptionFailed,
    RedemptionRolledBack,
    RedemptionSucceeded,
    ReleaseHold,
    RollBack,
)
from ledger.app import build
from ledger.timers import expire_due_holds
from runtime import clock, ids
from runtime.settings import Settings
from runtime.testing import Harness

pytestmark = pytest.mark.integration

EXCEEDED = ErrorBody(code=400, key="quantity_exceeded", message="quantity exceeded")
NO_CREDIT = ErrorBody(code=400, key="gift_amount_exceeded", message="gift amount exceeded")


@pytest_asyncio.fixture
async def ledger(leased_settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(build(leased_settings)) as running:
        yield running


def uses(code: str, limit: int | None, version: int = 1) -> Posting:
    return Posting(
        account=f"uses/{code}",
        contra="world",
        unit="use",
        amount=1,
        limit=limit,
        limit_version=version,
        error=EXCEEDED,
    )


def credit(code: str, amount: int, limit: int, *, is_adjustable: bool = False) -> Posting:
    return Posting(
        account=f"credits/{code}",
        contra="order/o",
        unit="credit",
        amount=amount,
        limit=limit,
        limit_version=1,
        error=NO_CREDIT,
        is_adjustable=is_adjustable,
    )


def plan(*postings: list[Posting], attempt: int = 1, session: str = "") -> Redeem:
    redemptions = [
        PlannedRedemption(
            redemption_id=ids.new_id("r"),
            redeemable={"object": "voucher", "id": "x"},
            related_object_type="voucher",
            related_object_id="v_x",
            postings=list(one),
        )
        for one in postings
    ]
    stack = StackRequest(
        redeemables=[{"object": "voucher", "id": "x"}] * len(postings),
        session={"type": "LOCK", "key": session} if session else None,
    )
    return Redeem(
        plan=Plan(
            stack=stack,
            attempt=attempt,
            planned_at=clock.now(),
            parent_id=ids.new_id("r") if len(postings) > 1 else None,
            order={
                "id": "ord_1",
                "amount": 1000,
                "total_amount": 900,
                "total_discount_amount": 100,
            },
            redemptions=redemptions,
            failed_redemption_id=ids.new_id("rf"),
        )
    )


def roll_back(
    redemption_id: str, count: int = 1, *, is_single: bool = True, **more: Any
) -> RollBack:
    return RollBack(
        redemption_id=redemption_id,
        is_single=is_single,
        rollback_ids=[ids.new_id("rr") for _ in range(count + 1)],
        failed_rollback_id=ids.new_id("rrf"),
        **more,
    )


async def balances(ledger: Harness, project: str = "p1") -> dict[str, tuple[int, int]]:
    return {
        row["account"]: (row["used"], row["held"])
        for row in await ledger.rows("accounts")
        if row["project_id"] == project
    }


async def test_a_stack_is_applied_whole(ledger: Harness) -> None:
    reply = await ledger.command("p1", plan([uses("a", 5)], [credit("g", 300, 1000)]))
    assert reply.status == 200
    assert await balances(ledger) == {"uses/a": (1, 0), "credits/g": (300, 0)}
    event = ledger.appended[0]
    assert isinstance(event, RedemptionSucceeded)
    assert [posted.available for item in event.items for posted in item.posted] == [4, 700]


async def test_a_stack_is_refused_whole_and_recorded(ledger: Harness) -> None:
    await ledger.command("p1", plan([credit("g", 900, 1000)]))
    command = plan([uses("a", 5)], [credit("g", 300, 1000)])
    reply = await ledger.command("p1", command)
    assert reply.error is not None
    assert (reply.status, reply.error.key) == (400, "gift_amount_exceeded")
    assert reply.error.resource_id == command.plan.failed_redemption_id
    assert await balances(ledger) == {"credits/g": (900, 0)}
    assert isinstance(ledger.appended[-1], RedemptionFailed)


async def test_projects_have_accounts_of_their_own(ledger: Harness) -> None:
    for project in ("p1", "p2"):
        assert (await ledger.command(project, plan([uses("a", 1)]))).status == 200
    assert (await ledger.command("p2", plan([uses("a", 1)]))).status == 400


async def test_a_batch_never_goes_over(ledger: Harness) -> None:
    replies = await ledger.commands([("p1", plan([uses("a", 20)])) for _ in range(50)])
    assert Counter(reply.status for reply in replies if reply) == {200: 20, 400: 30}
    assert await balances(ledger) == {"uses/a": (20, 0)}


async def test_two_processes_never_go_over(leased_settings: Settings) -> None:
    first = Harness(build(leased_settings))
    second = Harness(build(leased_settings), is_new=False)
    async with first, second:
        results = await asyncio.gather(
            *(
                one.commands(
                    [("p1", plan([uses("a", 20)], [uses(f"c{n}", None)])) for n in range(30)]
                )
                for one in (first, second)
            )
        )
        statuses = Counter(reply.status for replies in results for reply in replies if reply)
        assert statuses == {200: 20, 400: 40}
        assert (await balances(first))["uses/a"] == (20, 0)


async def test_two_processes_give_back_once(leased_settings: Settings) -> None:
    first = Harness(build(leased_settings))
    second = Harness(build(leased_settings), is_new=False)
    async with first, second:
        made = [plan([uses("a", 100)]) for _ in range(40)]
        await first.commands([("p1", command) for command in made])
        undo = [roll_back(command.plan.redemptions[0].redemption_id) for command in made]
        results = await asyncio.gather(
            *(one.commands([("p1", command) for command in undo]) for one in (first, second))
        )
        keys = Counter(
            reply.error.key if reply.error else "ok"
            for replies in results
            for reply in replies
            if reply
        )
        assert keys == {"ok": 40, "already_rolled_back": 40}
        assert await balances(first) == {"uses/a": (0, 0)}


async def test_rolling_back_restores_everything_once(ledger: Harness) -> None:
    command = plan([uses("a", 5)], [credit("g", 300, 1000)])
    await ledger.command("p1", command)
    root = command.plan.parent_id
    assert root is not None
    reply = await ledger.command("p1", roll_back(root, 2, is_single=False))
    assert reply.body is not None
    assert reply.body["rollback"]["order"]["status"] == "CANCELED"
    assert reply.body["rollback"]["order"]["total_amount"] == 1000
    assert await balances(ledger) == {"uses/a": (0, 0), "credits/g": (0, 0)}
    again = await ledger.command("p1", roll_back(root, 2, is_single=False))
    assert again.error is not None
    assert again.error.key == "already_rolled_back"
    assert await balances(ledger) == {"uses/a": (0, 0), "credits/g": (0, 0)}
    event = ledger.appended[1]
    assert isinstance(event, RedemptionRolledBack)
    assert [posted.amount for item in event.items for posted in item.posted] == [-1, -300]


@pytest.mark.parametrize(
    ("which", "is_single", "key"),
    [
        ("child", True, "invalid_redemption_parent"),
        ("child", False, "invalid_redemption_parent"),
        ("parent", True, "invalid_redemption"),
        ("nobody", True, "not_found"),
    ],
)
async def test_what_cannot_be_rolled_back(
    ledger: Harness, which: str, is_single: bool, key: str
) -> None:
    command = plan([uses("a", 5)], [uses("b", 5)])
    await ledger.command("p1", command)
    named = {
        "child": command.plan.redemptions[0].redemption_id,
        "parent": command.plan.parent_id or "",
        "nobody": "r_nobody",
    }[which]
    reply = await ledger.command("p1", roll_back(named, 2, is_single=is_single))
    assert reply.error is not None
    assert reply.error.key == key
    assert await balances(ledger) == {"uses/a": (1, 0), "uses/b": (1, 0)}
    other = await ledger.command("p2", roll_back(command.plan.parent_id or "", 2, is_single=False))
    assert other.status == 404


async def test_another_customer_s_redemption_is_not_rolled_back(ledger: Harness) -> None:
    command = plan([uses("a", 5)])
    await ledger.command("p1", command)
    redemption_id = command.plan.redemptions[0].redemption_id
    reply = await ledger.command("p1", roll_back(redemption_id, order={"id": "ord_other"}))
    assert reply.error is not None
    assert reply.error.key == "invalid_order"
    reply = await ledger.command("p1", roll_back(redemption_id, order={"id": "ord_1"}))
    assert reply.status == 200


async def test_redeeming_and_rolling_back_in_one_batch(ledger: Harness) -> None:
    command = plan([uses("a", 1)])
    undo = roll_back(command.plan.redemptions[0].redemption_id)
    replies = await ledger.commands([("p1", command), ("p1", undo), ("p1", plan([uses("a", 1)]))])
    assert [reply.status for reply in replies if reply] == [200, 200, 200]
    assert await balances(ledger) == {"uses/a": (1, 0)}


async def test_a_newer_limit_counts_and_an_older_plan_goes_back(ledger: Harness) -> None:
    await ledger.command("p1", plan([uses("a", 10, version=2)]))
    replies = await ledger.commands([("p1", plan([uses("a", 100, version=1)]))])
    assert replies == [None]
    request = PlanRedemption.from_json(ledger.sent[0].value)
    assert (request.attempt, request.available) == (2, {"uses/a": 9})
    assert ledger.sent[0].topic == "engine.requests"
    assert await balances(ledger) == {"uses/a": (1, 0)}


async def test_too_much_of_the_engine_s_own_choice_goes_back_a_bounded_number_of_times(
    ledger: Harness,
) -> None:
    await ledger.command("p1", plan([credit("g", 900, 1000)]))
    posting = credit("g", 500, 1000, is_adjustable=True)
    assert await ledger.commands([("p1", plan([posting]))]) == [None]
    reply = await ledger.command("p1", plan([posting], attempt=3))
    assert (reply.status, reply.retry_after_s) == (503, 1)
    assert await balances(ledger) == {"credits/g": (900, 0)}


async def test_a_balance_is_adjusted_but_not_below_zero(ledger: Harness) -> None:
    def adjust(amount: int) -> AdjustBalance:
        return AdjustBalance(
            voucher_id="g",
            voucher={"code": "G"},
            account="credits/g",
            unit="credit",
            amount=amount,
            limit=1000,
            limit_version=1,
            transaction_id=ids.new_id("vtx"),
        )

    await ledger.command("p1", plan([credit("g", 900, 1000)]))
    reply = await ledger.command("p1", adjust(50))
    assert reply.body is not None
    assert reply.body["adjustment"]["available"] == 150
    refused = await ledger.command("p1", adjust(-151))
    assert refused.error is not None
    assert "amount" in (refused.error.details or "")
    assert (await ledger.command("p1", plan([credit("g", 151, 1000)]))).status == 400
    assert (await ledger.command("p1", plan([credit("g", 150, 1000)]))).status == 200


async def test_a_hold_is_used_by_its_own_session_only(ledger: Harness) -> None:
    hold = PlaceHold(
        session_key="s", postings=[uses("a", 1)], expires_at=clock.now() + timedelta(hours=1)
    )
    await ledger.command("p1", hold)
    assert await balances(ledger) == {"uses/a": (0, 1)}
    assert (await ledger.command("p1", plan([uses("a", 1)]))).status == 400
    assert (await ledger.command("p1", plan([uses("a", 1)], session="s"))).status == 200
    assert await balances(ledger) == {"uses/a": (1, 0)}


async def test_a_hold_is_replaced_released_and_expires(ledger: Harness) -> None:
    def hold(*postings: Posting, hours: int = 1) -> PlaceHold:
        expires_at = clock.now() + timedelta(hours=hours)
        return PlaceHold(session_key="s", postings=list(postings), expires_at=expires_at)

    await ledger.command("p1", hold(uses("a", 1)))
    await ledger.command("p1", hold(uses("b", 1)))
    assert await balances(ledger) == {"uses/a": (0, 0), "uses/b": (0, 1)}
    assert (await ledger.command("p1", ReleaseHold(session_key="s"))).status == 200
    assert (await ledger.command("p1", ReleaseHold(session_key="s"))).status == 404
    await ledger.command("p1", hold(uses("b", 1), hours=-1))
    assert await expire_due_holds(ledger.service, clock.now()) == 1
    assert await balances(ledger) == {"uses/a": (0, 0), "uses/b": (0, 0)}
    await ledger.refresh()
    last = ledger.appended[-1]
    assert isinstance(last, HoldReleased)
    assert last.reason == "expired"


async def test_the_database_itself_refuses_to_go_over(ledger: Harness) -> None:
    await ledger.command("p1", plan([uses("a", 1)]))
    async with ledger.service.pool.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError, match="never_over"):
            await connection.execute("UPDATE accounts SET used = 2")
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await connection.execute("DELETE FROM events")
