"""The shop day that ``make demo`` plays: all of it on a running system, and that it can fail."""

import os
import subprocess
import sys

import pytest

from tests.system import DIRECTORY, ENV_FILE, ROOT, System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(420)]

WRONG = """
import sys
import demo.__main__
from demo import day

equal = day._equal

def expect_another_order(what, found, expected):
    equal(what, found, None if what == "order-0000" else expected)

day._equal = expect_another_order
sys.exit(demo.__main__.main())
"""


@pytest.mark.full
def test_the_day_is_as_expected(system: System) -> None:
    done = _play("-m", "demo")
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert "all 8 steps as expected" in done.stdout
    assert "audit: clean" in system.audit()


@pytest.mark.full
def test_a_day_with_a_wrong_step_fails_and_says_which(system: System) -> None:
    done = _play("-c", WRONG)
    assert done.returncode == 1, done.stdout[-4000:]
    assert "FAILED: order-0000: expected" in done.stderr
    assert "2." not in done.stdout, "the day stops at the step that went wrong"


def test_without_a_system_it_says_what_to_do() -> None:
    done = _play("-m", "demo", TESSERA_ENV_FILE=str(DIRECTORY / "no-such-file"))
    assert done.returncode == 1
    assert "make up" in done.stderr


def _play(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    own = {"TESSERA_STACK_DIR": str(DIRECTORY), "TESSERA_ENV_FILE": str(ENV_FILE)}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **own, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
