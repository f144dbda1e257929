"""The running system that end-to-end and chaos tests share."""

from collections.abc import Iterator

import pytest

from tests.system import Api, System


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    """Start a system of its own for the run, and stop it afterwards."""
    running = System()
    running.start()
    yield running
    running.stop()


@pytest.fixture
def api(system: System) -> Api:
    """Return a client of a new project."""
    return system.project()
