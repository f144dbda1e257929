"""The real service on a real broker, and the examples of libs/contracts as its neighbours."""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from contracts import ids, topics
from customers.app import build
from runtime import admin
from runtime.service import Service
from runtime.settings import Settings
from runtime.testing.fixtures import create_schemas

pytestmark = pytest.mark.integration
EXAMPLES = Path(__file__).resolve().parents[3] / "libs" / "contracts" / "examples"


@pytest_asyncio.fixture
async def settings(leased_kafka_settings: Settings) -> Settings:
    settings = leased_kafka_settings
    await create_schemas(settings, "customers")
    read = [topics.events(name) for name in ("ledger", "distribution", "catalog", "gateway")]
    intake = [topics.INTAKE_CUSTOMERS, topics.INTAKE_ORDERS, topics.INTAKE_CUSTOM_EVENTS]
    own = [topics.commands("customers"), topics.events("customers"), topics.INTAKE_REJECTED]
    await admin.create_topics(settings, [*read, *intake, *own])
    return settings


@pytest_asyncio.fixture
async def customers(settings: Settings) -> AsyncIterator[Service]:
    service = build(settings)
    await admin.migrate_service(service)
    await service.start()
    async with service.pool.acquire() as connection:
        await connection.execute(
            "INSERT INTO known_projects (project_id) VALUES ('p1'), ('proj_example')"
        )
    yield service
    await service.stop()


async def start_example(name: str, settings: Settings) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "TOPIC_PREFIX": settings.topic_prefix,
        "TESSERA_PROJECT_ID": "proj_example",
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), env=environment, stdout=asyncio.subprocess.PIPE
    )


async def count(service: Service, pattern: str, wanted: int, deadline_s: float) -> int:
    found = 0
    deadline = time.monotonic() + deadline_s
    while found < wanted and time.monotonic() < deadline:
        async with service.pool.acquire() as connection:
            found = await connection.fetchval(
                "SELECT count(*) FROM aggregates WHERE stream_id LIKE $1", pattern
            )
        await asyncio.sleep(0.05)
    return found


async def test_examples_publish_an_order_and_read_it_back(customers: Service, settings: Settings):
    reader = await start_example("internal_consumer.py", settings)
    writer = await start_example("upstream_producer.py", settings)
    try:
        async with asyncio.timeout(60):
            assert await writer.wait() == 0
            line = await reader.stdout.readline()
    finally:
        reader.terminate()
        await reader.wait()
    assert line == b"proj_example order-2 2500\n"
    async with customers.pool.acquire() as connection:
        state = await connection.fetchval(
            "SELECT state FROM aggregates WHERE project_id = 'proj_example' AND stream_id = $1",
            "customer-" + ids.customer_id("proj_example", "anna"),
        )
    assert state["customer"]["email"] == "anna@shop.example"


async def test_a_thousand_orders_of_two_hundred_customers_pass(
    customers: Service, settings: Settings
):
    topic = settings.topic_prefix + topics.INTAKE_ORDERS
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as kafka:
        for number in range(1000):
            customer = f"c{number % 200}"
            order = {
                "source_id": f"o{number}",
                "items": [{"source_id": f"p{number % 30}", "quantity": 2, "price": 100 + number}],
                "customer": {"source_id": customer, "name": customer},
            }
            body = order if number % 49 else {"source_id": f"o{number}", "items": [{"quantity": 0}]}
            headers = [("ce_project", b"p1")]
            await kafka.send(
                topic, json.dumps(body).encode(), key=customer.encode(), headers=headers
            )
    started = time.monotonic()
    assert await count(customers, "order-%", 979, 60) == 979
    assert await count(customers, "customer-%", 200, 1) == 200
    assert time.monotonic() - started < 30
    async with customers.pool.acquire() as connection:
        rejected = await connection.fetchval(
            "SELECT count(*) FROM events WHERE type = 'intake.rejected.v1'"
        )
        letters = await connection.fetchval("SELECT count(*) FROM dead_letters")
    assert (rejected, letters) == (21, 0)
