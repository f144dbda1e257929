"""Makes a failing run short: fewer kinds of faults, fewer operations, fewer faults, as long as it fails."""

from collections.abc import Callable
from typing import NamedTuple

from tests.sim.world import Ended, Run, run

RUNS_MAX = 120


class Short(NamedTuple):
    """The shortest failing run that was found."""

    run: Run
    ended: Ended
    runs: int


def shrink(wanted: Run, ended: Ended, runs_max: int = RUNS_MAX) -> Short:
    """Return a shorter run that still fails; the one given if there is none."""
    assert ended.findings, "only what fails is made shorter"
    best = Short(wanted, ended, 0)
    best = _without_parts(best, runs_max, lambda one: sorted(one.run.kinds), _without_kinds)
    best = _without_parts(best, runs_max, lambda one: list(one.run.operations), _without_operations)
    return _without_parts(best, runs_max, lambda one: list(one.ended.faults), _without_faults)


def _without_kinds(wanted: Run, kinds: list[str]) -> Run:
    return wanted._replace(kinds=wanted.kinds - set(kinds))


def _without_operations(wanted: Run, operations: list[object]) -> Run:
    left = tuple(one for one in wanted.operations if one not in operations)
    return wanted._replace(operations=left)


def _without_faults(wanted: Run, faults: list[tuple[str, int]]) -> Run:
    return wanted._replace(left_out=wanted.left_out | set(faults))


def _without_parts(
    best: Short,
    runs_max: int,
    parts_of: Callable[[Short], list],  # type: ignore[type-arg]
    without: Callable[[Run, list], Run],  # type: ignore[type-arg]
) -> Short:
    """Leave out halves, then quarters …, then single parts."""
    size = max(len(parts_of(best)) // 2, 1)
    while size >= 1 and best.runs < runs_max:
        start = 0
        while start < len(parts_of(best)) and best.runs < runs_max:
            candidate = without(best.run, parts_of(best)[start : start + size])
            ended = run(candidate)
            if ended.findings:
                best = Short(candidate, ended, best.runs + 1)
            else:
                best = best._replace(runs=best.runs + 1)
                start += size
        size //= 2
    return best
