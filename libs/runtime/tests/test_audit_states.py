"""A state that an older version has stored is the same state, and nothing else is."""

import pytest
from pydantic import BaseModel

from runtime.audit import is_same


class Project(BaseModel):
    id: str
    uses: int = 0
    deleted_at: str | None = None


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"id": "p", "uses": 3, "deleted_at": None}, True),
        ({"id": "p", "uses": 3}, True),
        ({"id": "p", "uses": 4}, False),
        ({"id": "p"}, False),
        ({"id": "p", "uses": 3, "deleted_at": "today"}, False),
        ({"id": "p", "uses": 3, "colour": "red"}, False),
        ({"uses": 3}, False),
        ({"id": "p", "uses": "three"}, False),
    ],
)
def test_what_an_older_version_stored(stored: dict[str, object], *, expected: bool) -> None:
    assert is_same(stored, Project(id="p", uses=3)) is expected
