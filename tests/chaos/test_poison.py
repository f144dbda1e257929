"""R21: garbage at every consumer. Each moves on, keeps what it could not handle, says why.

What is garbage and who reads what is taken from the services' own wiring, so a new consumer is
covered the day it is written. Two stories: bytes nobody can read, at every topic; and sound events
that break their consumer until it is mended, with what becomes of their streams meanwhile.
"""

import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from contracts import topics
from contracts.catalog import IntakeRejected
from runtime.consumer import IntakeConsumer, ProjectionConsumer, ReactionConsumer
from runtime.requests import RequestConsumer
from tests.chaos.kit import (
    Reader,
    Sent,
    end_of,
    metric,
    produce,
    read_from,
    readers,
    report,
    rows,
    say,
)
from tests.system import Api, System, run, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

MOVED_ON_S = 60
"""Deadline on a busy machine; what it took is printed."""
LARGE = 5 * 1024 * 1024
LARGE_TOPICS = {"ledger.commands", "ledger.events", "intake.orders", topics.ENGINE_REQUESTS}
Headers = list[tuple[str, bytes]]


class Kind:
    """A kind of poison; ``is_told``: a consumer that keeps to types it knows leaves it alone."""

    def __init__(self, name: str, value: bytes | None, headers: Headers, *, concerns: bool) -> None:
        self.name, self.value, self.headers, self.concerns = name, value, headers, concerns


def test_r21_every_consumer_keeps_what_it_cannot_read_and_goes_on(system: System, api: Api) -> None:
    aims = [(reader, kind) for reader in readers() for kind in _kinds(reader)]
    rejected_from = run(end_of(system, topics.INTAKE_REJECTED))
    letters_from = run(end_of(system, topics.dead_letters("engine")))
    metrics_from = {reader.name: _given_up(system, reader) for reader, _ in aims}
    sent = run(produce(system, [(reader.topic, k.value, k.headers) for reader, k in aims]))
    started = time.monotonic()
    wait_until(lambda: not _behind(system, sent), "every consumer moved on", MOVED_ON_S)
    say(f"R21: {len(sent)} records, {len(metrics_from)} consumers, moved on in {_took(started)}")
    _sound_requests_work(api)
    rejected = wait_until(
        lambda: _rejected(system, rejected_from, aims), "upstream told of all", 60
    )
    engine = wait_until(lambda: _engine_letters(system, letters_from, aims), "engine's letters", 60)
    letters = _letters(system)
    for (reader, kind), record in zip(aims, sent, strict=True):
        where = f"{kind.name} to {reader.name}"
        if isinstance(reader.consumer, IntakeConsumer):
            event = rejected.get((record.topic, record.partition, record.offset))
            assert event is not None, f"{where}: upstream was not told"
            assert event.reason, where
        elif isinstance(reader.consumer, RequestConsumer):
            assert (record.value or b"") in engine, f"{where}: not among the dead letters"
        elif kind.concerns or not isinstance(reader.consumer, ReactionConsumer):
            letter = letters.get((reader.service, reader.consumer.name, *record[:3]))
            assert letter is not None, f"{where}: no dead letter"
            assert letter["value"] == record.value, f"{where}: the bytes were not kept"
            assert letter["reason"], where
    for reader, _ in aims:
        if not isinstance(reader.consumer, IntakeConsumer):
            assert _given_up(system, reader) > metrics_from[reader.name], f"{reader.name}: metric"
    report("R21", records=len(sent), consumers=len(metrics_from), lost=0)
    _idle_again(system)
    _nothing_but_the_letters_is_found(system)
    system.admin("discard-dead-letters", "--because", "R21 sent garbage")
    assert rows(system, "SELECT 1 FROM ledger.discarded_letters WHERE because = 'R21 sent garbage'")
    assert "audit: clean" in system.audit()


