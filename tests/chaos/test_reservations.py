"""R08: four uses, fifty sessions that lock, redeem, release and expire, and a ledger that dies meanwhile."""

import asyncio
import threading
import time
import uuid
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from tests.chaos.kit import report, say
from tests.system import Answer, Api, System, cart, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

QUANTITY = 4
SESSIONS = 50
TTL_S = 5
LATE_S_MAX = 10.0
"""The promise is one second; a machine that runs the whole test bench may be later, never earlier."""


@pytest.fixture(autouse=True)
def audited(system: System) -> object:
    yield
    assert "audit: clean" in system.audit()


def lock(code: str, key: str) -> dict[str, Any]:
    """Return a validation that holds the code for a few seconds."""
    session = {"type": "LOCK", "key": key, "ttl": TTL_S, "ttl_unit": "SECONDS"}
    return {**cart(code), "session": session}


def all_lock(api: Api, code: str) -> list[str]:
    """Let fifty sessions lock at once; returns the keys of those that hold the code."""
    keys = [f"s-{uuid.uuid4().hex}" for _ in range(SESSIONS)]
    requests = [("POST", "/v1/validations", lock(code, key), uuid.uuid4().hex) for key in keys]
    answers: list[Answer] = run(api.at_once(requests, retries=200))
    assert {answer.status for answer in answers} == {200}
    refused = Counter(
        answer.json["redeemables"][0]["result"]["error"]["key"]
        for answer in answers
        if not answer.json["valid"]
    )
    assert set(refused) <= {"quantity_exceeded"}
    return [key for key, answer in zip(keys, answers, strict=True) if answer.json["valid"]]


def test_r08_never_more_than_four_are_held_or_used(system: System, api: Api) -> None:
    code = api.voucher(quantity=QUANTITY)
    stop, kills = threading.Event(), list[float]()
    killer = threading.Thread(target=_kill_again_and_again, args=(system, stop, kills))
    killer.start()
    try:
        redeemed = _two_rounds(api, code)
    finally:
        stop.set()
        killer.join()
    _until_free(api, code, QUANTITY - redeemed)
    shown = api.must("GET", f"/v1/vouchers/{code}")
    assert shown["redemption"]["redeemed_quantity"] == redeemed
    reasons = asyncio.run(_check_the_log(system.infra.database_url, api.project_id))
    assert kills, "the ledger died meanwhile"
    say(f"R08: {redeemed} of {QUANTITY} uses taken, {len(kills)} kills, ends of holds: {reasons}")
    report("R08", sessions=2 * SESSIONS, kills=len(kills), lost=0, ends=dict(reasons))


def _two_rounds(api: Api, code: str) -> int:
    """Lock, redeem one, release one, leave the others to their time; twice. Returns the uses."""
    redeemed = 0
    for _ in range(2):
        holding = all_lock(api, code)
        assert 1 <= len(holding) <= QUANTITY - redeemed
        redeemed += _redeem(api, code, holding[0])
        if len(holding) > 1:
            _release(api, code, holding[1])
        _until_free(api, code, QUANTITY - redeemed)
    return redeemed


def _redeem(api: Api, code: str, key: str) -> int:
    """Redeem what the session holds, and try it again: by then there may be none left."""
    body = {**cart(code), "session": {"type": "LOCK", "key": key}}
    request = ("POST", "/v1/redemptions", body, uuid.uuid4().hex)
    first = run(api.at_once([request], retries=200))[0]
    assert (first.status, first.key) in {(200, ""), (400, "quantity_exceeded")}
    again = run(api.at_once([request], retries=200))[0]
    assert (again.status, again.key) == (first.status, first.key), "the same key, the same answer"
    path = f"/v1/vouchers/{code}/sessions/{key}"
    gone = run(api.at_once([("DELETE", path, {}, uuid.uuid4().hex)], retries=200))[0]
    assert (gone.status, gone.json["resource_type"]) == (404, "session")
    return 1 if first.status == 200 else 0


def _release(api: Api, code: str, key: str) -> None:
    """Release what the session holds, unless its time was up, and try it again."""
    path = f"/v1/vouchers/{code}/sessions/{key}"
    wait_until(
        lambda: api.call("DELETE", path, key=uuid.uuid4().hex).status == 404,
        "the session is released",
    )


def _until_free(api: Api, code: str, count: int) -> None:
    """Wait until so many can lock again, one after the other, and give them back."""

    def free() -> bool:
        keys = [f"s-{uuid.uuid4().hex}" for _ in range(QUANTITY + 1)]
        told = [api.call("POST", "/v1/validations", lock(code, key)) for key in keys]
        held = [key for key, answer in zip(keys, told, strict=True) if _is_valid(answer)]
        assert len(held) <= count, "more than the code has"
        for key in held:
            _release(api, code, key)
        return len(held) == count

    wait_until(free, f"{count} uses are free", timeout_s=120)


def _is_valid(answer: Answer) -> bool:
    return answer.status == 200 and bool(answer.json["valid"])


def _kill_again_and_again(system: System, stop: threading.Event, kills: list[float]) -> None:
    # The first while all lock; then seldom enough that a ledger comes up also on a busy machine.
    while not stop.wait(6 if kills else 0.5):
        system.kill("ledger")
        kills.append(time.monotonic())


async def _check_the_log(database_url: str, project_id: str) -> Counter[str]:
    """At every position at most four are held or used; no hold ends before its time."""
    connection = await asyncpg.connect(database_url)
    rows = await connection.fetch(
        """
        SELECT type, stream_id, data, occurred_at FROM ledger.events
        WHERE project_id = $1 ORDER BY position
        """,
        project_id,
    )
    await connection.close()
    until: dict[str, Any] = {}
    reasons: Counter[str] = Counter()
    for row in rows:
        event = orjson.loads(row["data"])
        for told in event.get("balances", []):
            if told["unit"] == "use":
                assert 0 <= told["held"] + told["used"] <= QUANTITY
        if row["type"] == "ledger.hold-placed.v1":
            until[row["stream_id"]] = event["expires_at"]
        elif row["type"] == "ledger.hold-released.v1":
            reasons[event["reason"]] += 1
            if event["reason"] == "expired":
                due_at = datetime.fromisoformat(until[row["stream_id"]])
                late = datetime.fromisoformat(event["released_at"]) - due_at
                assert timedelta(0) <= late <= timedelta(seconds=LATE_S_MAX)
    assert reasons["redeemed"] >= 1, reasons
    assert reasons["released"] >= 1, reasons
    return reasons
