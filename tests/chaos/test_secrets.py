"""R40: what was given in confidence stands nowhere but where it must, hashed or encrypted.

Canaries are put into everything that takes a code, an address or a key, the ways that fail included; then
all logs, tables and topics are searched. Keys and passwords must stand in none of them; codes and e-mail
addresses are a project's data, and must stand in no log.
"""

import asyncio
import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import asyncpg
import pytest
from aiosmtpd.controller import Controller

from contracts import topics
from runtime import secrets
from runtime.database import role_name
from runtime.settings import Settings
from tests.chaos.kit import end_of, produce, read_from, report, rows, say
from tests.system import Api, System, cart, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]


class Canaries(NamedTuple):
    """What was given in confidence, by what it is."""

    secrets: dict[str, str]
    private: dict[str, str]


class _Refusing:
    """A mail server that says whom it does not know."""

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        del server, session, envelope, options
        return f"550 5.1.1 <{address}> is unknown here"


@contextmanager
def _refusing_mail(system: System) -> Iterator[None]:
    port = int(system.env["TESSERA_SMTP_PORT"])
    mail = Controller(_Refusing(), hostname="127.0.0.1", port=port)
    mail.start()
    try:
        yield
    finally:
        mail.stop()


def test_r40_secrets_are_kept_and_logs_name_nobody(system: System) -> None:
    ends = run(_ends(system))
    mark = uuid.uuid4().hex[:12]
    api = system.project()
    with _refusing_mail(system):
        private = _use(system, api, mark)
    canaries = Canaries(_issued(system, api), private)
    wait_until(lambda: rows(system, LETTERS, f"%{mark}%"), "the dead letters", 60)
    logs = _logs(system)
    tables = run(_in_tables(system, {**canaries.secrets, **canaries.private}))
    records = run(_in_topics(system, ends, {**canaries.secrets, **canaries.private}))
    _the_search_finds(system, api, canaries, logs, tables, records)
    found = [f"{name} in {place}" for name, place in _in_logs(logs, canaries)]
    found += [f"{name} in {place}" for name, place in tables + records if name in canaries.secrets]
    found += _in_command_lines(canaries.secrets)
    system.admin("discard-dead-letters", "--because", "R40 sent garbage")
    assert "audit: clean" in system.audit()
    assert not found, "\n".join(sorted(set(found))[:40])
    report(
        "R40",
        canaries=len(canaries.secrets) + len(canaries.private),
        log_bytes=sum(len(text) for text in logs.values()),
        lost=0,
    )
    say(f"R40: {len(canaries.secrets)} secrets, {len(canaries.private)} private texts, no hit")


# -- planting ---------------------------------------------------------------------------------------


def _issued(system: System, api: Api) -> dict[str, str]:
    """Return every secret that there is: of the project, of the operator, of the servers."""
    settings = Settings(
        database_url=system.env["DATABASE_URL"],
        tessera_role_password=system.state.secret("role_password"),  # type: ignore[arg-type]
    )
    hooks = f"/management/v1/projects/{api.project_id}/webhooks"
    target = {"target_url": "http://127.0.0.1:9/x", "events": ["redemption.succeeded"]}
    hook = system.management().must("POST", hooks, target)
    rotated = system.management().must("POST", f"{hooks}/{hook['id']}/rotate-secret", {})
    shown = system.management().must("GET", f"{hooks}/{hook['id']}")
    assert hook["secret"] not in json.dumps(shown), "it is shown once"
    issued = {
        "server key": api.made["server_side_key"]["app_token"],
        "client key": api.made["client_side_key"]["app_token"],
        "management key": system.env["TESSERA_MANAGEMENT_TOKEN"],
        "webhook token": api.made["webhook_token"],
        "webhook secret": hook["secret"],
        "webhook secret, rotated": rotated["secret"],
        "administrator's password": system.state.secret("postgres_password"),
        "secret of the roles' passwords": system.state.secret("role_password"),
        "pepper": system.state.secret("pepper"),
        "key of ciphertexts": system.state.secret("secret_key"),
    }
    for service in topics.SERVICES:
        role = role_name(settings, service)
        issued[f"password of {role}"] = secrets.role_password(settings, role)
    return issued


