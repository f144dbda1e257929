"""``python -m tests.sim SEED…`` or ``--from 0 --count 1000``; a seed that fails is made short and shown."""

import argparse
import sys
import time

from tests.sim.shrinking import Short, shrink
from tests.sim.world import SIZE, run, run_of

TRACE_LINES = 60


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


def main() -> int:
    """Run; the exit code is 1 if a seed fails."""
    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--size", type=int, default=SIZE)
    wanted = parser.parse_args()
    seeds = [*wanted.seeds, *range(wanted.first, wanted.first + wanted.count)]
    started, steps, faults, failed = time.monotonic(), 0, 0, 0
    for seed in seeds:
        one = run_of(seed, wanted.size)
        ended = run(one)
        steps += ended.steps
        faults += len(ended.faults)
        if len(seeds) == 1:
            sys.stdout.write(f"trace {ended.trace_hash}\n")
        if ended.findings:
            failed += 1
            show(seed, shrink(one, ended))
    took = time.monotonic() - started
    sys.stdout.write(
        f"{len(seeds)} seeds of {wanted.size} operations in {took:.0f} s"
        f" ({len(seeds) / took:.2f}/s), {steps} steps, {faults} faults, {failed} seeds failed\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
