"""An event of version 1 lies in the log when the code knows version 3 only: nothing notices.

Log, topic, projection, reaction to it, rebuild and audit, on real Kafka and Postgres. The stored text
stays as it was, so the hash chain holds over both versions.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import ClassVar

import orjson
import pytest
import pytest_asyncio
from pydantic import BaseModel

from contracts import messages, topics, upcasting
from contracts.errors import JsonObject
from contracts.messages import Command, Envelope, Event
from runtime import admin, audit
from runtime.aggregate import AGGREGATES, Aggregate
from runtime.consumer import CommandConsumer, Handler, ProjectionConsumer, ReactionConsumer
from runtime.database import connect
from runtime.read_model import Fold, Projection, RowKey, Rows, Table
from runtime.service import Service
from runtime.settings import Settings
from runtime.testing.fixtures import create_schemas
from runtime.unit import Unit

pytestmark = pytest.mark.integration

TABLES = """
CREATE TABLE plants (project_id text, name text, millimetres bigint, reason text,
                     PRIMARY KEY (project_id, name));
"""


class GrownOnce(Event):
    """Version 1, as yesterday's code wrote it."""

    TYPE: ClassVar[str] = "counter.plant-grown.v1"
    name: str
    centimetres: int


class Grown(Event):
    """Version 3: other unit (v2), and why (v3)."""

    TYPE: ClassVar[str] = "counter.plant-grown.v3"
    name: str
    millimetres: int
    reason: str


class Grow(Command):
    TYPE: ClassVar[str] = "counter.grow-plant.v1"
    name: str
    centimetres: int


class Plant(BaseModel):
    name: str
    millimetres: int


def _v1_to_v2(body: JsonObject) -> JsonObject:
    return {"name": body["name"], "millimetres": 10 * body["centimetres"]}


def _v2_to_v3(body: JsonObject) -> JsonObject:
    return {**body, "reason": "sun"}


PLANTS = Table(
    "plants", {"project_id": "text", "name": "text"}, {"millimetres": "bigint", "reason": "text"}
)


def _keys(event: Grown, envelope: Envelope) -> Iterable[RowKey]:
    yield PLANTS, (envelope.project_id, event.name)


def _apply(rows: Rows, event: Grown, envelope: Envelope) -> None:
    key = (envelope.project_id, event.name)
    before = (rows.get(PLANTS, *key) or {"millimetres": 0})["millimetres"]
    rows.put(PLANTS, key, {"millimetres": before + event.millimetres, "reason": event.reason})


def _evolve_once(state: Plant | None, event: GrownOnce) -> Plant:
    height = state.millimetres if state else 0
    return Plant(name=event.name, millimetres=height + 10 * event.centimetres)


def _evolve(state: Plant | None, event: Grown) -> Plant:
    height = state.millimetres if state else 0
    return Plant(name=event.name, millimetres=height + event.millimetres)


def _yesterday(settings: Settings) -> Service:
    plant = Aggregate("plant", Plant, _evolve_once)

    async def grow(unit: Unit, command: Grow) -> JsonObject:
        await unit.load(plant, command.name)
        event = GrownOnce(name=command.name, centimetres=command.centimetres)
        return unit.append(plant, command.name, event).model_dump()

    return Service("catalog", settings, consumers=[CommandConsumer({Grow: Handler(grow)})])


def _today(settings: Settings, seen: list[Grown]) -> Service:
    plant = Aggregate("plant", Plant, _evolve)

    async def grow(unit: Unit, command: Grow) -> JsonObject:
        await unit.load(plant, command.name)
        event = Grown(name=command.name, millimetres=10 * command.centimetres, reason="water")
        return unit.append(plant, command.name, event).model_dump()

    async def on_grown(unit: Unit, event: Grown) -> None:
        del unit
        seen.append(event)

    return Service(
        "catalog",
        settings,
        consumers=[
            CommandConsumer({Grow: Handler(grow)}),
            ReactionConsumer({Grown: Handler(on_grown)}, ["catalog.events"]),
            ProjectionConsumer(
                Projection([PLANTS], {Grown: Fold(_keys, _apply)}), ["catalog.events"]
            ),
        ],
    )


