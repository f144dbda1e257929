"""What was written is remembered for its own readers, for a while, and not without bound."""

import pytest

from contracts.messages import Position
from gateway import limits
from gateway.own_writes import OwnWrites


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
