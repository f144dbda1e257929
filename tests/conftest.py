"""The running system that end-to-end and chaos tests share."""

import os
from collections.abc import Iterator

import pytest

from tests.system import Api, System


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """Start a system of its own for the run, and stop it afterwards.

    ``TESSERA_KEEP_TEST_SYSTEM=1`` leaves it running, for one who runs a test again and again.
    """
    running = System()
    running.start()
    yield running
    if not os.environ.get("TESSERA_KEEP_TEST_SYSTEM"):
        running.stop()


@pytest.fixture
def api(system: System) -> Api:
    """Return a client of a new project."""
    return system.project()
