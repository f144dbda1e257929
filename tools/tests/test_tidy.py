"""The house rules find what they are for."""

from pathlib import Path

import pytest

from tools import tidy

CASES = {
    "import time\nnow = time.time()\n": "the clock",
    "print('x')\n": "logger",
    "x = f'SELECT {1} FROM t'\n": "never put together",
    "q = '''\nSELECT 1\nFROM t'''\n": "queries.py",
    "x = 1  # TODO later\n": "no TODO",
    "def f():\n" + "    x = 1\n" * 71: "72 lines",
}


@pytest.mark.parametrize(("text", "rule"), CASES.items())
def test_a_breach_is_found(
    text: str, rule: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    path = tmp_path / "handlers.py"
    path.write_text(text)
    assert [found for _, found in tidy.breaches(path) if rule in found]


def test_what_is_fine_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "ROOT", tmp_path)
    path = tmp_path / "queries.py"
    path.write_text("q = '''\nSELECT 1\nFROM t'''\n\n\ndef f() -> int:\n    return 1\n")
    assert list(tidy.breaches(path)) == []
