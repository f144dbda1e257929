"""``python -m tools.reference``: docs/errors.md and docs/limits.md, made from the code.

Errors are the classes of the ``DomainError`` and ``Unavailable`` families, the engine's refusals, and every
error body that is written out; limits are the constants of every ``limits.py``, with the text that stands
under them.
"""

import ast
import importlib
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from engine.domain.refusals import MESSAGES, SKIPPED, Refusal

ROOT = Path(__file__).resolve().parents[1]
ERRORS = ROOT / "docs" / "errors.md"
LIMITS = ROOT / "docs" / "limits.md"
MADE = "<!-- Made by `make docs` (tools/reference.py). Change the code, not this page. -->\n"
SOURCES = ("libs/*/src/**/*.py", "services/*/src/**/*.py")
BODIES = {"ErrorBody": ("code", "key", "message"), "HttpError": ("code", "key", "message")}


WHEN = {
    "internal_error": "A fault of ours; its trace is in the log under the answer's request_id.",
    "service_unavailable": "Kafka, Postgres or a service did not answer in time. The outcome is unknown"
    " until the request is repeated with its key.",
    "invalid_idempotency_key": "The header Idempotency-Key is empty, too long or not printable.",
    "invalid_header": "The header X-Tessera-Positions is not what an answer had.",
    "too_many_requests": "The project's rate is exceeded.",
}
"""Of answers that are written out, where the place in the code does not say it."""


class Told(NamedTuple):
    """One row of the catalogue."""

    key: str
    status: int
    message: str
    when: str
    owner: str


# -- errors -------------------------------------------------------------------------------------


def errors() -> list[Told]:
    """Return every error that a client may get, by key and status."""
    modules = {path: ast.parse(path.read_text("utf-8")) for path in _sources()}
    classes = {
        node.name: (path, node)
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = [_class_error(name, classes) for name in classes if _is_error(name, classes)]
    for path, tree in modules.items():
        found.extend(_written_out(path, tree))
    return _merged([one for one in found if one is not None])


def _merged(found: list[Told]) -> list[Told]:
    """Return one row for each key, status and message."""
    rows: dict[tuple[str, int, str], tuple[set[str], set[str]]] = {}
    for one in found:
        whens, owners = rows.setdefault((one.key, one.status, one.message), (set(), set()))
        whens.add(WHEN.get(one.key, one.when))
        owners.add(one.owner)
    return [
        Told(key, status, message, " ".join(sorted(whens)).strip(), ", ".join(sorted(owners)))
        for (key, status, message), (whens, owners) in sorted(rows.items())
    ]


def _sources() -> Iterator[Path]:
    for pattern in SOURCES:
        yield from sorted(ROOT.glob(pattern))


FAMILIES = {"DomainError", "Unavailable"}
Classes = Mapping[str, tuple[Path, ast.ClassDef]]


def _is_error(name: str, classes: Classes) -> bool:
    if name in FAMILIES:
        return True
    if name not in classes:
        return False
    bases = [base.id for base in classes[name][1].bases if isinstance(base, ast.Name)]
    return any(_is_error(base, classes) for base in bases)


def _class_error(name: str, classes: Classes) -> Told | None:
    """Return the row of a class; None if each of its instances has a key of its own."""
    path, node = classes[name]
    is_told_by_instances = any(
        isinstance(one, ast.FunctionDef) and one.name == "body" for one in node.body
    )
    if name == "DomainError" or (is_told_by_instances and name not in FAMILIES):
        return None
    return Told(
        str(_attribute(name, "key", classes)),
        int(_attribute(name, "status", classes)),
        str(_attribute(name, "message", classes)),
        _first_sentence(ast.get_docstring(node) or "", f"{name} in {path}"),
        _owner(path),
    )


def _attribute(name: str, wanted: str, classes: Classes) -> Any:
    node = classes[name][1]
    for one in node.body:
        target: ast.expr | None = one.target if isinstance(one, ast.AnnAssign) else None
        if isinstance(one, ast.Assign):
            target = one.targets[0]
        if isinstance(target, ast.Name) and target.id == wanted:
            assert isinstance(one, ast.Assign | ast.AnnAssign), "an assignment"
            return ast.literal_eval(one.value) if one.value is not None else None
    bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in classes]
    return next(_attribute(base, wanted, classes) for base in bases)


