"""R05, R13, R14, R17, R18, R19, R24, R26, R27: the running system while parts of it die.

Clients work all the while (``journal.py``); afterwards every call has a definite outcome, everything
acknowledged is in the log once, no limit was ever passed, and the audit is clean. Seeds are printed.
"""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from contracts import topics
from runtime import crash_points
from tests.chaos.journal import Journal, Load, judge
from tests.chaos.kit import any_backend, crash_postgres, is_ready, report, rows, say, send_signal
from tests.system import Api, System, cart, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.full, pytest.mark.timeout(600)]

SEED = int(os.environ.get("CHAOS_SEED", "7"))


@contextmanager
def _under_load(
    system: System, check: str, *, may_hang: bool = False, **took: list[float]
) -> Iterator[Load]:
    """Let clients work meanwhile, and judge; of what took long the slowest is reported, by its name."""
    journal = Journal(check, SEED)
    say(f"{check}: seed {SEED}, journal {journal.path}")
    with Load(system.project(), journal, SEED, may_hang=may_hang) as load:
        load.wait_for_calls(5)
        yield load
    slowest = {f"slowest_{name}": round(max(seconds), 1) for name, seconds in took.items()}
    report(check, **judge(system, load, check), **slowest)


def _ready(system: System, service: str) -> None:
    wait_until(lambda: is_ready(system, service), f"{service} ready again", 90)


# -- R05 --------------------------------------------------------------------------------------------

WHERE = {
    "before_tx": "ledger",
    "before_commit": "ledger",
    "after_commit": "ledger",
    "before_reply": "ledger",
    "relay_after_send": "ledger",
    "inbox_after_apply": "gateway",
    "webhook_after_send": "webhooks",
}
ROUNDS = int(os.environ.get("CHAOS_R05_ROUNDS", "1"))


def test_r05_a_stack_is_redeemed_whole_wherever_somebody_dies(system: System, api: Api) -> None:
    hooks = f"/management/v1/projects/{api.project_id}/webhooks"
    target = {"target_url": "http://127.0.0.1:9/x", "events": ["redemption.succeeded"]}
    hook = system.management().must("POST", hooks, target)
    stack = [api.voucher(quantity=100) for _ in range(3)] + [_card(api) for _ in range(2)]
    assert set(WHERE) | {"mid_rebuild"} == set(crash_points.POINTS)
    done = deaths = 0
    for _ in range(ROUNDS):
        for point, service in WHERE.items():
            armed = system.arm(service, point)
            answer = _until_definite(api, stack)
            assert answer == 200, f"{point}: {answer}"
            done += 1
            wait_until(lambda armed=armed: not armed.exists(), f"{service} dies at {point}", 60)
            _ready(system, service)
            deaths += 1
            for code in stack[:3]:
                shown = api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"]
                assert shown == done, f"{point}: {code} was used {shown} times, not {done}"
            for code in stack[3:]:
                balance = api.must("GET", f"/v1/vouchers/{code}")["gift"]["balance"]
                assert balance == 100_000 - 1_000 * done, f"{point}: {balance} left on {code}"
    # What nobody answers is sent again for days, and later tests compare tables.
    system.management().must("DELETE", f"{hooks}/{hook['id']}")
    assert "audit: clean" in system.audit()
    report("R05", redemptions=done, deaths=deaths, lost=0)
    say(f"R05: {deaths} deaths at {len(WHERE)} points, {done} stacks of five whole")


def _card(api: Api) -> str:
    code = f"G-{uuid.uuid4().hex[:10]}"
    gift = {"type": "GIFT_VOUCHER", "gift": {"amount": 100_000, "effect": "APPLY_TO_ORDER"}}
    api.must("POST", f"/v1/vouchers/{code}", gift)
    return code


def _until_definite(api: Api, codes: list[str]) -> int:
    body = cart(*codes, amount=5_000)
    for one in body["redeemables"][3:]:
        one["gift"] = {"credits": 1_000}
    key = uuid.uuid4().hex
    return _insist(lambda: api.call("POST", "/v1/redemptions", body, key=key).status)


