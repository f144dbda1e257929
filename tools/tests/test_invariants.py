"""docs/invariants.md names code and tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "invariants.md").read_text()


def test_there_are_ten() -> None:
    assert re.findall(r"(?m)^\*\*(\d+)\. ", TEXT) == [str(number) for number in range(1, 11)]


def test_the_files_that_it_names_are_there() -> None:
    sources = [ROOT, *ROOT.glob("libs/*/src"), *ROOT.glob("services/*/src")]
    sources += [source / source.parent.name for source in sources[1:]]
    named = re.findall(r"`([\w/]+\.(?:py|sql|toml|md))", TEXT)
    assert len(named) > 20
    for name in named:
        assert any((source / name).exists() for source in sources), name


def test_the_tests_that_it_names_are_there() -> None:
    written = "".join(
        path.read_text()
        for pattern in (
            "libs/*/tests/*.py",
            "services/*/tests/*.py",
            "tests/**/*.py",
            "tools/tests/*.py",
        )
        for path in ROOT.glob(pattern)
    )
    named = set(re.findall(r"\b(test_\w+)\b(?!\.py)", TEXT))
    assert len(named) > 15
    for name in named:
        assert f"def {name}(" in written, name
