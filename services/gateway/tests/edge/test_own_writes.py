"""What was written is remembered for its own readers, for a while, and not without bound."""

import pytest

from contracts.messages import Position
from gateway import limits
from gateway.own_writes import OwnWrites
from services.gateway.tests.edge.front import Front


def at(position: int, service: str = "ledger", partition: int = 0) -> Position:
    return Position(service, partition, position)


def test_the_newest_position_of_a_scope_counts() -> None:
    writes = OwnWrites()
    writes.remember("p", "ledger", [at(5), at(7, partition=1)], ["voucher/a"])
    writes.remember("p", "ledger", [at(4)], ["voucher/a"])
    writes.remember("p", "ledger", [at(9)], ["voucher/b"])
    assert writes.of("p", ["voucher/a"]) == [at(5), at(7, partition=1)]
    assert writes.of("p", ["voucher/b"]) == [at(9)]
    assert writes.of("p", ["voucher/a", "voucher/b"]) == [at(9), at(7, partition=1)]
    assert writes.of("p", ["*"]) == [at(9), at(7, partition=1)]
    assert writes.of("p", ["voucher/c"]) == []
    assert writes.of("q", ["voucher/a", "*"]) == []


def test_definitions_concern_every_reader_of_the_project() -> None:
    writes = OwnWrites()
    writes.remember("p", "campaigns", [at(3, "campaigns")], [])
    assert writes.of("p", []) == [at(3, "campaigns")]
    assert writes.of("q", []) == []


def test_writes_are_forgotten_in_time() -> None:
    now = 0.0
    writes = OwnWrites(now=lambda: now)
    writes.remember("p", "ledger", [at(5)], ["voucher/a"])
    now = limits.REMEMBERED_WRITES_S - 1
    assert writes.of("p", ["voucher/a"]) == [at(5)]
    writes.remember("p", "ledger", [at(6)], ["voucher/b"])
    now = limits.REMEMBERED_WRITES_S
    assert writes.of("p", ["voucher/a"]) == []
    assert writes.of("p", ["voucher/b"]) == [at(6)]
    writes.remember("p", "ledger", [at(7)], ["voucher/c"])
    assert len(writes) == 3  # everything, b and c


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED_WRITES_MAX", 10)
    writes = OwnWrites()
    for number in range(100):
        writes.remember("p", "ledger", [at(number)], [f"voucher/{number}"])
    assert len(writes) == 10
    assert writes.of("p", ["voucher/99"]) == [at(99)]
    assert writes.of("p", ["voucher/0"]) == []


def test_a_reply_without_positions_leaves_nothing() -> None:
    writes = OwnWrites()
    writes.remember("p", "ledger", [], ["voucher/a"])
    assert len(writes) == 0


def test_a_scope_is_known_for_as_long_as_it_is_remembered() -> None:
    now = 0.0
    writes = OwnWrites(now=lambda: now)
    writes.remember("p", "ledger", [at(5)], ["named-customer/cust_1"])
    assert writes.knows("p", "named-customer/cust_1")
    assert not writes.knows("q", "named-customer/cust_1")
    assert not writes.knows("p", "named-customer/cust_2")
    now = limits.REMEMBERED_WRITES_S
    assert not writes.knows("p", "named-customer/cust_1")


def test_the_list_of_projects_waits_for_projects_of_every_kind() -> None:
    writes = OwnWrites()
    writes.remember("p", "gateway", [at(3, "gateway")], [])
    writes.remember("q", "campaigns", [at(9, "campaigns")], [])
    assert writes.of("", []) == [at(3, "gateway")]


@pytest.mark.integration
async def test_a_new_project_is_listed_at_once_or_the_list_is_not_answered(front: Front) -> None:
    keys = await front.management()
    made = []
    for name in ("First", "Second"):
        body = {"name": name, "timezone": "Europe/Berlin", "currency": "EUR"}
        answer = await front.send("POST", "/management/v1/projects", keys, body)
        assert answer.status == 200
        made.append(answer.json["id"])
    behind = await front.send("GET", "/management/v1/projects", keys)
    assert behind.status == 503
    await front.harness.deliver_own()
    listed = await front.send("GET", "/management/v1/projects", keys)
    assert [one["id"] for one in listed.json["data"]] == made
    second = await front.send("GET", "/management/v1/projects?limit=1&page=2", keys)
    assert ([one["id"] for one in second.json["data"]], second.json["total"]) == (made[1:], 2)
    assert (await front.send("GET", "/management/v1/projects?limit=101", keys)).status == 400
