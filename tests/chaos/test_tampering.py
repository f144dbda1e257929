"""R33: somebody with the database's own rights alters an event and deletes others; the audit names each.

The log refuses it to the services (a trigger, and rights), so it is done as the administrator, with the
trigger off, in one transaction that is rolled back: the audit's own functions look at it from inside.
"""

import uuid
from typing import Any

import asyncpg
import pytest

from runtime import audit
from runtime.database import prepare_connection
from runtime.settings import Settings
from tests.chaos.kit import readers, report
from tests.system import Api, System, run
from tools.topic_audit import check_topic

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

ALTER = """
    UPDATE ledger.events SET data = replace(data::text, '"reason":"first"', '"reason":"other"')::json
    WHERE project_id = $1 AND stream_id = $2 AND stream_version = 2
"""
DELETE = """
    DELETE FROM ledger.events WHERE project_id = $1 AND stream_id = $2 AND stream_version = $3
"""


def _history(api: Api) -> list[str]:
    """Redeem three times and give all back; returns the streams, of two events each."""
    code = api.voucher(quantity=None)
    names = []
    for _ in range(3):
        name = api.redeem(code).json["redemptions"][0]["id"]
        api.must(
            "POST", f"/v1/redemptions/{name}/rollback", {"reason": "first"}, key=uuid.uuid4().hex
        )
        names.append(f"redemption-{name}")
    return names


def test_r33_an_altered_and_a_deleted_event_are_named(system: System, api: Api) -> None:
    streams = _history(api)
    assert "audit: clean" in system.audit()
    assert readers(), "the services' aggregates are known to the audit"
    findings = run(_tamper(system, api.project_id, streams))
    altered, first, last = streams
    where = f"in {api.project_id}"
    _is_named(findings["log"], f"{altered} version 2 {where}", "the hash does not match")
    _is_named(findings["log"], f"{first} version 2 {where}", "version 1 is missing before it")
    _is_named(findings["topic"], f"{altered} version 2 {where}", "is not in the topic as it is in")
    _is_named(findings["topic"], f"{first} version 1 {where}", "it was deleted")
    _is_named(findings["topic"], f"{last} version 2 {where}", "it was deleted")
    assert len(findings["topic"]) == 3, "and nothing else"
    assert "audit: clean" in system.audit(), "it was rolled back"
    report("R33-tampering", altered=1, deleted=2, found=3, lost=0)


def _is_named(findings: list[str], where: str, what: str) -> None:
    assert any(where in one and what in one for one in findings), (where, what, findings)


async def _tamper(system: System, project_id: str, streams: list[str]) -> dict[str, list[str]]:
    settings = Settings(kafka_bootstrap_servers=system.env["KAFKA_BOOTSTRAP_SERVERS"])
    connection: Any = await asyncpg.connect(system.env["DATABASE_URL"])
    await prepare_connection(connection)
    altered, first, last = streams
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(ALTER, project_id, altered)
        await connection.execute(DELETE, project_id, first, 1)
        await connection.execute(DELETE, project_id, last, 2)
        return {
            "log": await audit.check_log(connection, "ledger"),
            "topic": await check_topic(connection, settings, "ledger"),
        }
    finally:
        await transaction.rollback()
        await connection.close()
