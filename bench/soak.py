"""Memory of all services: at rest, and while clients work for a long time.

``python -m bench soak [minutes]`` works for half an hour, at a rate that leaves the machine room, and prints
a line a minute. PSS: memory that processes share is counted once.
"""

import asyncio
import re
import time
from pathlib import Path
from typing import NamedTuple

import aiohttp

from bench.load import Client, stack
from bench.machine import service_processes

RATE = 30
WARM_UP_MINUTES = 5
MIB = 1024


class Memory(NamedTuple):
    """Mebibytes of all services together, and their open files."""

    pss: float
    rss: float
    files: int


def memory() -> dict[str, Memory]:
    """Return what each service's process uses now."""
    found = {}
    for name, pid in service_processes():
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except OSError:
            continue
        found[name] = Memory(_kib(rollup, "Pss") / MIB, _kib(rollup, "Rss") / MIB, files)
    return found


def _kib(rollup: str, field: str) -> float:
    found = re.search(rf"^{field}:\s+(\d+) kB", rollup, re.MULTILINE)
    return float(found[1]) if found else 0.0


def total(found: dict[str, Memory]) -> Memory:
    """Return the sum over all processes."""
    return Memory(*(sum(values) for values in zip(*found.values(), strict=True)))


async def run(client: Client, codes: list[str], minutes: float) -> bool:
    """Work, and print; returns whether no process grew by a tenth after the warm-up."""
    rest = memory()
    _tell("at rest", rest)
    warm: dict[str, Memory] = {}
    started = time.monotonic()
    done = asyncio.Event()
    load = asyncio.create_task(_work(client, codes, done))
    minute = 0
    try:
        while time.monotonic() < started + 60 * minutes:
            await asyncio.sleep(min(60.0, started + 60 * minutes - time.monotonic()))
            minute += 1
            now = memory()
            _tell(f"minute {minute}", now)
            if minute == min(WARM_UP_MINUTES, max(1, round(minutes / 3))):
                warm = now
    finally:
        done.set()
        answered, refused = await load
    end = memory()
    print(f"{answered} redemptions, {refused} not answered 200")
    grown = {name: end[name].rss / warm[name].rss - 1 for name in warm if name in end}
    for name, share in sorted(grown.items()):
        print(f"  {name:<13} {end[name].rss:7.1f} MiB RSS, {100 * share:+5.1f} % since the warm-up")
    return all(share <= 0.1 for share in grown.values())


def _tell(when: str, found: dict[str, Memory]) -> None:
    pss, rss, files = total(found)
    print(f"{when:<10} {pss:8.1f} MiB PSS {rss:8.1f} MiB RSS {files:6} files", flush=True)


async def _work(client: Client, codes: list[str], done: asyncio.Event) -> tuple[int, int]:
    """Redeem at an even rate, whatever the answers take."""
    answered = refused = number = 0
    running: set[asyncio.Task[int]] = set()

    async def one(number: int) -> int:
        body = stack(codes[number % len(codes)], number)
        try:
            status, _ = await client.call("POST", "/v1/redemptions", body)
        except (TimeoutError, aiohttp.ClientError):
            return 0
        return status

    while not done.is_set():
        number += 1
        running.add(asyncio.create_task(one(number)))
        await asyncio.sleep(1 / RATE)
        for task in [task for task in running if task.done()]:
            running.discard(task)
            answered += 1
            refused += task.result() != 200
    statuses = await asyncio.gather(*running)
    return answered + len(statuses), refused + sum(status != 200 for status in statuses)
