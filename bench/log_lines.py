"""What a line of the log costs per message: the logger's own, and ``runtime.log.lines`` in batches.

``python -m bench.log_lines`` prints microseconds a line. Lines go to a file, as they do in production.
"""

import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import structlog

from runtime import log
from runtime.settings import Settings

LINES = 20_000
ENTRY: dict[str, Any] = {
    "consumer": "commands",
    "type": "ledger.redeem.v1",
    "project": "proj_0123456789abcdefghijklmn",
    "correlation_id": "req_0123456789abcdefghijklmn",
    "outcome": "ok",
    "ms": 3.21,
}


def main() -> None:
    """Print the table."""
    told = sys.stdout
    with tempfile.TemporaryFile() as file:
        sys.stdout = io.TextIOWrapper(file, write_through=True)
        log.configure("bench", Settings(log_format="json"))
        rows = [("logger.info", _time(_one_by_one, 1))]
        rows += [(f"log.lines, {size} at once", _time(_at_once, size)) for size in (1, 10, 100)]
        structlog.configure(processors=[structlog.processors.JSONRenderer(serializer=json.dumps)])
        sys.stdout = told
    for name, took in rows:
        print(f"{name:<24} {took:6.1f} µs per line")


def _one_by_one(size: int) -> None:
    del size
    log.get_logger().info("handled", **ENTRY)


def _at_once(size: int) -> None:
    log.lines("handled", [ENTRY] * size)


def _time(work: Callable[[int], None], size: int) -> float:
    started = time.perf_counter()
    for _ in range(LINES // size):
        work(size)
    return (time.perf_counter() - started) / LINES * 1e6


if __name__ == "__main__":
    main()
