"""Fixtures: a Postgres server and a Kafka broker for the session, a fresh database for each test.

The servers are those of the environment (``TEST_DATABASE_URL``, ``TEST_KAFKA_BOOTSTRAP_SERVERS``), or
containers where a Docker engine answers, or the project's local stack.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio

from runtime import migrate
from runtime.settings import Settings
from runtime.testing.servers import Servers, start_servers


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Real servers, shared by all tests and all workers of a run."""
    running = start_servers(with_kafka=True)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Return the address of a Postgres on which databases may be made."""
    running = start_servers(with_kafka=False)
    yield running.database_url
    running.stop()


@pytest_asyncio.fixture
async def leased_database(postgres_server: str) -> AsyncIterator[str]:
    """Return the address of a new, empty database; it is dropped afterwards."""
    name = f"test_{os.getpid()}_{secrets.token_hex(4)}"
    administrator = await asyncpg.connect(postgres_server)
    await administrator.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
    for _ in range(10):
        try:
            await administrator.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        except asyncpg.ObjectInUseError:
            await asyncio.sleep(0.1)
        else:
            break
    for row in await administrator.fetch(
        "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", f"{name}_"
    ):
        await administrator.execute(f"DROP ROLE IF EXISTS {row['rolname']}")
    await administrator.close()


@pytest.fixture
def leased_settings(leased_database: str) -> Settings:
    """Return settings for the leased database."""
    return Settings(database_url=leased_database, pool_size_max=4)


@pytest.fixture
def leased_kafka_settings(leased_settings: Settings, servers: Servers) -> Settings:
    """Return settings for the leased database, and for topics of the test's own on the real broker."""
    addresses = {
        "kafka_bootstrap_servers": servers.kafka_bootstrap_servers,
        "topic_prefix": f"t{secrets.token_hex(4)}.",
    }
    return leased_settings.model_copy(update=addresses)


async def create_schemas(settings: Settings, *services: str) -> None:
    """Create the services' roles and empty schemas in the leased database."""
    administrator = await asyncpg.connect(settings.database_url)
    for name in services:
        await migrate.create_role_and_schema(administrator, settings, name)
    await administrator.close()
