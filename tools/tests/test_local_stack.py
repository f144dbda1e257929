"""The local stack keeps to its own ports, processes and files."""

import configparser
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tessera_stack import services, state
from tessera_stack.infra import Infra
from tessera_stack.state import State


def test_a_port_is_chosen_once_and_given_up_only_when_taken(tmp_path: Path) -> None:
    first = State(tmp_path).port("kafka")
    assert State(tmp_path).port("kafka", to_listen=True) == first
    with socket.socket() as foreign:
        foreign.bind(("127.0.0.1", first))
        foreign.listen()
        assert State(tmp_path).port("kafka") == first
        second = State(tmp_path).port("kafka", to_listen=True)
    assert second != first
    assert State(tmp_path).port("kafka") == second


def test_another_process_with_the_same_number_is_not_ours(tmp_path: Path) -> None:
    known = State(tmp_path)
    known.remember_process("kafka", os.getpid())
    assert known.process("kafka") == os.getpid()
    known.remember(kafka_started="another time")
    assert known.process("kafka") is None


def test_an_ended_process_is_not_running(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    known = State(tmp_path)
    known.remember_process("kafka", ended.pid)
    ended.wait()
    assert known.process("kafka") is None


def test_servers_count_as_used_while_the_process_lives_that_holds_them(tmp_path: Path) -> None:
    code = f"from tessera_stack.state import *; State(Path({str(tmp_path)!r})).hold(); print(); input()"
    environment = {**os.environ, "PYTHONPATH": str(state.ROOT / "deploy" / "local")}
    user = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert user.stdout is not None
    user.stdout.readline()
    assert State(tmp_path).is_used()
    user.kill()
    user.communicate()
    assert not State(tmp_path).is_used()


def test_secrets_are_drawn_once_and_readable_by_the_owner_only(tmp_path: Path) -> None:
    first = State(tmp_path).secret("pepper")
    assert State(tmp_path).secret("pepper") == first
    assert len(first) >= 32
    assert (tmp_path / "state.json").stat().st_mode & 0o077 == 0


def test_the_env_file_is_merged_and_private(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("TESSERA_URL=old\nMINE=kept\n")
    services.merge_env_file(path, {"TESSERA_URL": "new", "DATABASE_URL": "there"})
    assert path.read_text() == "MINE=kept\nTESSERA_URL=new\nDATABASE_URL=there\n"
    assert path.stat().st_mode & 0o077 == 0


def test_supervisord_gets_each_process_with_its_own_ports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCALE_LEDGER", "2")
    monkeypatch.setenv("SCALE_WEBHOOKS", "0")
    known = State(tmp_path)
    infra = Infra("postgresql://u:50%25@127.0.0.1:1/t", "127.0.0.1:2")
    wanted = services.processes()
    text = services._supervisor_config(known, wanted, services.environment(known, infra))
    parsed = configparser.RawConfigParser()
    parsed.read_string(text)
    programs = [name for name in parsed.sections() if name.startswith("program:")]
    assert programs == [
        f"program:{name}"
        for name in ("gateway", "catalog", "customers", "campaigns", "engine", "ledger", "ledger-2")
        + ("distribution",)
    ]
    first, second = (parsed[f"program:{name}"]["environment"] for name in ("ledger", "ledger-2"))
    assert 'TESSERA_INSTANCE="0"' in first
    assert 'TESSERA_INSTANCE="1"' in second
    assert f'HEALTH_PORT="{known.port("health_ledger")}"' in first
    assert f'HEALTH_PORT="{known.port("health_ledger-2")}"' in second
    assert known.port("health_ledger") != known.port("health_ledger-2")
    assert 'DATABASE_URL="postgresql://u:50%%25@127.0.0.1:1/t"' in first
    assert parsed["program:ledger"]["stopsignal"] == "TERM"


def test_a_service_is_told_from_its_command_line() -> None:
    assert services._service_of("/x/.venv/bin/python -m ledger") == "ledger"
    assert services._service_of("/x/.venv/bin/python -m pytest ledger") == ""
    assert services._service_of("") == ""
