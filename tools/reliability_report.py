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

Machine: {machine}. `load_per_core` is what else it was doing: the figures of time suffer, the others must
not.

| check | figures | lost |
|---|---|---|
"""


def main() -> int:
    """Write the page; returns the exit code."""
    if not FIGURES.exists():
        print("There is no tests/chaos/report.json yet: run `make chaos`.", file=sys.stderr)
        return 1
    kept: dict[str, Any] = json.loads(FIGURES.read_text())
    lines = [_line(check, facts) for check, facts in sorted(kept["checks"].items())]
    lost = sum(facts.get("lost", 0) for facts in kept["checks"].values())
    total = f"\n{len(lines)} checks, lost in all: **{lost}**.\n"
    PAGE.write_text(HEAD.format(machine=kept["machine"]) + "\n".join(lines) + "\n" + total)
    print(f"{PAGE.relative_to(ROOT)}: {len(lines)} checks, lost: {lost}")
    return 0 if lost == 0 else 1


def _line(check: str, facts: dict[str, Any]) -> str:
    told = ", ".join(
        f"{name.replace('_', ' ')} {value}"
        for name, value in facts.items()
        if name not in {"lost", "load_per_core"}
    )
    return f"| {check} | {told}, load per core {facts['load_per_core']} | {facts.get('lost', 0)} |"


if __name__ == "__main__":
    sys.exit(main())
