"""The eight services as processes under supervisord, and the file that tells how to reach them."""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from pathlib import Path

from tessera_stack.infra import Infra
from tessera_stack.state import ROOT, State, is_alive, say

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
    }
    for name in ("CRASH_AT", "RETRY_DELAY_S", "WEBHOOK_RETRY_SCHEDULE"):
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
    say("Schemas, tables and topics")
    run_module(state, infra, "runtime.admin", "setup", quiet=True)
    if is_alive(state.read().get("supervisor_pid")):
        say("Services: running already")
    else:
        _start_supervisor(state, values)
    _wait_until_ready(state)


def _start_supervisor(state: State, values: dict[str, str]) -> None:
    logs = state.directory / "log"
    logs.mkdir(exist_ok=True)
    wanted = processes()
    config = state.directory / "supervisord.conf"
    config.touch(mode=0o600)
    config.write_text(_supervisor_config(state, wanted, values))
    say(f"Services: starting {len(wanted)} processes")
    command = [python(), "-m", "supervisor.supervisord", "-n", "-c", str(config)]
    log = (logs / "supervisord.log").open("ab")
    started = subprocess.Popen(
        command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, cwd=ROOT
    )
    health = {name: state.port(f"health_{name}") for name, _, _ in wanted}
    state.remember(supervisor_pid=started.pid, health=health)


def _supervisor_config(
    state: State, wanted: list[tuple[str, str, int]], values: dict[str, str]
) -> str:
    directory = state.directory
    socket = f"/tmp/tessera-{state.port('supervisor')}.sock"  # noqa: S108 - paths of sockets are short
    state.remember(supervisor_socket=socket)
    sections = [
        "[supervisord]",
        "nodaemon=true",
        "logfile=/dev/null",
        "logfile_maxbytes=0",
        f"pidfile={directory}/supervisord.pid",
        *(["user=root"] if os.geteuid() == 0 else []),
        "[unix_http_server]",
        f"file={socket}",
        "chmod=0600",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisorctl]",
        f"serverurl=unix://{socket}",
    ]
    for name, service, instance in wanted:
        own = {
            **values,
            "TESSERA_INSTANCE": str(instance),
            "HEALTH_PORT": str(state.port(f"health_{name}")),
        }
        if service == "gateway":
            own["HTTP_PORT"] = str(state.port(f"http_{name}"))
        quoted = ",".join(f'{key}="{value.replace("%", "%%")}"' for key, value in own.items())
        sections += [
            f"[program:{name}]",
            f"command={python()} -m {service}",
            f"environment={quoted}",
            f"directory={ROOT}",
            "autorestart=true",
            "startsecs=1",
            "startretries=100",
            "stopsignal=TERM",
            "stopwaitsecs=30",
            "redirect_stderr=true",
            f"stdout_logfile={directory}/log/{name}.log",
            "stdout_logfile_maxbytes=50MB",
            "stdout_logfile_backups=1",
        ]
    return "\n".join(sections) + "\n"


def _wait_until_ready(state: State) -> None:
    waiting = dict(state.read().get("health", {}))
    deadline = time.monotonic() + READY_S
    while waiting and time.monotonic() < deadline:
        waiting = {name: port for name, port in waiting.items() if not is_ready(port)}
        time.sleep(0.2)
    if waiting:
        for name in waiting:
            log = state.directory / "log" / f"{name}.log"
            lines = log.read_text(errors="replace").splitlines()[-15:] if log.exists() else []
            print(f"✗ {name} is not ready. Its last lines:", *lines, sep="\n  ", file=sys.stderr)
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


def supervisorctl(state: State, *arguments: str) -> int:
    """Pass a command to supervisord."""
    config = state.directory / "supervisord.conf"
    command = [python(), "-m", "supervisor.supervisorctl", "-c", str(config), *arguments]
    return subprocess.run(command, check=False).returncode


def kill(state: State, name: str) -> None:
    """SIGKILL one process; supervisord starts it again."""
    config = state.directory / "supervisord.conf"
    command = [python(), "-m", "supervisor.supervisorctl", "-c", str(config), "pid", name]
    pid = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert pid > 0, f"{name} does not run"
    os.kill(pid, 9)
    say(f"{name}: process {pid} killed")


def print_status(state: State) -> int:
    """Print one line per process; returns 0 if all are ready."""
    known = state.read()
    if not is_alive(known.get("supervisor_pid")):
        print("not running")
        return 1
    worst = 0
    for name, port in known.get("health", {}).items():
        status, body = _get(port, "/health/ready")
        text = json.loads(body).get("status", "?") if body.startswith("{") else "no answer"
        worst = worst or int(status != 200)
        print(f"{name:<14} {text:<10} http://127.0.0.1:{port}/metrics")
    return worst
