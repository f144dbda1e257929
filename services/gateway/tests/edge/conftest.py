"""A gateway without Kafka."""

from collections.abc import AsyncIterator

import pytest_asyncio

from gateway.app import build
from gateway.settings import Settings as GatewaySettings
from runtime.settings import Settings
from runtime.testing import Harness
from services.gateway.tests.edge.front import Front, PlayedServices


@pytest_asyncio.fixture
async def front(leased_settings: Settings) -> AsyncIterator[Front]:
    # Nothing brings the gateway's own events back to it here: what waits for them gives up at once.
    settings = GatewaySettings(
        database_url=leased_settings.database_url, pool_size_max=4, projection_wait_s=0.05
    )
    async with Harness(build(settings)) as harness:
        yield Front(harness, PlayedServices())


@pytest_asyncio.fixture
async def other(front: Front) -> AsyncIterator[Front]:
    """A second gateway on the same database."""
    settings = GatewaySettings(database_url=front.service.settings.database_url, pool_size_max=4)
    async with Harness(build(settings), is_new=False) as harness:
        yield Front(harness, PlayedServices())
