"""R29: no room is left under Postgres, or under the broker: writes are refused, and nothing is spoilt.

The server's files are put on a small file system of their own for the time of the test, which is then
filled to the last byte. Of Postgres that is where its tables are: without room for its log it stops itself,
which is R26, and starts when there is room again.

A consumer that only tries again, and tells nobody, fails the first test. Two other faults made by hand are
not noticed, because something else makes up for each: a full disk that is taken for a fault of the message
(no room for a dead letter either, so the records are fetched again), and a relay that does not wait for the
broker (the client library sends again for longer than the disk is full).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.journal import Journal, Load, judge
from tests.chaos.kit import report, rows, say
from tests.system import Api, System, wait_until

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.full,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system"),
]

SEED = int(os.environ.get("CHAOS_SEED", "29"))
ROOM_BYTES = 16 * 1024 * 1024
"""What the server has for as long as the disk is not filled on purpose."""
REFUSED = 10
FULL_S = 20.0
"""Longer than any message is tried, and than a caller waits for its answer."""
RECOVERED_S = 90
"""The promise is thirty seconds, on a machine that does nothing else; what it took is reported."""


class Disk:
    """A small file system, mounted over a directory with its contents."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        with self._ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
        with self._ballast.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1))

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def _small_disk(system: System, path: Path, stop: Callable[[System], None]) -> Iterator[Disk]:
    """Move a server's directory to a small file system; afterwards what it then holds comes back."""
    stop(system)
    aside = path.with_name(f"{path.name}-aside")
    path.rename(aside)
    path.mkdir()
    shutil.copystat(aside, path)
    _run("mount", "-t", "tmpfs", "-o", f"size={_used(aside) + ROOM_BYTES}", "tmpfs", str(path))
    disk = Disk(path)
    try:
        _copy(aside, path)
        assert system.infra, "started again"
        yield disk
    finally:
        disk.free()
        stop(system)
        shutil.rmtree(aside)
        aside.mkdir()
        _copy(path, aside)
        _run("umount", str(path))
        path.rmdir()
        aside.rename(path)
        assert system.infra, "started again"


def _used(path: Path) -> int:
    told = subprocess.run(["du", "-s", "-B1", path], capture_output=True, text=True, check=True)
    return int(told.stdout.split()[0])


def _copy(source: Path, target: Path) -> None:
    """Copy everything, owners included, without filling the holes of files."""
    _run("cp", "-a", "--sparse=always", f"{source}/.", f"{target}/")


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _stop_kafka(system: System) -> None:
    pid = system.state.process("kafka")
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: system.state.process("kafka") is None, "the broker has stopped", 60)


def _stop_postgres(data: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGINT)
        wait_until(lambda: not Path(f"/proc/{postmaster}").exists(), "Postgres has stopped", 60)


def _refused(load: Load) -> bool:
    return load.journal.attempts["info 503"] >= REFUSED


def _done_since(load: Load, instant: float) -> bool:
    return any(call.began > instant for call in load.journal.of("redeem", "ok"))


def _is_told(writer: Api, code: str) -> bool:
    """A writer is told what is wrong, and when to come again, before its time is up."""
    answer = writer.redeem(code)
    if answer.key != "storage_full":
        return False
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    return True


def _goes_on(load: Load) -> float:
    """Return how long it took from now until a redemption that began later went through."""
    freed = time.monotonic()
    wait_until(lambda: _done_since(load, freed), "redemptions", RECOVERED_S)
    return time.monotonic() - freed


def _writes_stop_and_reads_go_on(load: Load, reader: Api, code: str) -> None:
    filled = time.monotonic()
    wait_until(lambda: _refused(load), "writes are refused", RECOVERED_S)
    # The fault itself: nothing to wait for but its end.
    time.sleep(max(0.0, FULL_S - (time.monotonic() - filled)))
    for _ in range(5):
        shown = reader.must("GET", f"/v1/vouchers/{code}")
        assert shown["redemption"]["quantity"] == 3, "reads go on"


def test_r29_no_room_for_tables(system: System) -> None:
    reader = system.project()
    code, spare = reader.voucher(quantity=3), reader.voucher()
    data = Path(rows(system, "SHOW data_directory")[0]["data_directory"])
    with _small_disk(system, data / "base", lambda _: _stop_postgres(data)) as disk:
        load = Load(system.project(), Journal("R29-postgres", SEED), SEED)
        with load:
            load.wait_for_calls(20)
            disk.fill()
            wait_until(lambda: _is_told(reader, spare), "a writer is told", RECOVERED_S)
            _writes_stop_and_reads_go_on(load, reader, code)
            disk.free()
            took_s = _goes_on(load)
            load.wait_for_calls(20)
        report("R29-postgres", **judge(system, load, "R29-postgres"), recovered_s=round(took_s, 1))
        say(f"R29: redemptions went through {took_s:.1f} s after there was room for tables again")
    assert "audit: clean" in system.audit()


def test_r29_no_room_for_topics(system: System) -> None:
    """A broker that cannot write its only directory ends; whoever keeps it running starts it again."""
    reader = system.project()
    code = reader.voucher(quantity=3)
    with _small_disk(system, system.state.directory / "kafka", _stop_kafka) as disk:
        load = Load(system.project(), Journal("R29-kafka", SEED), SEED)
        with load:
            load.wait_for_calls(20)
            disk.fill()
            _writes_stop_and_reads_go_on(load, reader, code)
            ended = system.state.process("kafka") is None
            disk.free()
            assert system.infra, "started again, if it has ended"
            took_s = _goes_on(load)
            load.wait_for_calls(20)
        facts = judge(system, load, "R29-kafka")
        report("R29-kafka", **facts, broker_ended=ended, recovered_s=round(took_s, 1))
        say(f"R29: redemptions went through {took_s:.1f} s after there was room for topics again")
    assert "audit: clean" in system.audit()
