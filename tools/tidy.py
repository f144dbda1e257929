"""House rules that no linter knows: function length, the one clock, SQL in its places.

``python tools/tidy.py`` prints every breach as ``file:line: rule`` and exits 1 if there is any.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUNCTION_LINES_MAX = 70
SQL = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s", re.IGNORECASE)
SQL_PLACES = {"queries.py", "projections.py", "audit.py"}
CLOCKS = {"datetime.now", "datetime.utcnow", "time.time", "datetime.today"}
CHECKED = ("libs/*/src", "services/*/src")


def breaches(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, rule) for each breach in a file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    inner = path.relative_to(ROOT).as_posix()
    is_runtime = inner.startswith("libs/runtime/")
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {length} lines, more than {FUNCTION_LINES_MAX}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CLOCKS and not inner.endswith("runtime/clock.py"):
                yield node.lineno, f"{called}: only runtime/clock.py reads the clock"
            if called == "print":
                yield node.lineno, "print: use the logger"
        if isinstance(node, ast.JoinedStr) and not is_runtime and _is_sql(node):
            yield node.lineno, "SQL is never put together from text"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_query = bool(SQL.match(node.value)) and "\n" in node.value.strip()
            if is_query and not is_runtime and not _may_hold_sql(path):
                yield node.lineno, "SQL stands in queries.py, projections.py or audit.py"
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"#.*\b(TODO|FIXME|XXX)\b", line):
            yield number, "no TODO: do it or file it"


def _is_sql(node: ast.JoinedStr) -> bool:
    first = node.values[0] if node.values else None
    return isinstance(first, ast.Constant) and bool(SQL.match(str(first.value)))


def _may_hold_sql(path: Path) -> bool:
    return path.name in SQL_PLACES or "queries" in path.parts or "read_models" in path.parts


def main() -> int:
    """Check all packages."""
    found = 0
    for pattern in CHECKED:
        for directory in sorted(ROOT.glob(pattern)):
            for path in sorted(directory.rglob("*.py")):
                for line, rule in breaches(path):
                    found += 1
                    print(f"{path.relative_to(ROOT)}:{line}: {rule}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
