"""docs/errors.md and docs/limits.md are what the code says, and nothing in them is made up."""

from pathlib import Path

import pytest

from tools import reference


def test_the_page_of_errors_is_current() -> None:
    assert reference.ERRORS.read_text() == reference.errors_page(), "run: make docs"


def test_the_page_of_limits_is_current() -> None:
    assert reference.LIMITS.read_text() == reference.limits_page(), "run: make docs"


def test_errors_of_every_kind_are_found() -> None:
    found = {(one.key, one.status): one for one in reference.errors()}
    assert found["duplicate_found", 409].when == "A unique name or code is already taken."
    assert found["already_rolled_back", 400].owner == "ledger"
    assert found["too_many_requests", 429].owner == "gateway"
    assert found["method_not_allowed", 405].message == "Method not allowed"
    assert "Service temporarily unavailable" in {
        one.message for one in reference.errors() if one.status == 503
    }
    assert ("invalid_payload", 400) in found
    assert all(one.when for one in found.values()), [k for k, one in found.items() if not one.when]


def test_every_limits_file_is_on_the_page() -> None:
    page = reference.limits_page()
    for path in reference.ROOT.glob("*/*/src/*/limits.py"):
        assert f"\n## {path.parent.name}\n" in page
    assert "| `REDEEMABLES_MAX` | 30 | Redeemables of one validation or redemption. |" in page


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('A_MAX = 3\n"""Below."""\n', "Below."),
        ("A_MAX = 3  # beside\n", "beside"),
        ("# before,\n# in two lines\nA_MAX = 3\n", "before, in two lines"),
    ],
)
def test_a_limit_s_text_is_found_where_it_stands(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "libs" / "x" / "src" / "made_up_limits.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.syspath_prepend(str(path.parent))
    assert reference.limits(path) == [("A_MAX", 3, told)]
    path.write_text("A_MAX = 3\n")
    with pytest.raises(ValueError, match="does not say what it limits"):
        reference.limits(path)
