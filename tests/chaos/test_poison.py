"""R21: garbage on every topic. Each consumer moves on, keeps what it could not handle, says why."""

import asyncio
import uuid

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from contracts import topics
from tests.system import Api, System, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

ENVELOPE = [
    ("ce_id", b"poison"),
    ("ce_source", b"test"),
    ("ce_project", b"proj_poison"),
    ("ce_stream", b"poison-1"),
    ("ce_streamversion", b"1"),
    ("ce_position", b"999999999"),
]
KINDS = {
    "bytes that are no text": (b"\xff\xfe\x00garbage", [("ce_id", b"\xff")]),
    "no headers": (b"{}", []),
    "unknown type": (b"{}", [*ENVELOPE, ("ce_type", b"nobody.knows.v1")]),
    "unknown version": (b"{}", [*ENVELOPE, ("ce_type", b"ledger.redeem.v99")]),
    "not the schema": (
        b'{"voucher": 7}',
        [*ENVELOPE, ("ce_type", b"campaigns.voucher-created.v1")],
    ),
    "null": (None, [*ENVELOPE, ("ce_type", b"customers.customer-created.v1")]),
    "large": (b"x" * 900_000, []),
}


def test_r21_every_topic_takes_garbage_and_goes_on(system: System, api: Api) -> None:
    """Positions of poison are left out where they would hide what follows: see ``_headers``."""
    before = _dead_letters(system)
    asyncio.run(_poison(system))
    code = api.voucher(quantity=5)
    assert api.redeem(code, customer="after-poison").status == 200
    assert api.must("GET", "/v1/customers/after-poison")["source_id"] == "after-poison"
    api.must("POST", "/v1/products", {"source_id": f"p-{uuid.uuid4().hex}", "name": "x"})
    wait_until(
        lambda: _dead_letters(system) > before, "dead letters with their reasons", timeout_s=20
    )
    reasons = asyncio.run(_reasons(system))
    assert all(reason for reason in reasons)
    asyncio.run(_clean(system))
    assert "audit: clean" in system.audit()


async def _poison(system: System) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=system.infra.kafka_bootstrap_servers, max_request_size=2_000_000
    )
    await producer.start()
    for topic in topics.ALL:
        if topic.endswith("dead-letters") or topic == topics.INTAKE_REJECTED:
            continue
        for value, headers in KINDS.values():
            safe = [header for header in headers if header[0] != "ce_position"]
            await producer.send(topic, value, headers=safe, partition=0)
    await producer.flush()
    await producer.stop()


def _dead_letters(system: System) -> int:
    return len(asyncio.run(_reasons(system)))


async def _reasons(system: System) -> list[str]:
    connection = await asyncpg.connect(system.infra.database_url)
    found = []
    for service in topics.SERVICES:
        rows = await connection.fetch(f"SELECT reason FROM {service}.dead_letters")
        found += [row["reason"] for row in rows]
    await connection.close()
    return found


async def _clean(system: System) -> None:
    """Throw the poison away, as an operator does once it is understood."""
    connection = await asyncpg.connect(system.infra.database_url)
    for service in topics.SERVICES:
        await connection.execute(f"DELETE FROM {service}.dead_letters")
    await connection.close()
