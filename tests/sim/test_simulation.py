"""A few seeds in every run; that a seed repeats; that what is wrong is found, and shown short."""

import os
import subprocess
import sys

import pytest

from tests.sim.mutants import MUTANTS, mutant
from tests.sim.shrinking import shrink
from tests.sim.world import SIZE, Run, run, run_of

SEEDS = range(int(os.environ.get("SIMULATION_SEEDS", "4")))
SEEDS_TO_FIND_A_MUTANT = 100


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_wrong(seed: int) -> None:
    ended = run(run_of(seed))
    assert ended.findings == [], f"make simulate SEED={seed}"
    assert ended.steps > 10 * SIZE, "something happened"


def test_without_faults_nothing_is_wrong() -> None:
    ended = run(run_of(1)._replace(kinds=frozenset()))
    assert (ended.findings, ended.faults) == ([], [])


def test_a_seed_does_the_same_again_in_another_process() -> None:
    here = run(run_of(1, 20)).trace_hash
    assert run(run_of(1, 20)).trace_hash == here
    command = [sys.executable, "-m", "tests.sim", "1", "--size", "20"]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    told = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert f"trace {here}" in told.stdout


@pytest.mark.full
@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_mutant_is_found(name: str) -> None:
    with mutant(name):
        found = any(_is_found(run_of(seed)) for seed in range(SEEDS_TO_FIND_A_MUTANT))
    assert found, f"{SEEDS_TO_FIND_A_MUTANT} seeds do not find: {name}"


def _is_found(wanted: Run) -> bool:
    return bool(run(wanted).findings)


def test_what_fails_is_shown_short() -> None:
    with mutant("one more than the limit is given"):
        runs = (run_of(seed, 20) for seed in range(SEEDS_TO_FIND_A_MUTANT))
        wanted, ended = next((one, ended) for one in runs if (ended := run(one)).findings)
        short = shrink(wanted, ended, 16)
        assert short.ended.findings
        again = run(short.run)
    assert again.findings == short.ended.findings
    assert len(short.run.operations) <= 6
    assert short.ended.faults == []
    assert run(short.run).findings == [], "it is the mutant that fails"