def _kinds(reader: Reader) -> list[Kind]:
    envelope: Headers = [
        ("ce_id", f"poison-{uuid.uuid4().hex}".encode()),
        ("ce_source", b"test"),
        ("ce_project", b"proj_poison"),
        ("ce_stream", f"poison-{uuid.uuid4().hex}".encode()),
        ("ce_streamversion", b"1"),
    ]
    known = [*envelope, ("ce_type", _known_type(reader).encode())]
    large = LARGE if reader.topic in LARGE_TOPICS else 50_000
    nowhere = [("ce_replyto", b"no.such.topic"), ("ce_replypartition", b"999")]
    return [
        Kind("bytes that are no text", b"\xff\xfe\x00garbage", [("ce_id", b"\xff")], concerns=True),
        Kind("no headers", b"{", [], concerns=True),
        Kind("unknown type", b"[7]", [*envelope, ("ce_type", b"nobody.knows.v1")], concerns=False),
        Kind("unknown version", b"[7]", _next_version(known), concerns=False),
        Kind("not the schema", b'{"no_such_property": 7, "id": 5}', known, concerns=True),
        Kind("null", None, known, concerns=True),
        Kind("large", b"x" * large, [], concerns=True),
        Kind("numbers out of range", b"{", [*known, ("ce_position", b"9" * 30)], concerns=True),
        Kind("a project with a NUL", b"{", [*known, ("ce_project", b"p\x00")], concerns=True),
        Kind("an endless project", b"{", [*known, ("ce_project", _noise())], concerns=True),
        Kind("a reply to nowhere", b'{"no": 1}', [*known, *nowhere], concerns=True),
    ]


def _noise() -> bytes:
    return "".join(uuid.uuid4().hex for _ in range(200)).encode()


def _known_type(reader: Reader) -> str:
    if isinstance(reader.consumer, ProjectionConsumer):
        known = set(reader.consumer.projection.folds)
    else:
        known = set(getattr(reader.consumer, "_types", {"upstream.v1"}))
    of_topic = {name for name in known if name.startswith(reader.topic.partition(".")[0] + ".")}
    return min(of_topic or known)


def _next_version(headers: Headers) -> Headers:
    return [(name, value + b"9" if name == "ce_type" else value) for name, value in headers]


def _behind(system: System, sent: list[Sent]) -> list[str]:
    ends: dict[str, int] = {}
    for record in sent:
        ends[record.topic] = max(ends.get(record.topic, 0), record.offset + 1)
    sql = "SELECT consumer, topic, next_offset FROM {}.consumer_offsets WHERE partition = 0"
    stored = {
        (service, row["consumer"], row["topic"]): row["next_offset"]
        for service in topics.SERVICES
        for row in rows(system, sql.format(service))
    }
    return [
        reader.name
        for reader in readers()
        if not isinstance(reader.consumer, RequestConsumer)
        and stored.get((reader.service, reader.consumer.name, reader.topic), 0) < ends[reader.topic]
    ]