def _use(system: System, api: Api, mark: str) -> dict[str, str]:
    """Do with codes and addresses what can be done with them, well and badly."""
    code, unknown = f"CANARY-{mark}", f"NOWHERE-{mark}"
    address, odd = f"canary-{mark}@shop.example", f"odd-{mark}@shop example"
    api.voucher(quantity=1, code=code)
    customer = {"source_id": f"id-{mark}", "email": address, "name": f"Name {mark}"}
    statuses = [
        api.call("POST", f"/v1/vouchers/{code}", {"type": "DISCOUNT_VOUCHER"}).status,
        api.call("POST", "/v1/customers", customer).status,
        api.call("POST", "/v1/customers", {"source_id": odd, "email": odd}).status,
        api.call("GET", f"/v1/vouchers/{unknown}").status,
        api.call("GET", f"/v1/customers/{odd}").status,
        api.redeem(code).status,
        api.redeem(code).status,
        api.redeem(unknown, customer=address).status,
        api.call("POST", "/v1/validations", cart(unknown, code)).status,
        api.call("POST", f"/v1/vouchers/{code}/balance", {"amount": 1}).status,
        api.call("DELETE", f"/v1/vouchers/{unknown}").status,
        api.call("PUT", f"/v1/vouchers/{code}", {"active": code}).status,
        api.call("GET", f"/v1/vouchers?code={unknown}&order={code}").status,
        api.call("POST", f"/v1/vouchers/{code}/{address}", {}).status,
    ]
    assert {200, 400, 404} <= set(statuses), statuses
    assert max(statuses) < 500, statuses
    _mail(system, api, address)
    _poison(system, api, code, address)
    return {"code": code, "unknown code": unknown, "address": address, "odd address": odd}


def _mail(system: System, api: Api, address: str) -> None:
    """Have a message sent whose recipient the mail server refuses, and names."""
    event = f"asks-{uuid.uuid4().hex[:8]}"
    body = {
        "name": event,
        "trigger": {"type": "customer.custom_event", "custom_event": {"name": event}},
        "message": {"channel": "email", "subject": "Hi", "text": "Hi"},
        "active": True,
    }
    api.must("POST", "/v1/distributions", body)
    source_id = f"mailed-{uuid.uuid4().hex[:8]}"
    api.must("POST", "/v1/customers", {"source_id": source_id, "email": address})
    api.must("POST", "/v1/events", {"event": event, "customer": {"source_id": source_id}})
    wait_until(lambda: rows(system, FAILED, api.project_id), "refused mail", 60)


FAILED = "SELECT 1 FROM distribution.messages WHERE project_id = $1 AND status = 'failed'"


def _poison(system: System, api: Api, code: str, address: str) -> None:
    """Send what its consumers cannot take, with confidential text where the reason may quote it."""
    about = [("ce_project", api.project_id.encode())]
    wrong = json.dumps({"source_id": {"in": address}, "email": [address], "code": code}).encode()
    cases: list[tuple[str, bytes | None, list[tuple[str, bytes]]]] = [
        (topics.INTAKE_CUSTOMERS, wrong, about),
        (topics.INTAKE_CUSTOMERS, wrong[:-5], about),
        (topics.INTAKE_ORDERS, wrong, about),
    ]
    for topic, kind in (
        (topics.commands("ledger"), "ledger.redeem.v1"),
        (topics.commands("customers"), "customers.upsert-customer.v1"),
        (topics.commands("campaigns"), "campaigns.create-voucher.v1"),
        (topics.ENGINE_REQUESTS, "engine.qualify.v1"),
        (topics.ENGINE_REQUESTS, "engine.plan-redemption.v1"),
    ):
        head = {
            "ce_id": f"msg_{uuid.uuid4().hex}",
            "ce_type": kind,
            "ce_source": "gateway",
            "ce_time": "2026-01-01T00:00:00Z",
            "ce_specversion": "1.0",
            "ce_project": api.project_id,
        }
        headers = [(name, text.encode()) for name, text in head.items()]
        cases += [(topic, wrong, headers), (topic, wrong[:-5], headers)]
    run(produce(system, cases))


