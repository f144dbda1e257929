"""``python -m tests.sim SEED…`` or ``--from 0 --count 1000``; a seed that fails is made short and shown."""

import argparse
import gc
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from typing import NamedTuple

from tests.sim.shrinking import Short, shrink
from tests.sim.world import SIZE, run, run_of

TRACE_LINES = 60
ROUND = 200
SHOWN_MAX = 3
YOUNG_OBJECTS_MAX = 50_000


def show(seed: int, short: Short) -> None:
    """Print a failing run."""
    said = [
        f"seed {seed} fails; again: make simulate SEED={seed}",
        f"shortened in {short.runs} runs to this ({len(short.ended.faults)} faults left):",
        *(f"  {operation}" for operation in short.run.operations),
        *(f"  fault {kind} {number}" for kind, number in short.ended.faults),
        *(f"  found: {finding}" for finding in short.ended.findings[:10]),
        f"the last of its {short.ended.steps} steps:",
        *(f"  {line}" for line in short.ended.trace[-TRACE_LINES:]),
    ]
    sys.stdout.write("\n".join(said) + "\n")


class Told(NamedTuple):
    """What a process tells of a run."""

    seed: int
    failed: bool
    steps: int
    faults: int
    processor_s: float


def one(seed: int, size: int) -> Told:
    """Do the run of a seed, in a process of its own."""
    started = time.process_time()
    ended = run(run_of(seed, size))
    took = time.process_time() - started
    return Told(seed, bool(ended.findings), ended.steps, len(ended.faults), took)


def seldom_collect() -> None:
    """Look for circles of garbage seldom, and never among what is there now: a fifth of a run's time."""
    gc.set_threshold(YOUNG_OBJECTS_MAX)
    gc.freeze()


def all_of(seeds: Sequence[int], size: int, jobs: int) -> Iterator[Told]:
    """Do all runs, so many at a time."""
    if jobs == 1 or len(seeds) == 1:
        yield from (one(seed, size) for seed in seeds)
        return
    with ProcessPoolExecutor(jobs, initializer=seldom_collect) as pool:
        yield from pool.map(one, seeds, repeat(size), chunksize=4)


def main() -> int:
    """Run; the exit code is 1 if a seed fails."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no more after these")
    wanted = parser.parse_args()
    seldom_collect()
    seeds = [*wanted.seeds, *range(wanted.first, wanted.first + wanted.count)]
    started = time.monotonic()
    done: list[Told] = []
    # In rounds: whoever has so much time only is told of what was done in it.
    for start in range(0, len(seeds), ROUND):
        if time.monotonic() - started < wanted.seconds:
            done += all_of(seeds[start : start + ROUND], wanted.size, wanted.jobs)
    took = time.monotonic() - started
    if len(seeds) == 1:
        sys.stdout.write(f"trace {run(run_of(seeds[0], wanted.size)).trace_hash}\n")
    failed = [told.seed for told in done if told.failed]
    for seed in failed[:SHOWN_MAX]:
        again = run_of(seed, wanted.size)
        show(seed, shrink(again, run(again)))
    sys.stdout.write(
        f"{len(done)} seeds of {wanted.size} operations in {took:.0f} s"
        f" ({sum(one.processor_s for one in done) / max(len(done), 1):.2f} s of processor each,"
        f" {wanted.jobs} processes), {sum(one.steps for one in done)} steps,"
        f" {sum(one.faults for one in done)} faults, {len(failed)} seeds failed {failed or ''}\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