def _written_out(path: Path, tree: ast.Module) -> Iterator[Told]:
    """Yield the error bodies that are made with a constant key, e.g. of the HTTP protocol."""
    for scope in ast.walk(tree):
        if not isinstance(
            scope, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            continue
        for call in _calls_of(scope):
            names = BODIES[call.func.id]  # type: ignore[attr-defined]
            given = dict(zip(names, call.args, strict=False))
            given |= {one.arg: one.value for one in call.keywords if one.arg in names}
            if not all(isinstance(given.get(name), ast.Constant) for name in names):
                continue
            code, key, message = (given[name].value for name in names)  # type: ignore[attr-defined]
            yield Told(str(key), int(code), str(message), _when(scope, call), _owner(path))


def _calls_of(scope: ast.AST) -> Iterator[ast.Call]:
    """Yield the calls that stand in the scope itself, not in a scope inside it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in BODIES
        ):
            yield node
        waiting.extend(ast.iter_child_nodes(node))


def _when(scope: ast.AST, call: ast.Call) -> str:
    details = [one.value for one in call.keywords if one.arg == "details"] + call.args[3:4]
    if details and isinstance(details[0], ast.Constant) and details[0].value:
        return str(details[0].value).rstrip(".") + "."
    if details and isinstance(details[0], ast.JoinedStr):
        text = ast.unparse(details[0])[2:-1]
        return re.sub(r"\{[^}]*?(\w+)\}", r"‹\1›", text) + "."
    if isinstance(scope, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        told = ast.get_docstring(scope) or ""
        return told.partition("\n")[0]
    return ""


def _owner(path: Path) -> str:
    return path.relative_to(ROOT).parts[1]


def _first_sentence(text: str, where: str) -> str:
    if not text:
        message = f"{where}: a docstring says when this error is answered"
        raise ValueError(message)
    return " ".join(text.split("\n\n", maxsplit=1)[0].split())


def errors_page() -> str:
    """Return docs/errors.md."""
    lines = [
        "# Errors\n",
        MADE,
        "Every error has the shape `{code, key, message, details?, resource_id?, resource_type?,",
        "request_id}`; `code` is the HTTP status. Programs should look at `key`. A 503 or 429 has a",
        "`Retry-After`, and the same request with the same `Idempotency-Key` may be repeated as it is.\n",
        "## Answers\n",
        "| key | status | message | when | who says so |",
        "|---|---|---|---|---|",
    ]
    for one in errors():
        when = one.when.replace("|", "\\|")
        lines.append(f"| `{one.key}` | {one.status} | {one.message} | {when} | {one.owner} |")
    lines += [
        "",
        "## Why a redeemable does not apply\n",
        "In `inapplicable_redeemables[].result.error`, and as the answer of a redemption.\n",
        "| key | status | message |",
        "|---|---|---|",
    ]
    for key in sorted(MESSAGES):
        lines.append(f"| `{key}` | {Refusal(key).body().code} | {MESSAGES[key]} |")
    lines += [
        "",
        "## Why a redeemable is left out\n",
        "In `skipped_redeemables[].result.details`.\n",
        "| key | message |",
        "|---|---|",
    ]
    lines += [f"| `{key}` | {SKIPPED[key]} |" for key in sorted(SKIPPED)]
    return "\n".join(lines) + "\n"


# -- limits -------------------------------------------------------------------------------------


def limits(path: Path) -> list[tuple[str, Any, str]]:
    """Return (name, value, text) of every constant; the text stands under it, or before it."""
    text = path.read_text("utf-8")
    module: Any = importlib.import_module(_module_name(path))
    body = ast.parse(text).body
    source = text.splitlines()
    found = []
    for index, node in enumerate(body):
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if not isinstance(target, ast.Name) or target.id.startswith("_"):
                continue
            told = _text_after(body, index) or _comment_at(source, node.lineno)
            if not told:
                message = f"{path.relative_to(ROOT)}: {target.id} does not say what it limits"
                raise ValueError(message)
            found.append((target.id, getattr(module, target.id), told))
    return found


def _text_after(body: list[ast.stmt], index: int) -> str:
    following = body[index + 1] if index + 1 < len(body) else None
    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
        return " ".join(str(following.value.value).split())
    return ""


def _comment_at(source: list[str], line: int) -> str:
    """Return the comment that ends the line, or stands in the lines before it."""
    _, mark, told = source[line - 1].partition("# ")
    if mark:
        return told.strip()
    before: list[str] = []
    while line >= 2 and source[line - 2].startswith("# "):
        before.insert(0, source[line - 2].removeprefix("# "))
        line -= 1
    return " ".join(before)


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[parts.index("src") + 1 :])


def limits_page() -> str:
    """Return docs/limits.md."""
    lines = [
        "# Limits\n",
        MADE,
        "Everything has one. They are constants of each package's `limits.py`; what an operator may",
        "set stands in its `settings.py`.",
    ]
    for pattern in ("libs/*/src/*/limits.py", "services/*/src/*/limits.py"):
        for path in sorted(ROOT.glob(pattern)):
            lines += [f"\n## {path.parent.name}\n", "| limit | value | what |", "|---|---|---|"]
            for name, value, told in limits(path):
                lines.append(f"| `{name}` | {_shown(value)} | {told.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"`{value!r}`"
    if isinstance(value, int) and value >= 1024 * 1024 and value % (1024 * 1024) == 0:
        return f"{value // (1024 * 1024)} MiB"
    return f"{value:,}"


def main() -> None:
    """Write both pages."""
    ERRORS.write_text(errors_page(), "utf-8")
    LIMITS.write_text(limits_page(), "utf-8")
    sys.stdout.write(f"{ERRORS.relative_to(ROOT)}\n{LIMITS.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
