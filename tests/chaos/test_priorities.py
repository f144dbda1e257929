"""Services for which no checkout waits yield the processor once they have started (ADR 0015)."""

import os

import pytest

from contracts import topics
from tests.chaos.kit import pid_of
from tests.system import System

pytestmark = pytest.mark.chaos

CHECKOUT = {"gateway", "engine", "ledger"}


def test_who_yields_to_whom(system: System) -> None:
    priorities = {
        service: os.getpriority(os.PRIO_PROCESS, pid_of(system, service))
        for service in topics.SERVICES
    }
    own = os.getpriority(os.PRIO_PROCESS, 0)
    yielding = {service for service, niceness in priorities.items() if niceness > own}
    assert yielding == set(topics.SERVICES) - CHECKOUT, priorities