def _insist(call: Callable[[], int]) -> int:
    """Repeat a call until its outcome is definite."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            status = call()
        except httpx.TransportError:
            status = 503
        if status not in {429, 503}:
            return status
        time.sleep(0.2)
    raise AssertionError("no definite answer in two minutes")


# -- R24, R26, R17, R27: somebody dies, is away, or hangs, under load ------------------------------


@pytest.mark.parametrize("service", topics.SERVICES)
def test_r24_any_service_may_be_killed_at_any_moment(system: System, service: str) -> None:
    kills = int(os.environ.get("CHAOS_R24_KILLS", "2"))
    back_s: list[float] = []
    with _under_load(system, f"R24-{service}", back_s=back_s) as load:
        for _ in range(kills):
            load.wait_for_calls(5)
            assert send_signal(system, service, signal.SIGKILL)
            load.happened["kills"] += 1
            started = time.monotonic()
            wait_until(lambda: not is_ready(system, service), f"{service} is away", 30)
            _ready(system, service)
            back_s.append(time.monotonic() - started)
            say(f"R24: {service} back after {back_s[-1]:.1f} s")


def test_r26_postgres_crashes_and_no_acknowledged_write_is_lost(system: System) -> None:
    served_s: list[float] = []
    with _under_load(system, "R26", served_again_s=served_s) as load:
        for _ in range(int(os.environ.get("CHAOS_R26_CRASHES", "2"))):
            load.wait_for_calls(10)
            crash_postgres(system)
            load.happened["crashes"] += 1
            served_s.append(load.until_served())
        for _ in range(int(os.environ.get("CHAOS_R26_BACKENDS", "3"))):
            load.wait_for_calls(5)
            _kill_a_backend(system)
            load.happened["kills"] += 1
            served_s.append(load.until_served())
        load.wait_for_calls(10)


def _kill_a_backend(system: System) -> None:
    """Kill a backend: Postgres throws all connections out and recovers."""
    os.kill(any_backend(system), signal.SIGKILL)


def test_r17_the_broker_dies_twice(system: System) -> None:
    served_s: list[float] = []
    with _under_load(system, "R17", served_again_s=served_s) as load:
        for _ in range(int(os.environ.get("CHAOS_R17_KILLS", "2"))):
            load.wait_for_calls(20)
            pid = system.state.process("kafka")
            assert pid
            os.kill(pid, signal.SIGKILL)
            load.happened["kills"] += 1
            wait_until(lambda: system.state.process("kafka") is None, "the broker is dead", 30)
            time.sleep(2)
            assert system.infra, "started again"
            served_s.append(load.until_served())
        healed = time.monotonic()
        load.wait_for_calls(20, 90)
    caught_up = time.monotonic() - healed
    say(f"R17: all consumers caught up and audited {caught_up:.0f} s after the last heal")


@pytest.mark.parametrize("service", ["ledger", "engine", "gateway"])
def test_r27_a_service_that_hangs_is_waited_for_and_never_guessed(
    system: System, service: str
) -> None:
    """A stopped process is a link that swallows everything both ways, and then delivers it late."""
    # Nobody answers in the place of the only gateway.
    with _under_load(system, f"R27-{service}", may_hang=service == "gateway") as load:
        load.wait_for_calls(5)
        assert send_signal(system, service, signal.SIGSTOP)
        time.sleep(float(os.environ.get("CHAOS_R27_S", "4")))
        assert send_signal(system, service, signal.SIGCONT)
        load.happened["pauses"] += 1
        load.wait_for_calls(10)


# -- R13, R14 ---------------------------------------------------------------------------------------


def test_r13_keys_outlive_restarts_of_everything(system: System, api: Api) -> None:
    code = api.voucher(quantity=None)
    requests = [(cart(code), uuid.uuid4().hex) for _ in range(20)]
    first = [api.call("POST", "/v1/redemptions", body, key=key) for body, key in requests]
    made = {"source_id": "kept", "name": "x"}
    customer = api.call("POST", "/v1/customers", made, key="kept")
    for service in ("gateway", "engine", "ledger", "customers"):
        send_signal(system, service, signal.SIGKILL)
    crash_postgres(system)
    for service in topics.SERVICES:
        _ready(system, service)
    for (body, key), answer in zip(requests, first, strict=True):
        status = _insist(
            lambda body=body, key=key: api.call("POST", "/v1/redemptions", body, key=key).status
        )
        again = api.call("POST", "/v1/redemptions", body, key=key)
        assert (status, again.json) == (200, answer.json)
        assert again.headers["idempotency-replayed"] == "true"
    assert api.call("POST", "/v1/customers", made, key="kept").json == customer.json
    other = api.call("POST", "/v1/customers", {"source_id": "other"}, key="kept")
    assert (other.status, other.key) == (409, "idempotency_key_reused")
    assert api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"] == 20
    assert "audit: clean" in system.audit()
    report("R13", keys=21, lost=0)


R14_S = float(os.environ.get("CHAOS_R14_S", "15"))


def test_r14_validations_leave_no_trace(system: System, api: Api) -> None:
    code = api.voucher(quantity=3)
    sound, unsound = cart(code), cart("no-such-code")
    before = _log_lengths(system)
    started, count = time.monotonic(), 0
    while count < 10_000 and time.monotonic() - started < R14_S:
        assert (
            api.call("POST", "/v1/validations", unsound if count % 5 == 0 else sound).status == 200
        )
        count += 1
    assert _log_lengths(system) == before, "a validation wrote"
    report("R14", validations=count, lost=0)
    say(f"R14: {count} validations, not one event")


def _log_lengths(system: System) -> dict[str, int]:
    sql = "SELECT count(*) AS n FROM {}.events"
    return {name: rows(system, sql.format(name))[0]["n"] for name in topics.SERVICES}


# -- R18, R19: topics again --------------------------------------------------------------------------


def test_r19_events_delivered_again_and_groups_set_back_change_nothing(
    system: System, api: Api
) -> None:
    _some_history(api)
    assert "audit: clean" in system.audit()
    before = _everything(system)
    for _ in range(2):
        system.admin("republish")
    for service in topics.SERVICES:
        rows(
            system,
            f"UPDATE {service}.consumer_offsets SET next_offset = 0 WHERE topic LIKE '%.events'",
        )
    assert "audit: clean" in system.audit()
    assert _everything(system) == before
    report("R19", tables=len(before), lost=0)


def test_r18_topics_that_are_gone_come_back_from_the_logs(system: System, api: Api) -> None:
    _some_history(api)
    assert "audit: clean" in system.audit()
    before = _everything(system)
    run(_delete_topics(system))
    system.admin("setup")
    system.admin("republish")
    assert "audit: clean" in system.audit()
    assert _everything(system) == before, "nothing had an effect again"
    code = f"AFTER-{uuid.uuid4().hex[:8]}"
    body = {"type": "GIFT_VOUCHER", "gift": {"amount": 5_000, "effect": "APPLY_TO_ORDER"}}
    made = f"/v1/vouchers/{code}"
    assert _insist(lambda: api.call("POST", made, body, key="made").status) == 200
    redeem = cart(code)
    path = "/v1/redemptions"
    assert _insist(lambda: api.call("POST", path, redeem, key="redeemed").status) == 200
    assert "audit: clean" in system.audit(), "all consumers have come along"
    report("R18", topics=len(EVENT_TOPICS), tables=len(before), lost=0)


EVENT_TOPICS = [topics.events(name) for name in topics.SERVICES if name != "engine"]


async def _delete_topics(system: System) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=system.env["KAFKA_BOOTSTRAP_SERVERS"])
    await client.start()
    try:
        await client.delete_topics(EVENT_TOPICS)
        while set(EVENT_TOPICS) & set(await client.list_topics()):
            await asyncio.sleep(0.2)
    finally:
        await client.close()


def _some_history(api: Api) -> None:
    code = api.voucher(quantity=30)
    for number in range(10):
        answer = api.redeem(code, customer=f"c{number % 3}")
        assert answer.status == 200
        if number % 4 == 0:
            name = answer.json["redemptions"][0]["id"]
            api.must("POST", f"/v1/redemptions/{name}/rollback", {})


DIGEST = """
    SELECT count(*) || ' ' || coalesce(md5(string_agg(x::text, '|' ORDER BY x::text)), '') AS digest
    FROM {} x
"""


def _everything(system: System) -> dict[str, str]:
    """Return a digest of every table but those that say how far somebody has read."""
    moving = "('consumer_offsets', 'relay_cursor', 'idempotency_records', 'migrations')"
    tables = rows(
        system,
        f"SELECT table_schema AS s, table_name AS t FROM information_schema.tables"
        f" WHERE table_schema = ANY($1) AND table_name NOT IN {moving} ORDER BY 1, 2",
        list(topics.SERVICES),
    )
    found = {}
    for row in tables:
        name = f"{row['s']}.{row['t']}"
        found[name] = rows(system, DIGEST.format(name))[0]["digest"]
    assert len(found) > 20
    return found
