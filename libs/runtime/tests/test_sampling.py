"""How far behind: the arithmetic, without servers."""

import pytest

from runtime.batches import Standing
from runtime.inbox import NO_PROGRESS, Progress
from runtime.sampling import seconds_behind


@pytest.mark.parametrize(
    ("now", "behind_since", "progress", "expected"),
    [
        (100.0, 90.0, Progress(100.0, 30.0), 30.0),  # works an old backlog off
        (104.0, 90.0, Progress(100.0, 30.0), 34.0),  # and stands still since four seconds
        (100.0, 98.0, Progress(50.0, 0.2), 2.0),  # was idle; what waits came two seconds ago
        (100.0, 98.0, NO_PROGRESS, 2.0),  # has never handled anything
        (100.0, 100.0, Progress(99.9, 5.0), 0.0),  # just seen for the first time
    ],
)
def test_seconds_behind(
    now: float, behind_since: float, progress: Progress, expected: float
) -> None:
    assert seconds_behind(now, behind_since, progress) == pytest.approx(expected)


def test_a_lag_is_never_negative() -> None:
    assert Standing(7, 10).lag == 3
    assert Standing(10, 7).lag == 0, "the topic was emptied"
