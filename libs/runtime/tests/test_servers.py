"""Which servers a test run takes: the environment's, else containers, else the local stack.

Containers are fakes here; a fake may only do what the real class has, called as we call it.
"""

import inspect
import subprocess
from typing import Any, ClassVar

import pytest
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.postgres import PostgresContainer

from runtime.testing import servers
from runtime.testing.servers import Servers, start_servers


class FakeContainer:
    """Starts nothing; keeps what it was told."""

    made: ClassVar[list["FakeContainer"]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.arguments = (arguments, options)
        self.told: list[str] = []
        self.made.append(self)

    def start(self) -> "FakeContainer":
        self.told.append("start")
        return self

    def stop(self) -> None:
        self.told.append("stop")


class FakePostgres(FakeContainer):
    def get_connection_url(self) -> str:
        return "postgresql://container"


class FakeKafka(FakeContainer):
    def with_kraft(self) -> "FakeKafka":
        self.told.append("with_kraft")
        return self

    def get_bootstrap_server(self) -> str:
        return "container:9093"


@pytest.fixture(autouse=True)
def nothing_real(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.delenv("TEST_KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setattr(FakeContainer, "made", [])
    monkeypatch.setattr("testcontainers.community.postgres.PostgresContainer", FakePostgres)
    monkeypatch.setattr("testcontainers.community.kafka.KafkaContainer", FakeKafka)
    monkeypatch.setattr(servers, "_docker_answers", lambda: False)
    monkeypatch.setattr(servers, "_local_stack", lambda: Servers("local", "local", lambda: None))


def test_the_environment_s_servers_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_docker_answers", lambda: True)
    monkeypatch.setenv("TEST_DATABASE_URL", "postgresql://mine")
    assert start_servers(with_kafka=False).database_url == "postgresql://mine"
    assert start_servers(with_kafka=True).database_url == "postgresql://container", "no Kafka named"
    monkeypatch.setenv("TEST_KAFKA_BOOTSTRAP_SERVERS", "mine:9092")
    found = start_servers(with_kafka=True)
    assert found[:2] == ("postgresql://mine", "mine:9092")
    found.stop()


def test_containers_where_docker_answers_and_they_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(servers, "_docker_answers", lambda: True)
    found = start_servers(with_kafka=True)
    assert found[:2] == ("postgresql://container", "container:9093")
    postgres, kafka = FakeContainer.made
    assert (postgres.told, kafka.told) == (["start"], ["with_kraft", "start"])
    found.stop()
    assert (postgres.told[-1], kafka.told[-1]) == ("stop", "stop")


def test_no_kafka_container_for_tests_that_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_docker_answers", lambda: True)
    found = start_servers(with_kafka=False)
    assert found[:2] == ("postgresql://container", "")
    assert [type(one) for one in FakeContainer.made] == [FakePostgres]
    found.stop()


def test_the_local_stack_without_docker() -> None:
    assert start_servers(with_kafka=True)[:2] == ("local", "local")
    assert FakeContainer.made == []


@pytest.mark.parametrize(
    ("program", "code", "answers"), [(None, 0, False), ("/d", 1, False), ("/d", 0, True)]
)
def test_docker_answers_when_its_engine_does(
    program: str | None, code: int, answers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("shutil.which", lambda name: program)
    monkeypatch.setattr(
        "subprocess.run",
        lambda command, **options: subprocess.CompletedProcess(command, code, b"", b""),
    )
    assert servers._docker_answers() is answers


@pytest.mark.parametrize(
    ("fake", "real"), [(FakePostgres, PostgresContainer), (FakeKafka, KafkaContainer)]
)
def test_the_fakes_have_no_method_that_the_real_ones_lack(fake: type, real: type) -> None:
    methods = [name for name in dir(fake) if not name.startswith("_") and name != "made"]
    assert {"start", "stop"} <= set(methods)
    for name in methods:
        inspect.signature(getattr(real, name)).bind(None)


def test_the_real_ones_are_made_as_we_make_them() -> None:
    inspect.signature(PostgresContainer).bind("postgres:15-alpine", driver=None)
    inspect.signature(KafkaContainer).bind()
