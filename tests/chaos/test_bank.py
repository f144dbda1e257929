"""R03: many hands on one gift card, while the ledger and Postgres crash. To the cent, at every moment."""

import json
import os
import random
import signal
from typing import Any

import httpx
import pytest

from tests.chaos.journal import Journal, Load, judge
from tests.chaos.kit import crash_postgres, is_ready, report, rows, say, send_signal
from tests.system import System, cart, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.full, pytest.mark.timeout(600)]

SEED = int(os.environ.get("CHAOS_SEED", "3"))
CALLS = 300
CRASHES = 3
AMOUNT = 10_000


class Bank(Load):
    """Takes from one card and puts on it; a third of what is asked for is more than there is."""

    async def _one(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        card = self.cards[0]
        amount = chance.randrange(1, 1_200)
        if chance.random() < 0.6:
            body = cart(card, amount=2_000)
            body["redeemables"][0]["gift"] = {"credits": amount}
            await self.perform(client, "redeem", "POST", "/v1/redemptions", body)
        else:
            signed = amount if chance.random() < 0.5 else -amount
            path = f"/v1/vouchers/{card}/balance"
            await self.perform(client, "adjust", "POST", path, {"amount": signed})


def test_r03_a_card_adds_up_to_the_cent(system: System) -> None:
    journal = Journal("R03", SEED)
    say(f"R03: seed {SEED}, journal {journal.path}")
    load = Bank(system.project(), journal, SEED)
    with load:
        for _ in range(CRASHES):
            load.wait_for_calls(CALLS // (2 * CRASHES), 120)
            assert send_signal(system, "ledger", signal.SIGKILL)
            wait_until(lambda: is_ready(system, "ledger"), "the ledger again", 90)
            load.wait_for_calls(CALLS // (2 * CRASHES), 120)
            crash_postgres(system)
    facts = judge(system, load, "R03")
    balance, refused = _folded(system, load), _refusals(journal)
    shown = load.api.must("GET", f"/v1/vouchers/{load.cards[0]}")["gift"]["balance"]
    assert shown == balance
    assert set(refused) <= {"gift_amount_exceeded", "invalid_payload"}, refused
    assert refused, "more was asked for than there was"
    report("R03", **facts, kills=CRASHES, postgres_crashes=CRASHES, balance=balance)


def _folded(system: System, load: Load) -> int:
    """Fold the log: the card is never below zero, and has what clients were told of."""
    journal = load.journal
    card = load.api.must("GET", f"/v1/vouchers/{load.cards[0]}")["id"]
    sql = "SELECT data FROM ledger.events WHERE project_id = $1 ORDER BY position"
    balance, taken, put = AMOUNT, 0, 0
    for row in rows(system, sql, load.api.project_id):
        event: dict[str, Any] = json.loads(row["data"])
        for item in event.get("items", []):
            taken += sum(
                one["amount"] for one in item["posted"] if one["account"] == f"credits/{card}"
            )
        if event.get("account") == f"credits/{card}":
            put += event["amount"]
        balance = AMOUNT - taken + put
        assert balance >= 0, "below zero"
    told = sum(call.body["redemptions"][0]["amount"] for call in journal.of("redeem", "ok"))
    assert taken == told
    assert put == sum(call.body["amount"] for call in journal.of("adjust", "ok"))
    return balance


def _refusals(journal: Journal) -> set[str]:
    return {call.error for call in journal.calls if call.outcome == "fail"}
