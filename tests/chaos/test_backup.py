"""R33: a backup taken while clients work, restored elsewhere and in place.

What is restored is the moment of the snapshot and nothing else: every log is a prefix of what it was, all
that was acknowledged before is there, and what came after has not happened, in Kafka neither.
"""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from contracts import topics
from ledger import audit as ledger_audit
from runtime import audit
from runtime.database import prepare_connection
from tessera_stack import services
from tests.chaos.journal import Journal, Load, definite
from tests.chaos.kit import readers, report, rows, say
from tests.support.receiver import Receiver
from tests.system import ROOT, System, cart, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

SEED = int(os.environ.get("CHAOS_SEED", "33"))
LOG = "SELECT position, event_id, hash FROM {}.events WHERE position <= $1 ORDER BY position"


def _log(system: System, service: str, up_to: int) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in rows(system, LOG.format(service), up_to)]


def _acknowledged(load: Load, before: float) -> set[str]:
    """Return the redemptions that clients had been told of by then."""
    told = set()
    for call in load.journal.of("redeem", "ok"):
        if call.ended < before:
            parent = call.body.get("parent_redemption")
            told.add(parent["id"] if parent else call.body["redemptions"][0]["id"])
    return told


def _redemptions(log: list[Any]) -> set[str]:
    kept = set()
    for row in log:
        if row["type"] == "ledger.redemption-succeeded.v1":
            event = json.loads(row["data"])
            kept.add(event.get("parent_id") or event["items"][0]["redemption_id"])
    return kept


# -- elsewhere ------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(system: System) -> Iterator[str]:
    """Return the address of an empty database with another name."""
    name = f"elsewhere_{uuid.uuid4().hex[:8]}"
    rows(system, f"CREATE DATABASE {name}")
    yield re.sub(r"/[^/]+$", f"/{name}", system.env["DATABASE_URL"])
    rows(system, f"DROP DATABASE {name} WITH (FORCE)")
    for service in topics.SERVICES:
        rows(system, f"DROP ROLE IF EXISTS {name}_{service}")


def _backup(system: System, *arguments: str, refused: str = "", **environment: str) -> None:
    """Run it; with ``refused`` it must not be done, and say why."""
    values = {**os.environ, **services.environment(system.state, system.infra), **environment}
    command = [sys.executable, "-m", "runtime.backup", *arguments]
    done = subprocess.run(
        command, env=values, cwd=ROOT, capture_output=True, text=True, check=False
    )
    told = f"{arguments}:\n{done.stdout}\n{done.stderr}"
    assert (done.returncode == 0) == (not refused), told
    assert refused in told, told


def test_r33_a_dump_under_load_is_a_prefix_of_every_log(
    system: System, elsewhere: str, tmp_path: Path
) -> None:
    journal = Journal("R33-elsewhere", SEED)
    target = tmp_path / "saved"
    with Load(system.project(), journal, SEED) as load:
        load.wait_for_calls(20)
        began = time.monotonic()
        _backup(system, "save", str(target))
        in_backup = len([call for call in journal.calls if call.ended > began])
        load.wait_for_calls(20)
    definite(load, "R33-elsewhere")
    saved = json.loads((target / "manifest.json").read_text())["logs"]
    _backup(system, "restore", str(target), refused="Stop the services first")
    prefix = {"TOPIC_PREFIX": f"r33{uuid.uuid4().hex[:6]}."}
    _backup(system, "restore", str(target), DATABASE_URL=elsewhere, **prefix)
    restored, findings = run(_read(elsewhere))
    for name in topics.SERVICES:
        was = _log(system, name, saved[name]["position"])
        assert [tuple(row)[:3] for row in restored[name]] == was, f"{name} is no prefix"
    newest = rows(system, "SELECT max(position) AS n FROM ledger.events")[0]["n"]
    assert saved["ledger"]["position"] < newest, "clients worked on after the snapshot"
    kept = _redemptions(
        [row for row in restored["ledger"] if row["project_id"] == load.api.project_id]
    )
    lost = _acknowledged(load, began) - kept
    assert not lost, f"acknowledged before the backup and not in it: {lost}"
    assert findings == []
    say(f"R33: {in_backup} calls ended while the backup was taken")
    assert in_backup > 0
    starts = run(_starts(elsewhere))
    assert {start for start, _ in starts} == {0}, "relays and readers begin anew"
    assert max(position for _, position in starts) > 0, "readers know what they have applied"
    with (target / "database.dump").open("r+b") as dump:
        dump.seek(1000)
        dump.write(b"altered")
    _backup(system, "restore", str(target), refused="SHA-256", DATABASE_URL=elsewhere, **prefix)
    report("R33-elsewhere", events=sum(len(log) for log in restored.values()), lost=len(lost))


