"""House rules that no linter knows: function length, the one clock, SQL in its places, and more.

``python tools/tidy.py`` prints every breach as ``file:line: rule`` and exits 1 if there is any. What is
let off stands here by name, each with its reason; a name that no longer needs it is a breach too.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUNCTION_LINES_MAX = 70
SQL = re.compile(
    r"^\s*(SELECT\s+\S|INSERT INTO\s+\w|UPDATE\s+\w+(\s+\w+)?\s+SET\s|DELETE FROM\s+\w|WITH\s+\w+.*\sAS\s)",
    re.DOTALL,
)
TABLES = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE)\s+(?!unnest|generate_series|LATERAL|\()([a-z_]+)\b"
)
SQL_PLACES = {"queries.py", "projections.py", "audit.py"}
CLOCKS = {"datetime.now", "datetime.utcnow", "time.time", "datetime.today"}
PACKAGES = ("libs/*/src", "services/*/src")
PROGRAMS = ("demo", "bench", "tools", "deploy", "tests", "libs/*/tests", "services/*/tests")
FOUND_BY_NAME = {"app", "audit", "settings", "migrations", "__init__", "__main__", "conftest"}
"""Modules that ``runtime.admin``, ``tools.audit`` and pytest import by their names."""

WITHOUT_PROJECT = {
    # Rows are forgotten by their age, whosever they are.
    "services/gateway/src/gateway/queries.py::forget_keys",
    # Projects are what a management key lists; whoever has one sees them all.
    "services/gateway/src/gateway/queries.py::projects",
    # The audit compares all rows of all projects; its fold is by project.
    "services/ledger/src/ledger/audit.py::audit",
}
"""``file::function`` of queries that rightly name no project, each with its reason."""

FORBIDDEN_TEXT = (
    (
        re.compile(
            r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|maven\.(?:org|apache\.org(?!/(?:POM|xsd)))|crates\.io"
            r"|proxy\.golang\.org|rubygems\.org|(?:archive|dlcdn|downloads)\.apache\.org)\b"
        ),
        "names a package registry's host: tools find theirs in their own configuration",
    ),
    (
        re.compile(r"(?<![\w.$}{~-])/(?:work|root|Users|home/(?!tessera\b)\w+)/\w"),
        "names a path of somebody's machine",
    ),
)


def breaches(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, rule) for each breach in a file of a package."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    inner = path.relative_to(ROOT).as_posix()
    is_runtime = inner.startswith("libs/runtime/")
    yield from _too_long(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in CLOCKS and not inner.endswith("runtime/clock.py"):
                yield node.lineno, f"{called}: only runtime/clock.py reads the clock"
            if called == "print":
                yield node.lineno, "print: use the logger"
        if isinstance(node, ast.JoinedStr) and not is_runtime and _is_sql(node):
            yield node.lineno, "SQL is never put together from text"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            is_query = bool(SQL.match(node.value))
            if is_query and not is_runtime and not _may_hold_sql(path):
                yield node.lineno, "SQL stands in queries.py, projections.py or audit.py"
    yield from _unfinished(text)


def _too_long(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield node.lineno, f"{node.name} has {length} lines, more than {FUNCTION_LINES_MAX}"


def _unfinished(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"#.*\b(TOD[O]|FIXM[E]|XX[X])\b", line):
            yield number, "no TODO: do it or file it"


def _is_sql(node: ast.JoinedStr) -> bool:
    first = node.values[0] if node.values else None
    return isinstance(first, ast.Constant) and bool(
        re.match(r"^\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\s", str(first.value))
    )


def _may_hold_sql(path: Path) -> bool:
    return path.name in SQL_PLACES or "queries" in path.parts or "read_models" in path.parts


# -- every query names its project --------------------------------------------------------------


def queries_without_project(path: Path) -> Iterator[tuple[int, str, str]]:
    """Yield (line, ``file::function``, table) of queries that do not say ``project_id``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inner = path.relative_to(ROOT).as_posix()
    for scope, line, text in _strings(tree, ""):
        tables = TABLES.findall(text)
        if SQL.match(text) and tables and "project_id" not in text:
            yield line, f"{inner}::{scope}", ", ".join(sorted(set(tables)))


def _strings(node: ast.AST, scope: str) -> Iterator[tuple[str, int, str]]:
    for child in ast.iter_child_nodes(node):
        inner = scope
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{child.name}".lstrip(".")
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield scope, child.lineno, child.value
        yield from _strings(child, inner)


# -- every module is used -----------------------------------------------------------------------


def dead_modules(packages: Iterable[Path], programs: Iterable[Path]) -> Iterator[Path]:
    """Yield the packages' modules that nothing imports and nobody can run.

    What only tests import is dead too, unless it is there for tests.
    """
    paths = [path for path in packages if path.stem not in FOUND_BY_NAME]
    used: set[str] = set()
    for path in (*paths, *packages, *programs):
        is_test = "tests" in path.parts
        own = _module(path)
        for name in _imported(path):
            if name != own and (not is_test or "testing" in name):
                used.add(name)
    for path in paths:
        text = path.read_text(encoding="utf-8")
        name = _module(path)
        is_run = '__name__ == "__main__"' in text
        if name not in used and not is_run and "testing" not in name:
            yield path


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 :] if "src" in parts else parts)


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# -- no file says where it was made -------------------------------------------------------------


def told_places(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, rule) where a file names a registry's host or a path of somebody's machine."""
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, rule in FORBIDDEN_TEXT:
            if pattern.search(line):
                yield number, rule


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name]


def _python(patterns: Iterable[str]) -> list[Path]:
    return [
        path
        for pattern in patterns
        for directory in sorted(ROOT.glob(pattern))
        for path in sorted(directory.rglob("*.py"))
    ]


def all_breaches() -> Iterator[str]:
    """Yield every breach in the repository."""
    packages, programs = _python(PACKAGES), _python(PROGRAMS)
    needless = set(WITHOUT_PROJECT)
    for path in packages:
        inner = path.relative_to(ROOT)
        yield from (f"{inner}:{line}: {rule}" for line, rule in breaches(path))
        if inner.parts[0] != "services":
            continue
        for line, where, tables in queries_without_project(path):
            needless.discard(where)
            if where not in WITHOUT_PROJECT:
                yield f"{inner}:{line}: a query of {tables} names no project_id ({where})"
    yield from (f"tools/tidy.py: {where} needs no leave any more" for where in sorted(needless))
    for path in programs:
        if "tests" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        found = [*_too_long(ast.parse(text)), *_unfinished(text)]
        yield from (f"{path.relative_to(ROOT)}:{line}: {rule}" for line, rule in found)
    for path in dead_modules(packages, programs):
        yield f"{path.relative_to(ROOT)}:1: nothing uses this module"
    for path in _tracked():
        yield from (f"{path.relative_to(ROOT)}:{line}: {rule}" for line, rule in told_places(path))


def main() -> int:
    """Check everything."""
    found = list(all_breaches())
    sys.stdout.writelines(f"{one}\n" for one in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