@pytest_asyncio.fixture
async def settings(leased_kafka_settings: Settings) -> Settings:
    settings = leased_kafka_settings
    await create_schemas(settings, "catalog", "gateway")
    await admin.create_topics(settings, ["catalog.events", "catalog.commands", "gateway.replies"])
    await admin.migrate_service(_yesterday(settings))
    connection = await connect(settings, "catalog")
    await connection.execute(TABLES)
    await connection.close()
    return settings


@pytest_asyncio.fixture
async def gateway(settings: Settings) -> AsyncIterator[Service]:
    service = Service("gateway", settings, with_rpc=True)
    await admin.migrate_service(service)
    await service.start()
    yield service
    await service.stop()


async def test_version_one_is_read_everywhere(
    settings: Settings, gateway: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _yesterday(settings)
    await old.start()
    for _ in range(3):
        await _grow(gateway, 2)
    await old.stop()

    _deploy(monkeypatch)
    seen: list[Grown] = []
    new = _today(settings, seen)
    await new.start()
    try:
        reply = await _grow(gateway, 1)
        assert reply.body == {"name": "fern", "millimetres": 70}
        await new.positions.wait(reply.positions, 20)
        assert await _plants(settings) == [("fern", 70, "water")]
        expected = [Grown(name="fern", millimetres=20, reason="sun")] * 3
        async with asyncio.timeout(60):  # A reaction is no part of what positions wait for.
            while len(seen) < len(expected):
                await asyncio.sleep(0.05)
        assert seen[:3] == expected
        monkeypatch.setattr(admin, "build_service", lambda name, given: _today(given, []))
        monkeypatch.setattr(topics, "SERVICES", ("catalog", "gateway"))
        assert await admin.rebuild(settings, ["catalog"])
        await _audit(settings, new)
        assert await _stored(settings) == [("counter.plant-grown.v1", {"centimetres": 2})] * 3 + [
            ("counter.plant-grown.v3", {"millimetres": 10, "reason": "water"})
        ]
    finally:
        await new.stop()


def _deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old class is gone; two upcasters lead from its version to the newest."""
    monkeypatch.delitem(messages.TYPES, GrownOnce.TYPE)
    monkeypatch.setattr(upcasting, "UPCASTERS", {})
    upcasting.register("counter.plant-grown.v1", "counter.plant-grown.v2", _v1_to_v2)
    upcasting.register("counter.plant-grown.v2", "counter.plant-grown.v3", _v2_to_v3)
    monkeypatch.setitem(AGGREGATES, ("catalog", "plant"), Aggregate("plant", Plant, _evolve))


async def _grow(gateway: Service, centimetres: int):
    command = Grow(name="fern", centimetres=centimetres)
    reply = await gateway.rpc.call("catalog.commands", "fern", command, project_id="p1")
    assert reply.error is None, reply.error
    return reply


async def _plants(settings: Settings) -> list[tuple[str, int, str]]:
    connection = await connect(settings, "catalog")
    rows = await connection.fetch("SELECT name, millimetres, reason FROM plants")
    await connection.close()
    return [(row["name"], row["millimetres"], row["reason"]) for row in rows]


async def _audit(settings: Settings, service: Service) -> None:
    connection = await connect(settings, "catalog")
    async with connection.transaction():
        projection = service.consumers[-1]
        assert isinstance(projection, ProjectionConsumer)
        assert audit.aggregate_of("catalog", "plant-fern") is not None, "the audit folds it"
        assert await audit.check_log(connection, "catalog") == []
        events = await audit.all_events(connection, ["catalog"])
        assert len(events) == 4
        found = await audit.compare(connection, "catalog", projection.projection, events)
        assert found == []
    await connection.close()


async def _stored(settings: Settings) -> list[tuple[str, JsonObject]]:
    connection = await connect(settings, "catalog")
    rows = await connection.fetch("SELECT type, data FROM events ORDER BY position")
    await connection.close()
    return [
        (row["type"], {k: v for k, v in orjson.loads(row["data"]).items() if k != "name"})
        for row in rows
    ]
