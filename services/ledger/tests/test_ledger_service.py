"""The ledger on a real Postgres."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from contracts.customers import Order, OrderUpdated
from contracts.engine import PlanRedemption, StackRequest, ValidateStack
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
from ledger.limits import ORDER_TURNS_MAX
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
                "status": "PAID",
            },
            sent_order={"amount": 1000, "total_amount": 1000},
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
        if row["project_id"] == project and row["unit"] != "fact"
    }


async def facts(ledger: Harness, project: str = "p1") -> dict[str, int]:
    return {
        row["account"]: row["used"]
        for row in await ledger.rows("accounts")
        if row["project_id"] == project and row["unit"] == "fact"
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
    event = ledger.appended[-1]
    assert isinstance(event, RedemptionFailed)
    assert event.order == {"amount": 1000, "total_amount": 1000}, "as it was before"


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


def hold(
    *postings: Posting, session: str = "s", seconds: float = 3600, order: str | None = None
) -> PlaceHold:
    return PlaceHold(
        session_key=session,
        postings=[one.model_copy(update={"holder": one.account}) for one in postings],
        ttl_us=int(seconds * 1_000_000),
        order_id=order,
        validation=ValidateStack(
            validation_id="valid_1", stack=StackRequest(redeemables=[]), now=clock.now()
        ),
        answer={"valid": bool(postings), "session": {"key": session}},
    )


async def test_a_hold_is_used_by_its_own_session_only(ledger: Harness) -> None:
    reply = await ledger.command("p1", hold(uses("a", 1)))
    assert (reply.status, reply.body) == (200, {"valid": True, "session": {"key": "s"}})
    assert await balances(ledger) == {"uses/a": (0, 1)}
    assert (await ledger.command("p1", plan([uses("a", 1)]))).status == 400
    assert (await ledger.command("p2", plan([uses("a", 1)], session="s"))).status == 200
    assert (await ledger.command("p1", plan([uses("a", 1)], session="s"))).status == 200
    assert await balances(ledger) == {"uses/a": (1, 0)}
    last = ledger.appended[-1]
    assert isinstance(last, HoldReleased)
    assert [(one.held, one.used, one.available) for one in last.balances] == [(0, 1, 0)]
    again = await ledger.command("p1", plan([uses("a", 1)], session="s"))
    assert again.error is not None
    assert again.error.key == "quantity_exceeded"


async def test_a_hold_is_replaced_released_and_expires(ledger: Harness) -> None:
    await ledger.command("p1", hold(uses("a", 1)))
    await ledger.command("p1", hold(uses("b", 1)))
    assert await balances(ledger) == {"uses/a": (0, 0), "uses/b": (0, 1)}
    assert (await ledger.command("p1", ReleaseHold(session_key="s"))).status == 200
    twice = await ledger.command("p1", ReleaseHold(session_key="s"))
    assert twice.error is not None
    assert (twice.status, twice.error.resource_type) == (404, "session")
    placed = await ledger.command("p1", hold(uses("b", 1), seconds=60))
    assert placed.status == 200
    due_at = ledger.appended[-1].expires_at  # type: ignore[attr-defined]
    early = due_at - timedelta(milliseconds=1)
    assert await expire_due_holds(ledger.service, early) == 0
    assert await balances(ledger) == {"uses/a": (0, 0), "uses/b": (0, 1)}
    assert await expire_due_holds(ledger.service, due_at) == 1
    assert await balances(ledger) == {"uses/a": (0, 0), "uses/b": (0, 0)}
    await ledger.refresh()
    last = ledger.appended[-1]
    assert isinstance(last, HoldReleased)
    assert last.reason == "expired"


async def test_a_hold_that_does_not_fit_is_validated_again_and_holds_nothing(
    ledger: Harness,
) -> None:
    await ledger.command("p1", hold(uses("a", 1), session="other"))
    before = len(ledger.appended)
    assert await ledger.commands([("p1", hold(uses("b", 5), uses("a", 1)))]) == [None]
    request = ValidateStack.from_json(ledger.sent[-1].value)
    assert ledger.sent[-1].topic == "engine.requests"
    assert (request.attempt, request.available) == (2, {"uses/b": 5, "uses/a": 0})
    assert await balances(ledger) == {"uses/a": (0, 1)}
    assert len(ledger.appended) == before


async def test_a_refused_validation_changes_nothing_and_is_remembered(ledger: Harness) -> None:
    await ledger.command("p1", hold(uses("a", 1)))
    before = len(ledger.appended)
    refused = await ledger.command("p1", hold(), key="k", fingerprint="f")
    again = await ledger.command("p1", hold(uses("b", 1)), key="k", fingerprint="f")
    assert refused.body == again.body == {"valid": False, "session": {"key": "s"}}
    assert again.replayed
    assert await balances(ledger) == {"uses/a": (0, 1)}
    assert len(ledger.appended) == before


async def test_one_redeemable_of_a_session_is_released_and_the_last_takes_all(
    ledger: Harness,
) -> None:
    session = Posting(
        account="customer-sessions/c",
        contra="world",
        unit="session",
        amount=1,
        limit=1,
        error=ErrorBody(code=400, key="too_many_sessions", message="Too many open sessions"),
    )
    both = hold(uses("a", 1), uses("b", 1))
    both = both.model_copy(update={"postings": [*both.postings, session]})
    await ledger.command("p1", both)
    other = hold(uses("c", 1), session="t")
    other = other.model_copy(update={"postings": [*other.postings, session]})
    refused = await ledger.command("p1", other)
    assert refused.error is not None
    assert refused.error.key == "too_many_sessions"
    await ledger.command("p1", ReleaseHold(session_key="s", holder="uses/a"))
    assert await balances(ledger) == {
        "uses/a": (0, 0),
        "uses/b": (0, 1),
        "customer-sessions/c": (0, 1),
    }
    reply = await ledger.command("p1", ReleaseHold(session_key="s", holder="uses/a"))
    assert reply.status == 404
    await ledger.command("p1", ReleaseHold(session_key="s", holder="uses/b"))
    assert set((await balances(ledger)).values()) == {(0, 0)}
    assert (await ledger.command("p1", other)).status == 200


async def test_a_canceled_order_gives_back_what_is_held_for_it(ledger: Harness) -> None:
    for project in ("p1", "p2"):
        await ledger.command(project, hold(uses("a", 5), session="s", order="ord_1"))
        await ledger.command(project, hold(uses("a", 5), session="t", order="ord_2"))

    def order(status: str) -> OrderUpdated:
        return OrderUpdated(
            order=Order(id="ord_1", status=status, created_at=clock.now()),
            previous_status="CREATED",
        )

    await ledger.event("p1", order("FULFILLED"), source="customers")
    assert await balances(ledger) == {"uses/a": (0, 2)}
    for _ in range(2):
        await ledger.event("p1", order("CANCELED"), source="customers")
        assert await balances(ledger) == {"uses/a": (0, 1)}
    assert await balances(ledger, "p2") == {"uses/a": (0, 2)}
    last = ledger.appended[-1]
    assert isinstance(last, HoldReleased)
    assert (last.session_key, last.reason) == ("s", "canceled")


async def test_two_processes_expire_each_hold_once(leased_settings: Settings) -> None:
    first = Harness(build(leased_settings))
    second = Harness(build(leased_settings), is_new=False)
    async with first, second:
        await first.commands(
            [("p1", hold(uses("a", 900), session=f"s{n}", seconds=1)) for n in range(250)]
        )
        later = clock.now() + timedelta(seconds=2)
        released = 0
        while done := await asyncio.gather(
            *(expire_due_holds(one.service, later) for one in (first, second))
        ):
            released += sum(done)
            if not any(done):
                break
        assert released == 250
        assert await balances(first) == {"uses/a": (0, 0)}
        await first.refresh()
        kinds = Counter(type(event).__name__ for event in first.appended)
        assert kinds == {"HoldPlaced": 250, "HoldReleased": 250}


def on_order(redeem: Redeem, version: int) -> Redeem:
    """Return the plan as one that continues an order of which so much was known."""
    return Redeem(plan=redeem.plan.model_copy(update={"order_version": version}))


async def test_a_second_redemption_of_an_order_is_planned_after_the_first(ledger: Harness) -> None:
    first, second = (on_order(plan([uses(code, 5)]), 0) for code in "ab")
    replies = await ledger.commands([("p1", first), ("p1", second)])
    assert replies[0] is not None
    assert replies[0].status == 200
    assert replies[1] is None
    request = PlanRedemption.from_json(ledger.sent[-1].value)
    assert (request.turn, request.attempt, request.order_version) == (2, 1, 1)
    assert request.known_order == first.plan.order
    assert await balances(ledger) == {"uses/a": (1, 0)}
    assert await facts(ledger) == {"order/ord_1": 1}
    # The same in a later batch: the order is read from the log.
    assert await ledger.commands([("p1", second)]) == [None]
    assert PlanRedemption.from_json(ledger.sent[-1].value).known_order == first.plan.order
    assert (await ledger.command("p1", on_order(second, 1))).status == 200
    assert (await ledger.command("p2", on_order(plan([uses("a", 5)]), 0))).status == 200


async def test_a_rollback_counts_too(ledger: Harness) -> None:
    first = on_order(plan([uses("a", 5)]), 0)
    await ledger.command("p1", first)
    await ledger.command("p1", roll_back(first.plan.redemptions[0].redemption_id))
    assert await ledger.commands([("p1", on_order(plan([uses("a", 5)]), 1))]) == [None]
    request = PlanRedemption.from_json(ledger.sent[-1].value)
    assert request.order_version == 2
    assert request.known_order is not None
    assert request.known_order["status"] == "CANCELED"
    assert (await ledger.command("p1", on_order(plan([uses("a", 5)]), 2))).status == 200


async def test_an_order_s_turns_are_bounded(ledger: Harness) -> None:
    await ledger.command("p1", on_order(plan([uses("a", 5)]), 0))
    late = on_order(plan([uses("b", 5)]), 0)
    late = Redeem(plan=late.plan.model_copy(update={"turn": ORDER_TURNS_MAX}))
    reply = await ledger.command("p1", late)
    assert (reply.status, reply.retry_after_s) == (503, 1)


async def test_two_processes_take_turns_at_one_order(leased_settings: Settings) -> None:
    first = Harness(build(leased_settings))
    second = Harness(build(leased_settings), is_new=False)
    async with first, second:
        results = await asyncio.gather(
            *(
                one.commands([("p1", on_order(plan([uses(f"{name}{n}", 5)]), 0)) for n in range(5)])
                for name, one in (("a", first), ("b", second))
            )
        )
        statuses = Counter(reply.status if reply else 0 for replies in results for reply in replies)
        assert statuses == {200: 1, 0: 9}


async def test_the_database_itself_refuses_to_go_over(ledger: Harness) -> None:
    await ledger.command("p1", plan([uses("a", 1)]))
    async with ledger.service.pool.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError, match="never_over"):
            await connection.execute("UPDATE accounts SET used = 2")
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await connection.execute("DELETE FROM events")
