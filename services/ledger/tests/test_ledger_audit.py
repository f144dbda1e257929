"""The audit is clean after anything the ledger does, and names whatever was tampered with."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from contracts.engine import StackRequest, ValidateStack
from contracts.errors import ErrorBody
from contracts.ledger import PlaceHold, Plan, PlannedRedemption, Posting, Redeem, RollBack
from ledger.app import build
from ledger.audit import audit
from runtime import clock
from runtime.audit import check_log
from runtime.settings import Settings
from runtime.testing import Harness

pytestmark = pytest.mark.integration


def posting(account: str, amount: int = 1) -> Posting:
    return Posting(
        account=account,
        contra="world",
        unit="use",
        amount=amount,
        limit=9,
        limit_version=1,
        error=ErrorBody(code=400, key="quantity_exceeded", message="quantity exceeded"),
    )


def redeem(*accounts: str, root: str, session: str | None = None) -> Redeem:
    redemptions = [
        PlannedRedemption(
            redemption_id=f"{root}_{account}" if len(accounts) > 1 else root,
            redeemable={"object": "voucher", "id": account},
            related_object_type="voucher",
            related_object_id=account,
            postings=[posting(account)],
        )
        for account in accounts
    ]
    plan = Plan(
        stack=StackRequest(redeemables=[], session={"key": session} if session else None),
        planned_at=clock.now(),
        parent_id=root if len(accounts) > 1 else None,
        order={"id": f"ord_{root}"},
        order_version=0,
        redemptions=redemptions,
        failed_redemption_id=f"rf_{root}",
    )
    return Redeem(plan=plan)


def hold(session: str) -> PlaceHold:
    return PlaceHold(
        session_key=session,
        postings=[posting("a")],
        ttl_us=3_600_000_000,
        order_id="ord_1",
        validation=ValidateStack(
            validation_id="valid_1", stack=StackRequest(redeemables=[]), now=clock.now()
        ),
        answer={"valid": True},
    )


@pytest_asyncio.fixture
async def ledger(leased_settings: Settings) -> AsyncIterator[Harness]:
    """A ledger in which all there is has happened once."""
    async with Harness(build(leased_settings)) as running:
        for project in ("p1", "p2"):
            for session in ("s", "t"):
                assert (await running.command(project, hold(session))).status == 200
            for command in (
                redeem("a", "b", root="r_1", session="s"),
                redeem("b", root="r_2"),
                RollBack(
                    redemption_id="r_1",
                    is_single=False,
                    rollback_ids=["rr_1", "rr_2", "rr_3"],
                    failed_rollback_id="rrf_1",
                ),
            ):
                assert (await running.command(project, command)).status == 200
        yield running


async def findings(ledger: Harness, tampering: str = "") -> list[str]:
    """Return what the audit finds after the statement, run as the database's owner would."""
    async with ledger.service.pool.acquire() as connection, connection.transaction():
        if tampering:
            await connection.execute(tampering)
        return await audit(connection) + await check_log(connection, "ledger")


async def test_it_is_clean_after_everything(ledger: Harness) -> None:
    assert await findings(ledger) == []


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (
            "UPDATE accounts SET used = 2 WHERE project_id = 'p1' AND account = 'b'",
            "ledger: account b in p1: used is 2, the log says 1",
        ),
        (
            "UPDATE accounts SET limit_amount = 10 WHERE project_id = 'p2' AND account = 'b'",
            "ledger: account b in p2: limit_amount is 10, the log says 9",
        ),
        (
            "UPDATE accounts SET adjusted = 5 WHERE project_id = 'p1' AND account = 'a'",
            "ledger: account a in p1: adjusted is 5, the log says 0",
        ),
        (
            "DELETE FROM accounts WHERE project_id = 'p1' AND account = 'b'",
            "ledger: account b in p1 is missing",
        ),
        (
            "INSERT INTO accounts (project_id, account, unit) VALUES ('p1', 'z', 'use')",
            "ledger: account z in p1: the log does not know it",
        ),
        ("DELETE FROM holds WHERE session_key = 't'", "ledger: hold t in p1 is None"),
        (
            "UPDATE holds SET order_id = 'ord_2' WHERE session_key = 't' AND project_id = 'p1'",
            "ledger: hold t in p1 is Held(",
        ),
        (
            "UPDATE accounts SET last_fact = 'redemption-r_1@1' WHERE account = 'order/ord_r_1'",
            "ledger: account order/ord_r_1 in p1: last_fact is redemption-r_1@1, the log says red",
        ),
        (
            "DELETE FROM redemption_children WHERE child_id = 'r_1_a'",
            "ledger: parent of r_1_a in p1 is None, the log says r_1",
        ),
    ],
)
async def test_a_row_that_was_tampered_with_is_named(
    ledger: Harness, tampering: str, told: str
) -> None:
    assert any(one.startswith(told) for one in await findings(ledger, tampering))


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (
            """UPDATE events SET data = replace(data::text, '"amount":1', '"amount":2')::json
               WHERE stream_id = 'redemption-r_2' AND project_id = 'p1'""",
            [
                "ledger: redemption-r_2 version 1 in p1: the hash does not match",
                "ledger: account b in p1: used is 1, the log says 2",
            ],
        ),
        (
            "DELETE FROM events WHERE stream_id = 'redemption-r_2' AND project_id = 'p2'",
            ["ledger: account b in p2: used is 1, the log says 0"],
        ),
        (
            "DELETE FROM events WHERE stream_id = 'redemption-r_1' AND stream_version = 1",
            [
                "ledger: redemption-r_1 version 2 in p1: version 1 is missing",
                "ledger: redemption-r_1 in p1: r_1_a gave back",
            ],
        ),
        (
            """INSERT INTO events (project_id, stream_id, stream_version, event_id, type, topic,
                   partition, data, hash, occurred_at, correlation_id, causation_id)
               SELECT project_id, 'redemption-again', 1, 'ev_again', type, topic, partition, data,
                      hash, occurred_at, correlation_id, causation_id
               FROM events WHERE stream_id = 'redemption-r_2' AND project_id = 'p1'""",
            [
                "ledger: redemption-again in p1: r_2 was redeemed before",
                "ledger: redemption-again version 1 in p1: the hash does not match",
            ],
        ),
    ],
)
async def test_an_event_that_was_tampered_with_is_named(
    ledger: Harness, tampering: str, told: list[str]
) -> None:
    found = await findings(ledger, f"ALTER TABLE events DISABLE TRIGGER USER; {tampering}")
    for one in told:
        assert any(finding.startswith(one) for finding in found), found