async def _read(url: str) -> tuple[dict[str, list[Any]], list[str]]:
    """Return each log of a database and what the audit finds in logs and balances."""
    assert readers(), "the services' aggregates are known to the audit"
    connection = await asyncpg.connect(url)
    await prepare_connection(connection)
    sql = "SELECT position, event_id, hash, project_id, type, data FROM {}.events ORDER BY position"
    found, findings = {}, []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name in topics.SERVICES:
            found[name] = await connection.fetch(sql.format(name))
            findings += await audit.check_log(connection, name)
        await connection.execute("SET LOCAL search_path TO ledger")
        findings += await ledger_audit.audit(connection)
    await connection.close()
    return found, findings


async def _starts(url: str) -> list[tuple[int, int]]:
    """Return where relays and consumers begin, and up to which position consumers have applied."""
    connection = await asyncpg.connect(url)
    found = []
    for name in topics.SERVICES:
        found += await connection.fetch(
            f"SELECT next_offset, position FROM {name}.consumer_offsets"
        )
        found += await connection.fetch(f"SELECT position, 0 FROM {name}.relay_cursor")
    await connection.close()
    return [(row[0], row[1]) for row in found]


# -- in place -------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver(is_down=True)
    yield running
    running.stop()


@pytest.mark.full
def test_r33_a_restored_system_goes_on_from_the_snapshot(
    system: System, receiver: Receiver, tmp_path: Path
) -> None:
    journal = Journal("R33", SEED)
    target = tmp_path / "saved"
    api = system.project()
    hooks = f"/management/v1/projects/{api.project_id}/webhooks"
    wanted = {"target_url": receiver.url, "events": ["redemption.succeeded"]}
    system.management().must("POST", hooks, wanted)
    early, late = (cart(api.voucher(quantity=5)) for _ in "ab")
    first = api.must("POST", "/v1/redemptions", early, key="early")
    with Load(api, journal, SEED) as load:
        load.wait_for_calls(40)
        began = time.monotonic()
        system.backup(target)
        load.wait_for_calls(40)
        assert api.call("POST", "/v1/redemptions", late, key="late").status == 200
    definite(load, "R33")
    saved = json.loads((target / "manifest.json").read_text())["logs"]
    before = {name: _log(system, name, saved[name]["position"]) for name in topics.SERVICES}
    undone = (
        rows(system, "SELECT count(*) AS n FROM ledger.events")[0]["n"] - saved["ledger"]["events"]
    )
    assert undone > 0, "clients worked on after the snapshot"
    started = time.monotonic()
    system.restore(target)
    took_s = time.monotonic() - started
    for name in topics.SERVICES:
        restored = _log(system, name, saved[name]["position"])
        assert restored == before[name], f"{name} differs from what was saved"
    lost = _acknowledged(load, began) - _kept(system, api.project_id)
    assert not lost, f"acknowledged before the backup and gone: {lost}"
    assert "audit: clean" in system.audit()
    again = api.call("POST", "/v1/redemptions", early, key="early")
    assert (again.json, again.headers["idempotency-replayed"]) == (first, "true")
    anew = api.call("POST", "/v1/redemptions", late, key="late")
    assert anew.status == 200, "what came after the snapshot has not happened"
    assert "idempotency-replayed" not in anew.headers
    receiver.is_down = False
    _all_webhooks(system, api.project_id, receiver)
    with Load(api, Journal("R33-after", SEED), SEED) as after:
        after.wait_for_calls(40)
    definite(after, "R33-after")
    assert "audit: clean" in system.audit(), "the restored system goes on"
    report(
        "R33", undone=undone, restore_s=round(took_s, 1), calls=len(journal.calls), lost=len(lost)
    )


def _kept(system: System, project_id: str) -> set[str]:
    sql = "SELECT type, data FROM ledger.events WHERE project_id = $1"
    return _redemptions(rows(system, sql, project_id))


def _all_webhooks(system: System, project_id: str, receiver: Receiver) -> None:
    """Every redemption of the restored log reaches the shop: before the restore or after it."""
    kept = _kept(system, project_id)

    def missing() -> set[str]:
        told = b"\n".join(list(receiver.bodies)).decode()
        return {name for name in kept if name not in told}

    wait_until(lambda: not missing(), f"{len(missing())} webhooks", 120)
    assert len(kept) > 0
