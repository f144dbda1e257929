"""The eight services as processes under supervisord, and the file that tells how to reach them."""

import contextlib
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

from tessera_stack.infra import SOCKET_PATH_MAX, Infra, terminate
from tessera_stack.state import (
    ROOT,
    State,
    command_of,
    environment_of,
    give_up,
    is_listening,
    say,
    tail,
)

SERVICES = (
    "gateway",
    "catalog",
    "customers",
    "campaigns",
    "engine",
    "ledger",
    "distribution",
    "webhooks",
)
READY_S = 90


def python() -> str:
    """Return the interpreter that has everything installed."""
    own = ROOT / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def environment(state: State, infra: Infra) -> dict[str, str]:
    """Return what every service gets to know; a variable of the caller's wins."""
    key = b64encode(secrets.token_bytes(32)).decode()
    values = {
        "DATABASE_URL": infra.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": infra.kafka_bootstrap_servers,
        "TESSERA_ROLE_PASSWORD": state.secret("role_password"),
        "TESSERA_PEPPER": state.secret("pepper"),
        "TESSERA_SECRET_KEY": state.secret("secret_key", key),
        "LOG_FORMAT": os.environ.get("LOG_FORMAT", "json"),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "info"),
        "SMTP_URL": os.environ.get("SMTP_URL", f"smtp://127.0.0.1:{state.port('smtp')}"),
        "TESSERA_ALLOW_PRIVATE_WEBHOOKS": os.environ.get("TESSERA_ALLOW_PRIVATE_WEBHOOKS", "1"),
        "PYTHONUNBUFFERED": "1",
        "TESSERA_STACK_DIR": str(state.directory),
    }
    for name in ("CRASH_AT", "CRASH_DIRECTORY", "RETRY_DELAY_S", "WEBHOOK_RETRY_SCHEDULE"):
        if name in os.environ:
            values[name] = os.environ[name]
    return values


def processes() -> list[tuple[str, str, int]]:
    """Return (name, service, instance) of every process; ``SCALE_LEDGER=2`` makes two ledgers."""
    found = []
    for service in SERVICES:
        count = int(os.environ.get(f"SCALE_{service.upper()}", "1"))
        for instance in range(count):
            name = service if instance == 0 else f"{service}-{instance + 1}"
            found.append((name, service, instance))
    return found


def start_services(state: State, infra: Infra) -> None:
    """Create schemas and topics, start every process, and wait until all are ready."""
    values = environment(state, infra)
    is_running = state.process("supervisor") is not None
    if not is_running:
        _end_orphans(state)
    say("Schemas, tables and topics")
    run_module(state, infra, "runtime.admin", "setup", quiet=True)
    wanted = processes()
    for name, service, _ in wanted:
        state.port(f"health_{name}", to_listen=not is_running)
        if service == "gateway":
            state.port(f"http_{name}", to_listen=not is_running)
    config = state.directory / "supervisord.conf"
    before = config.read_text() if config.exists() else ""
    config.touch(mode=0o600)
    config.write_text(_supervisor_config(state, wanted, values))
    state.remember(health={name: state.port(f"health_{name}") for name, _, _ in wanted})
    if not is_running:
        say(f"Services: starting {len(wanted)} processes")
        _start_supervisor(state, config)
    elif config.read_text() == before:
        say("Services: running already")
    else:
        say("Services: restarting those whose settings changed")
        if supervisorctl(state, "update", quiet=True) != 0:
            stop_services(state)
            _start_supervisor(state, config)
    wait_until_ready(state)


def _start_supervisor(state: State, config: Path) -> None:
    command = [python(), str(Path(__file__).with_name("supervise.py")), "-n", "-c", str(config)]
    with (state.directory / "log" / "supervisord.log").open("ab") as log:
        started = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=ROOT,
        )
    state.remember_process("supervisor", started.pid)


def stop_services(state: State) -> None:
    """Stop every process, letting each finish what it is doing."""
    pid = state.process("supervisor")
    if pid:
        say("Services: stopping")
        terminate(pid, 60)
    _end_orphans(state)
    state.forget_process("supervisor")


