"""The real Postgres and Kafka of a test run, found or started."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).resolve().parents[5]


class Servers(NamedTuple):
    """Addresses, and how to stop what was started."""

    database_url: str
    kafka_bootstrap_servers: str
    stop: Callable[[], None]


def start_servers(*, with_kafka: bool) -> Servers:
    """Return the environment's servers, else containers, else the project's local stack."""
    database_url = os.environ.get("TEST_DATABASE_URL", "")
    kafka = os.environ.get("TEST_KAFKA_BOOTSTRAP_SERVERS", "")
    if database_url and (kafka or not with_kafka):
        return Servers(database_url, kafka, _nothing)
    if _docker_answers():
        return _containers(with_kafka=with_kafka)
    return _local_stack()


def _nothing() -> None:
    """Whoever started the servers stops them."""


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if docker is None:
        return False
    asked = subprocess.run([docker, "info"], capture_output=True, timeout=20, check=False)  # noqa: S603
    return asked.returncode == 0


def _containers(*, with_kafka: bool) -> Servers:
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    postgres = PostgresContainer("postgres:15-alpine", driver=None).start()
    kafka: Any = KafkaContainer().with_kraft().start() if with_kafka else None

    def stop() -> None:
        postgres.stop()
        if kafka is not None:
            kafka.stop()

    address = kafka.get_bootstrap_server() if kafka is not None else ""
    return Servers(postgres.get_connection_url(), address, stop)


def _local_stack() -> Servers:
    sys.path.insert(0, str(REPOSITORY / "deploy" / "local"))
    from tessera_stack import start_infra  # noqa: PLC0415

    # Shared by the workers of a run and kept for the next one: starting costs seconds.
    infra = start_infra(REPOSITORY / ".local" / "test-infra")
    return Servers(infra.database_url, infra.kafka_bootstrap_servers, _nothing)
