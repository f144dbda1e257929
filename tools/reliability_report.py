"""``make reliability-report``: docs/reliability.md from the figures of the last ``make chaos``."""

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "tests" / "chaos" / "report.json"
PAGE = ROOT / "docs" / "reliability.md"
HEAD = """# What was broken, and what was lost

Made by `make reliability-report` from `tests/chaos/report.json`, which `make chaos` writes. Each line is
a check of the running system: real processes, a real Kafka, a real Postgres, and something that dies,
hangs or lies while clients work. Every check ends with the audit: all logs folded again, every balance
and every row of every read model compared. *Lost* counts acknowledged requests without their effect,
effects without an acknowledged request, and events that a consumer missed.

*Run* says whether the figures are of the short form, which `pytest tests/chaos` does, or of the full
one of `make chaos` with its many seeds, kills and rounds, and on which day.

Machine: {machine}. `load per core` is what else it was doing: the figures of time suffer, the others
must not.

| check | run | figures | lost |
|---|---|---|---|
"""
ELSEWHERE = """
Checks that need no running system are among the tests of their parts: R32 in `tests/sim`
(`make simulate-long`), R20 in `libs/runtime/tests/test_missing_events.py`, R28 (clocks) in
`libs/runtime/tests/test_health_and_metrics.py`, R34 to R37 and R39 (receivers, signatures, private
addresses) in `services/webhooks/tests`. R31 is `python -m bench soak`. No machine checks R07 (points)
yet. A check of `tests/chaos` without a line here was not run since the file was last begun anew. The
services are on the code of the day that a line names.
"""
KILLED = ("kills", "deaths", "crashes", "pauses")
"""Names of figures that count what was killed or stopped."""


def main() -> int:
    """Write the page; returns the exit code."""
    if not FIGURES.exists():
        print("There is no tests/chaos/report.json yet: run `make chaos`.", file=sys.stderr)
        return 1
    kept: dict[str, Any] = json.loads(FIGURES.read_text())
    lines = [_line(check, facts) for check, facts in sorted(kept["checks"].items())]
    lost = sum(facts.get("lost", 0) for facts in kept["checks"].values())
    killed = sum(_sum(kept, name) for name in KILLED)
    total = (
        f"\n{len(lines)} checks, {_sum(kept, 'calls')} calls judged by journals, {killed} processes"
    )
    total += f" killed or stopped by a counted hand; lost in all: **{lost}**.\n"
    page = HEAD.format(machine=kept["machine"]) + "\n".join(lines) + "\n" + total + ELSEWHERE
    PAGE.write_text(page)
    print(f"{PAGE.relative_to(ROOT)}: {len(lines)} checks, lost: {lost}")
    return 0 if lost == 0 else 1


def _sum(kept: dict[str, Any], name: str) -> int:
    return sum(int(facts.get(name, 0)) for facts in kept["checks"].values())


def _line(check: str, facts: dict[str, Any]) -> str:
    told = ", ".join(
        f"{name.replace('_', ' ')} {_said(value)}"
        for name, value in facts.items()
        if name not in {"lost", "load_per_core", "form", "day"}
    )
    run = f"{facts['form']}, {facts['day']}"
    told += f", load per core {facts['load_per_core']}"
    return f"| {check} | {run} | {told} | {facts.get('lost', 0)} |"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {count}" for name, count in value.items()) + ")"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