def _end_orphans(state: State) -> None:
    """End services of this stack whose supervisor was killed: they would serve beside new ones."""
    mark = f"TESSERA_STACK_DIR={state.directory}"
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        if mark in environment_of(pid) and _service_of(command_of(pid)):
            say(f"Services: ending process {pid}, left by a supervisor that was killed")
            terminate(pid, 30)


def _service_of(command: str) -> str:
    """Return the service that a command line of ours runs, or nothing."""
    words = command.split()
    return words[2] if words[1:2] == ["-m"] and words[2] in SERVICES else ""


def _supervisor_config(
    state: State, wanted: list[tuple[str, str, int]], values: dict[str, str]
) -> str:
    directory = state.directory
    (directory / "log").mkdir(exist_ok=True)
    socket = str(directory / "supervisor.sock")
    if len(socket) > SOCKET_PATH_MAX:
        socket = f"/tmp/tessera-{state.port('supervisor')}.sock"  # noqa: S108 - only its owner may use it
    sections = [
        "[supervisord]",
        "nodaemon=true",
        "logfile=/dev/null",
        "logfile_maxbytes=0",
        f"pidfile={_literal(directory)}/supervisord.pid",
        *(["user=root"] if os.geteuid() == 0 else []),
        "[unix_http_server]",
        f"file={_literal(socket)}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisorctl]",
        f"serverurl=unix://{_literal(socket)}",
    ]
    for name, service, instance in wanted:
        own = {
            **values,
            "TESSERA_INSTANCE": str(instance),
            "HEALTH_PORT": str(state.port(f"health_{name}")),
        }
        if service == "gateway":
            own["HTTP_PORT"] = str(state.port(f"http_{name}"))
        quoted = ",".join(f'{key}="{_literal(value)}"' for key, value in own.items())
        sections += [
            f"[program:{name}]",
            f"command={_literal(shlex.quote(python()))} -m {service}",
            f"environment={quoted}",
            f"directory={_literal(ROOT)}",
            "autorestart=true",
            "startsecs=1",
            "startretries=100",
            "stopsignal=TERM",
            "stopwaitsecs=30",
            "redirect_stderr=true",
            f"stdout_logfile={_literal(directory)}/log/{name}.log",
            "stdout_logfile_maxbytes=50MB",
            "stdout_logfile_backups=1",
        ]
    return "\n".join(sections) + "\n"


def _literal(text: str | Path) -> str:
    """Escape what supervisord's configuration would expand."""
    return str(text).replace("%", "%%")


def wait_until_ready(state: State) -> None:
    """Return when every process is ready; exits with the last lines of those that are not."""
    waiting = dict(state.read().get("health", {}))
    deadline = time.monotonic() + READY_S
    while waiting and time.monotonic() < deadline:
        waiting = {name: port for name, port in waiting.items() if not is_ready(port)}
        if waiting and state.process("supervisor") is None:
            give_up(f"supervisord ended:\n{tail(state.directory / 'log' / 'supervisord.log')}")
        time.sleep(0.2)
    if waiting:
        for name in waiting:
            log = tail(state.directory / "log" / f"{name}.log", 15)
            print(f"✗ {name} is not ready. Its last lines:\n{log}", file=sys.stderr)
        raise SystemExit(1)
    say("Services: all ready")


def is_ready(port: int) -> bool:
    """Whether the process at this health port says that it is ready."""
    return _get(port, "/health/ready")[0] == 200


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=3) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, TimeoutError):
        return 0, ""


def write_env_file(state: State, infra: Infra, path: Path) -> None:
    """Write addresses and, by the gateway's own bootstrap, the demo project's keys."""
    values = {
        "TESSERA_URL": f"http://127.0.0.1:{state.port('http_gateway')}",
        "TESSERA_SMTP_PORT": str(state.port("smtp")),
        "KAFKA_BOOTSTRAP_SERVERS": infra.kafka_bootstrap_servers,
        "DATABASE_URL": infra.database_url,
    }
    merge_env_file(path, values)
    say(f"Demo project: its keys go to {path}")
    run_module(state, infra, "gateway.bootstrap", extra={"TESSERA_ENV_FILE": str(path), **values})


