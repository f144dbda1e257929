"""Every line of a service's log is one JSON object with the same names, whoever wrote it."""

import json
import subprocess
import sys
from typing import Any

import pytest

from runtime import inbox
from runtime.inbox import Result, tell_results
from runtime.settings import Settings
from runtime.testing import Harness

PROGRAM = """
import logging, sys
from datetime import UTC, datetime
from contracts.messages import Envelope
from runtime import log
from runtime.inbox import Result, tell_results
from runtime.settings import Settings

log.configure("ledger", Settings(log_format=sys.argv[1], log_level=sys.argv[2], tessera_instance=3))
logger = log.get_logger()
logger.info("service_ready", consumers=["commands"], odd={1, 1})
request = Envelope("m1", "ledger.redeem.v1", "gateway", datetime.now(UTC), "proj_1",
                   correlation_id="v-1")
first = Envelope("m2", "ledger.redeem.v1", "gateway", datetime.now(UTC), "proj_\\u017e")
tell_results("commands", [Result(request, "ok"), Result(first, "refused", "quantity_exceeded"),
                          Result(None, "failed")], 0.00321, {})
logging.getLogger("aiokafka").warning("Heartbeat failed: %s", "late")
try:
    1 / 0
except ZeroDivisionError:
    logger.exception("message_given_up", correlation_id="v-1")
"""
ADDRESSES = """
import logging, sys
from runtime import log
from runtime.settings import Settings

log.configure("distribution", Settings(log_format=sys.argv[1], log_level=sys.argv[2]))
logger = log.get_logger()
logger.warning("message_failed", reason="550 5.1.1 <jane.doe+x@shop.example>: unknown")
logging.getLogger("aiosmtplib").warning("refused: %s", "jane.doe@shop.example")
try:
    raise ValueError("email=jane.doe@shop.example")
except ValueError:
    logger.exception("message_given_up")
    logging.getLogger("aiosmtplib").exception("no such address")
"""


LIBRARY_FAULT = """
import logging, sys
from runtime import log
from runtime.settings import Settings

def connect(password):
    raise ConnectionError("the other end is gone")

log.configure("ledger", Settings(log_format=sys.argv[1]))
try:
    connect("".join(["can", "ary"]))
except ConnectionError:
    logging.getLogger("asyncpg").warning("connecting failed", exc_info=True)
"""


def written(log_format: str = "json", level: str = "info", program: str = PROGRAM) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, log_format, level],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_e_mail_addresses_are_taken_out(log_format: str) -> None:
    # The frames of an exception show lines of the program, which here has the address in it.
    text = "\n".join(
        line for line in written(log_format, program=ADDRESSES) if "raise ValueError" not in line
    )
    assert "jane.doe" not in text
    assert "550 5.1.1 <…@…>: unknown" in text
    assert text.count("…@…") == 4


def test_json_lines_have_one_form() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in written()]
    assert [line["event"] for line in lines] == [
        "service_ready",
        "handled",
        "handled",
        "handled",
        "Heartbeat failed: late",
        "message_given_up",
    ]
    for line in lines:
        assert line["level"] in {"info", "warning", "error"}
        assert line["timestamp"].endswith("Z") and "T" in line["timestamp"]
    for line in (*lines[:4], lines[5]):
        assert (line["service"], line["instance"]) == ("ledger", 3)
    assert "ZeroDivisionError" in lines[5]["exception"]


def test_a_handled_message_says_what_whose_which_how_and_how_long() -> None:
    lines = [json.loads(line) for line in written()][1:4]
    common = {"timestamp", "level", "service", "instance", "event"}
    told = [{name: value for name, value in one.items() if name not in common} for one in lines]
    assert told == [
        {
            "consumer": "commands",
            "type": "ledger.redeem.v1",
            "project": "proj_1",
            "correlation_id": "v-1",
            "outcome": "ok",
            "ms": 3.21,
        },
        {
            "consumer": "commands",
            "type": "ledger.redeem.v1",
            "project": "proj_ž",
            "correlation_id": "m2",
            "outcome": "refused",
            "error": "quantity_exceeded",
            "ms": 3.21,
        },
        {
            "consumer": "commands",
            "type": "",
            "project": "",
            "correlation_id": "",
            "outcome": "failed",
            "ms": 3.21,
        },
    ]


def test_a_higher_level_keeps_quiet_about_what_went_well() -> None:
    lines = [json.loads(line)["event"] for line in written(level="warning")]
    assert lines == ["Heartbeat failed: late", "message_given_up"]


def test_people_get_text() -> None:
    text = "\n".join(written("pretty"))
    assert text.count("handled") == 3
    assert "quantity_exceeded" in text
    assert not text.startswith("{")


@pytest.mark.integration
async def test_every_consumer_writes_a_line_per_message(
    leased_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import counter_service as counter
    from counter_service import Count, Counted

    told: list[tuple[str, list[Result]]] = []
    monkeypatch.setattr(
        inbox, "tell_results", lambda name, results, *rest: told.append((name, list(results)))
    )
    assert tell_results is not inbox.tell_results
    async with Harness(counter.build(leased_settings)) as harness:
        async with harness.service.pool.acquire() as connection:
            await connection.execute(
                "CREATE TABLE counters (project_id text, name text, total bigint, doc jsonb,"
                " PRIMARY KEY (project_id, name))"
            )
        await harness.commands([("p1", Count(name="a", by=4)), ("p1", Count(name="a", by=9))])
        await harness.command("p1", Count(name="b", by=1), key="k", fingerprint="f")
        await harness.command("p1", Count(name="b", by=1), key="k", fingerprint="f")
        await harness.event("p1", Counted(name="x", by=1), source="customers")
        await harness.intake("intake.products", "p1", [{"name": "a"}, {"name": 7}])
        await harness.intake("intake.products", "p1", {"name": "c"})
        await harness.deliver_own()
    flat = [(name, one.outcome, one.error) for name, results in told for one in results]
    assert flat[:7] == [
        ("commands", "ok", ""),
        ("commands", "refused", "too_much"),
        ("commands", "ok", ""),
        ("commands", "replayed", ""),
        ("reactions", "ok", ""),
        ("intake", "refused", ""),
        ("intake", "ok", ""),
    ]
    assert {name for name, *_ in flat[7:]} == {"projection"}
    assert all(one.envelope is not None for _, results in told for one in results)


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_a_librarys_fault_is_told_without_what_its_variables_hold(log_format: str) -> None:
    text = "\n".join(written(log_format, program=LIBRARY_FAULT))
    assert "the other end is gone" in text
    assert "in connect" in text, "where it happened"
    assert "canary" not in text