def _took(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"


def _rejected(
    system: System, start: dict[Any, int], aims: list[Any]
) -> dict[tuple[str, int, int], IntakeRejected]:
    """Return by record what upstream was told; empty until it is all there."""
    told = [IntakeRejected.from_json(one.value) for one in run(read_from(system, start))]
    expected = sum(isinstance(reader.consumer, IntakeConsumer) for reader, _ in aims)
    found = {(event.topic, event.partition, event.offset): event for event in told}
    return found if len(found) >= expected else {}


def _engine_letters(system: System, start: dict[Any, int], aims: list[Any]) -> list[bytes]:
    found = [record.value for record in run(read_from(system, start))]
    expected = sum(isinstance(reader.consumer, RequestConsumer) for reader, _ in aims)
    return found if len(found) >= expected else []


def _letters(system: System) -> dict[tuple[Any, ...], Any]:
    return {
        (service, row["consumer"], row["topic"], row["partition"], row["record_offset"]): row
        for service in topics.SERVICES
        for row in rows(system, f"SELECT * FROM {service}.dead_letters")
    }


def _given_up(system: System, reader: Reader) -> float:
    name = "tessera_dead_letters_total"
    return metric(system, reader.service, name, consumer=reader.consumer.name)


def _sound_requests_work(api: Api) -> None:
    code = api.voucher(quantity=5)
    assert api.redeem(code, customer="after-poison").status == 200
    wait_until(lambda: api.call("GET", "/v1/customers/after-poison").status == 200, "the customer")
    api.must("POST", "/v1/products", {"source_id": f"p-{uuid.uuid4().hex}", "name": "x"})


def _idle_again(system: System) -> None:
    """Whoever gave up is not busy with it any more: the same records are not tried for ever."""
    before = {name: metric(system, name, "process_cpu_seconds_total") for name in topics.SERVICES}
    started = time.monotonic()
    wait_until(lambda: time.monotonic() - started > 2, "two seconds")
    took = time.monotonic() - started
    for name in topics.SERVICES:
        busy = (metric(system, name, "process_cpu_seconds_total") - before[name]) / took
        assert busy < 0.5, f"{name} is still at it: {busy:.0%} of a core"


def _nothing_but_the_letters_is_found(system: System) -> None:
    with pytest.raises(AssertionError) as told:
        system.audit()
    found = [line for line in str(told.value).splitlines() if line.startswith("✗")]
    assert found
    assert all(line.endswith("dead letters") for line in found), found


# -- events that break their consumer -----------------------------------------------------------

BREAKER = """
CREATE FUNCTION {schema}.break_poison() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW)::text LIKE '%{mark}%' THEN RAISE EXCEPTION 'this consumer has a bug'; END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER break_poison BEFORE INSERT OR UPDATE ON {schema}.{table}
FOR EACH ROW EXECUTE FUNCTION {schema}.break_poison()
"""
BROKEN = {
    "gateway": ["customers", "products", "vouchers", "orders"],
    "engine": ["vouchers"],
    "webhooks": ["hooks"],
}


@pytest.fixture
def mark(system: System) -> Iterator[str]:
    """Put a bug into the consumers that write these tables: rows with the mark break them."""
    mark = f"poison{uuid.uuid4().hex[:8]}"
    for schema, tables in BROKEN.items():
        rows(system, BREAKER.format(schema=schema, mark=mark))
        for table in tables:
            rows(system, TRIGGER.format(schema=schema, table=table))
    yield mark
    _mend(system)


def _mend(system: System) -> None:
    for schema in BROKEN:
        rows(system, f"DROP FUNCTION IF EXISTS {schema}.break_poison() CASCADE")


def test_r21_a_poisoned_stream_is_held_others_go_on_and_a_replay_mends_it(
    system: System, api: Api, mark: str
) -> None:
    hooks = f"/management/v1/projects/{api.project_id}/webhooks"
    body = {"target_url": "http://127.0.0.1:9/x", "events": ["customer.created"]}
    system.management().must("POST", hooks, body)
    sound = f"sound{uuid.uuid4().hex[:8]}"
    for name in (mark, sound):
        for number in range(3):
            api.call("POST", "/v1/customers", {"source_id": name, "metadata": {"n": number}})
            api.call("POST", "/v1/products", {"source_id": name, "name": f"n{number}"})
        api.call("POST", f"/v1/vouchers/{name}", _voucher())
    # Customer and product thrice at the gateway, the customer at webhooks, the voucher at two.
    wait_until(lambda: len(_kept(system, mark)) >= 11, "the poisoned events kept", 60)
    # Others go on: the sound twin of everything shows, in the newest state.
    assert api.must("GET", f"/v1/customers/{sound}")["metadata"] == {"n": 2}
    assert api.must("GET", f"/v1/products/{sound}")["name"] == "n2"
    assert api.redeem(sound).status == 200
    assert api.call("GET", f"/v1/customers/{mark}").status == 404
    kept = _kept(system, mark)
    by_stream: dict[Any, list[str]] = {}
    for (service, consumer), status, stream, _, reason in kept:
        by_stream.setdefault((service, consumer, stream), []).append(status)
        assert ("bug" in reason) == (status == "failed"), reason
    assert {name for name, *_ in by_stream} == set(BROKEN)
    for stream, statuses in by_stream.items():
        assert statuses == ["failed"] + ["held"] * (len(statuses) - 1), stream
    assert any(len(statuses) == 3 for statuses in by_stream.values()), by_stream
    assert "handled" in _failing_replay(system), "before the mend a replay handles none of them"
    assert [row[:3] for row in _kept(system, mark)] == [row[:3] for row in kept]
    _mend(system)
    system.admin("replay-dead-letters")
    assert api.must("GET", f"/v1/customers/{mark}")["metadata"] == {"n": 2}
    assert api.must("GET", f"/v1/products/{mark}")["name"] == "n2"
    assert api.redeem(mark).status == 200
    assert "audit: clean" in system.audit()


def _voucher() -> dict[str, Any]:
    discount = {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"}
    return {"type": "DISCOUNT_VOUCHER", "discount": discount, "redemption": {"quantity": 5}}


def _kept(system: System, mark: str) -> list[tuple[Any, ...]]:
    """Return the dead letters that name the mark, in their order."""
    found = []
    for service in BROKEN:
        for row in rows(system, f"SELECT * FROM {service}.dead_letters ORDER BY id"):
            if mark.encode() in (row["value"] or b""):
                who = (service, row["consumer"])
                found.append((who, row["status"], row["stream_id"], row["topic"], row["reason"]))
    return found


def _failing_replay(system: System) -> str:
    with pytest.raises(AssertionError) as told:
        system.admin("replay-dead-letters")
    return str(told.value)
