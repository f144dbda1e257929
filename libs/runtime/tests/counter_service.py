"""A small service that the runtime's tests run: a counter per name, and a projection of it."""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel

from contracts.errors import DomainError, JsonObject
from contracts.messages import Command, Envelope, Event, Reply
from runtime.aggregate import Aggregate
from runtime.consumer import (
    CommandConsumer,
    Handler,
    IntakeConsumer,
    ProjectionConsumer,
    ReactionConsumer,
)
from runtime.read_model import Fold, Projection, RowKey, Rows, Table
from runtime.service import Service
from runtime.settings import Settings
from runtime.unit import Unit

POISON = {"poison"}
"""Names that break whatever handles them; a test that empties this has mended the code."""


def _break_on(name: str) -> None:
    if name in POISON:
        message = "this message breaks its handler"
        raise RuntimeError(message)


class TooMuch(DomainError):
    key = "too_much"
    message = "Too much"


class Count(Command):
    TYPE: ClassVar[str] = "counter.count.v1"
    name: str
    by: int


class Note(Command):
    TYPE: ClassVar[str] = "counter.note.v1"
    name: str
    fails: bool = False


class Fail(Command):
    """Recorded as an event, answered as an error."""

    TYPE: ClassVar[str] = "counter.fail.v1"
    name: str


class Counted(Event):
    TYPE: ClassVar[str] = "counter.counted.v1"
    name: str
    by: int


class Broken(Event):
    TYPE: ClassVar[str] = "counter.broken.v1"
    name: str


class Counter(BaseModel):
    name: str
    total: int = 0


def evolve(state: Counter | None, event: Counted) -> Counter:
    return Counter(name=event.name, total=(state.total if state else 0) + event.by)


COUNTER = Aggregate("counter", Counter, evolve)


async def count(unit: Unit, command: Count) -> JsonObject:
    _break_on(command.name)
    state = await unit.load(COUNTER, command.name)
    if (state.total if state else 0) + command.by > 10:
        raise TooMuch(f"name: {command.name}")
    is_new = state is None or command.by != 0
    counted = [Counted(name=command.name, by=command.by)] if is_new else []
    counter = unit.append(COUNTER, command.name, *counted)
    return {"total": counter.total}


async def note(unit: Unit, command: Note) -> JsonObject:
    _break_on(command.name)
    await unit.connection.execute(
        "INSERT INTO notes (project_id, name) VALUES ($1, $2)", unit.project_id, command.name
    )
    if command.fails:
        raise TooMuch("name: refused")
    return {}


async def fail(unit: Unit, command: Fail) -> Reply:
    unit.publish_event(f"failure-{command.name}", Counted(name=command.name, by=0))
    error = TooMuch("recorded").body()
    return Reply(status=error.code, error=error)


async def on_counted(unit: Unit, event: Counted) -> None:
    _break_on(event.name)
    await unit.load(COUNTER, f"echo-{event.name}")
    echo = f"echo-{event.name}"
    unit.append(COUNTER, echo, Counted(name=echo, by=event.by))


async def take_count(unit: Unit, element: JsonObject) -> None:
    name = element.get("name")
    if not isinstance(name, str):
        raise TooMuch("name: must be text")
    _break_on(name)
    await unit.load(COUNTER, name)
    unit.append(COUNTER, name, Counted(name=name, by=1))


COUNTERS = Table(
    "counters", {"project_id": "text", "name": "text"}, {"total": "bigint", "doc": "jsonb"}
)


def keys_counted(event: Counted, envelope: Envelope) -> Iterable[RowKey]:
    yield COUNTERS, (envelope.project_id, event.name)


def apply_counted(rows: Rows, event: Counted, envelope: Envelope) -> None:
    _break_on(event.name)
    row = rows.get(COUNTERS, envelope.project_id, event.name) or {"total": 0}
    row = {**row, "total": row["total"] + event.by, "doc": {"last": event.by}}
    rows.put(COUNTERS, (envelope.project_id, event.name), row)


PROJECTION = Projection([COUNTERS], {Counted: Fold(keys_counted, apply_counted)})


def build(settings: Settings) -> Service:
    return Service(
        "catalog",
        settings,
        consumers=[
            CommandConsumer(
                {
                    Count: Handler(count, streams=lambda c: [(COUNTER, c.name)]),
                    Note: Handler(note),
                    Fail: Handler(fail),
                }
            ),
            ReactionConsumer({Counted: Handler(on_counted)}, topics=["customers.events"]),
            IntakeConsumer({"intake.products": take_count}),
            ProjectionConsumer(PROJECTION, topics=["catalog.events"]),
        ],
    )