# -- searching --------------------------------------------------------------------------------------


def _logs(system: System) -> dict[str, str]:
    directory = system.state.directory
    paths = [*directory.glob("log/*"), *directory.glob("*.log"), *directory.glob("postgres/log")]
    return {path.name: path.read_text(errors="replace") for path in paths if path.is_file()}


def _in_logs(logs: dict[str, str], canaries: Canaries) -> list[tuple[str, str]]:
    wanted = {**canaries.secrets, **canaries.private}
    found = []
    for path, text in logs.items():
        for name, canary in wanted.items():
            at = text.find(canary)
            if at >= 0:
                begin, end = text.rfind("\n", 0, at) + 1, text.find("\n", at)
                found.append((name, f"{path}: {text[begin:end][:600]}"))
    return found


COLUMNS = """
    SELECT table_schema AS s, table_name AS t FROM information_schema.tables
    WHERE table_schema <> ALL('{pg_catalog,information_schema}') AND table_type = 'BASE TABLE'
"""
HITS = """
    SELECT DISTINCT n.name FROM {} x CROSS JOIN unnest($1::text[], $2::text[]) AS n(name, text)
    WHERE strpos(x::text, n.text) > 0
"""


async def _in_tables(system: System, wanted: dict[str, str]) -> list[tuple[str, str]]:
    """Return what stands in which table, as text or in hexadecimal, as bytes are shown."""
    names = [*wanted, *wanted]
    texts = [*wanted.values(), *(text.encode().hex() for text in wanted.values())]
    connection = await asyncpg.connect(system.env["DATABASE_URL"])
    try:
        tables = [f"{row['s']}.{row['t']}" for row in await connection.fetch(COLUMNS)]
        return [
            (row["name"], table)
            for table in tables
            for row in await connection.fetch(HITS.format(table), names, texts)
        ]
    finally:
        await connection.close()


async def _ends(system: System) -> dict[Any, int]:
    found = await asyncio.gather(*(end_of(system, topic) for topic in topics.ALL))
    return {place: offset for one in found for place, offset in one.items()}


async def _in_topics(
    system: System, ends: dict[Any, int], wanted: dict[str, str]
) -> list[tuple[str, str]]:
    found = []
    for record in await read_from(system, ends):
        parts = [record.key or b"", record.value or b"", *(value for _, value in record.headers)]
        text = b"\n".join(parts)
        found += [(name, record.topic) for name, one in wanted.items() if one.encode() in text]
    return found


def _in_command_lines(wanted: dict[str, str]) -> list[str]:
    """Anybody on the machine can read those."""
    told = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [f"{name} in a command line" for name, one in wanted.items() if one in told]


LETTERS = "SELECT 1 FROM customers.dead_letters x WHERE convert_from(value, 'UTF8') LIKE $1"


def _the_search_finds(
    system: System,
    api: Api,
    canaries: Canaries,
    logs: dict[str, str],
    tables: list[tuple[str, str]],
    records: list[tuple[str, str]],
) -> None:
    """What must be found is: else that nothing is found would show nothing."""
    assert ("code", "gateway.vouchers") in tables
    assert ("address", "gateway.customers") in tables
    assert ("code", topics.commands("ledger")) in records
    assert any(name == "address" and place == "customers.dead_letters" for name, place in tables)
    assert any(api.project_id in text for text in logs.values())
    settings = Settings(tessera_pepper=system.state.secret("pepper"))  # type: ignore[arg-type]
    kept = secrets.keyed_hash(settings, canaries.secrets["server key"])
    assert run(_in_tables(system, {"hash": kept})), "the key's hash is what is kept of it"