def merge_env_file(path: Path, values: dict[str, str]) -> None:
    """Set variables in a file of shell syntax that only its owner can read."""
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines if line.partition("=")[0] not in values]
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text("\n".join([*kept, *(f"{k}={v}" for k, v in values.items())]) + "\n")


def run_module(
    state: State,
    infra: Infra,
    module: str,
    *arguments: str,
    extra: dict[str, str] | None = None,
    quiet: bool = False,
) -> None:
    """Run one of the project's modules with the stack's environment; exits if it fails."""
    values = {**os.environ, **environment(state, infra), "LOG_FORMAT": "pretty", **(extra or {})}
    done = subprocess.run(
        [python(), "-m", module, *arguments],
        env=values,
        cwd=ROOT,
        check=False,
        text=True,
        capture_output=quiet,
    )
    if done.returncode != 0:
        if quiet:
            print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        raise SystemExit(done.returncode)


def supervisorctl(state: State, *arguments: str, quiet: bool = False) -> int:
    """Pass a command to supervisord."""
    return _control(state, *arguments, quiet=quiet).returncode


def _control(
    state: State, *arguments: str, quiet: bool = False
) -> "subprocess.CompletedProcess[str]":
    config = state.directory / "supervisord.conf"
    command = [python(), "-m", "supervisor.supervisorctl", "-c", str(config), *arguments]
    return subprocess.run(command, check=False, text=True, capture_output=quiet)


def _named(state: State, service: str) -> list[str]:
    """Return the processes of a service, or the one process of that name."""
    known = state.read().get("health", {})
    found = [name for name in known if service in {name, name.partition("-")[0]}]
    if state.process("supervisor") is None:
        give_up("The system does not run (make up).")
    if not found:
        give_up(f"SERVICE={service}: there is no such service. There are: {', '.join(known)}")
    return found


def restart(state: State, service: str) -> None:
    """Restart all processes, or those of one service; returns when they are ready.

    Of a service that has several, one after the other, so that the others do its work meanwhile.
    """
    names = _named(state, service) if service else list(state.read().get("health", {}))
    owners = [name.partition("-")[0] for name in names]
    alone = [name for name in names if owners.count(name.partition("-")[0]) == 1]
    if alone:
        supervisorctl(state, "restart", *alone)
        wait_until_ready(state)
    for name in names:
        if name not in alone:
            supervisorctl(state, "restart", name)
            wait_until_ready(state)


def kill(state: State, service: str) -> None:
    """SIGKILL a service's processes; supervisord starts them again."""
    for name in _named(state, service):
        told = _control(state, "pid", name, quiet=True).stdout.strip()
        pid = int(told) if told.isdigit() else 0
        if pid == 0:
            give_up(f"{name} does not run: {told}")
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 9)
        say(f"{name}: process {pid} killed")


def print_status(state: State) -> int:
    """Print one line per process; returns 0 if all are ready."""
    known = state.read()
    ports = known.get("ports", {})
    worst = 0
    for name in ("kafka", "postgres"):
        is_up = name in ports and is_listening(ports[name])
        worst = worst or int(not is_up)
        print(
            f"{name:<14} {'ready' if is_up else 'not running':<12} 127.0.0.1:{ports.get(name, '?')}"
        )
    if state.process("supervisor") is None:
        print("services       not running  (make up)")
        return 1
    for name, port in known.get("health", {}).items():
        status, body = _get(port, "/health/ready")
        text = json.loads(body).get("status", "?") if body.startswith("{") else "no answer"
        worst = worst or int(status != 200)
        print(f"{name:<14} {text:<12} http://127.0.0.1:{port}/metrics")
    return worst
