"""The house rules find what they are for."""

from pathlib import Path

import pytest

from tools import tidy

CASES = {
    "import time\nnow = time.time()\n": "the clock",
    "print('x')\n": "logger",
    "x = f'SELECT {1} FROM t'\n": "never put together",
    "q = '''\nSELECT 1\nFROM t'''\n": "queries.py",
    "q = 'SELECT 1 FROM t WHERE project_id = $1'\n": "queries.py",
    "q = 'UPDATE t SET a = 1'\n": "queries.py",
    "q = 'DELETE FROM t'\n": "queries.py",
    "q = 'WITH a AS (SELECT 1) SELECT * FROM a'\n": "queries.py",
    "x = 1  # TODO later\n": "no TODO",
    "def f():\n" + "    x = 1\n" * 71: "72 lines",
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    return tmp_path


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(("text", "rule"), CASES.items())
def test_a_breach_is_found(text: str, rule: str, root: Path) -> None:
    path = write(root, "handlers.py", text)
    assert [found for _, found in tidy.breaches(path) if rule in found]


def test_what_is_fine_is_not_found(root: Path) -> None:
    path = write(
        root, "queries.py", "q = '''\nSELECT 1\nFROM t'''\n\n\ndef f() -> int:\n    return 1\n"
    )
    assert list(tidy.breaches(path)) == []
    prose = write(root, "a.py", "'''Update what is there.'''\nx = 'Select a code from the list'\n")
    assert list(tidy.breaches(prose)) == []


def test_a_query_that_names_no_project_is_found(root: Path) -> None:
    text = (
        "async def one(c):\n    await c.fetch('SELECT code FROM vouchers WHERE id = $1')\n"
        "async def two(c):\n    await c.fetch('SELECT code FROM vouchers WHERE project_id = $1')\n"
        "async def three(c):\n    await c.fetch('SELECT now()')\n"
    )
    path = write(root, "services/x/src/x/queries.py", text)
    found = list(tidy.queries_without_project(path))
    assert found == [(2, "services/x/src/x/queries.py::one", "vouchers")]


def test_a_module_that_nothing_uses_is_found(root: Path) -> None:
    package = "services/x/src/x/"
    write(root, package + "app.py", "from x import used\nfrom x.also import thing\n")
    dead = write(root, package + "forgotten.py", "import x.forgotten\n")
    tested = write(root, package + "only_tested.py", "")
    for name in ("used", "also"):
        write(root, package + f"{name}.py", "")
    write(root, package + "program.py", 'if __name__ == "__main__":\n    pass\n')
    write(root, "services/x/tests/test_x.py", "from x import only_tested\n")
    packages = sorted(root.glob("services/x/src/**/*.py"))
    programs = sorted(root.glob("services/x/tests/*.py"))
    assert list(tidy.dead_modules(packages, programs)) == [dead, tested]


@pytest.mark.parametrize(
    ("text", "is_told"),
    [
        ("index = 'https://" + "pypi" + ".org/simple'", True),
        ("FROM registry." + "npmjs" + ".org/x", True),
        ("path = '/" + "work/main/x'", True),
        ("path = '/" + "home/ann/x'", True),
        ("path = '/" + "root/x'", True),
        ("COPY . /home/tessera/app", False),
        ("GET /v1/work/root/x", False),
        ("xmlns='http://maven." + "apache.org/POM/4.0.0'", False),
        ("https://shop.example/", False),
    ],
)
def test_a_file_that_says_where_it_was_made_is_found(
    text: str, is_told: bool, tmp_path: Path
) -> None:
    path = write(tmp_path, "any.txt", text + "\n")
    assert bool(list(tidy.told_places(path))) is is_told


def test_the_repository_is_tidy() -> None:
    assert list(tidy.all_breaches()) == []
