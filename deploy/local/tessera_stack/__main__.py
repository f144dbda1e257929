"""``python -m tessera_stack up | down | status | logs | restart | kill | run [--dir D] […]``."""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tessera_stack import services
from tessera_stack.infra import Infra, start_infra, stop_infra
from tessera_stack.state import ROOT, State, is_alive, say


def infra_of(directory: Path) -> Infra:
    """Return the caller's servers if the environment names them, else the local ones, running."""
    kafka = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    database = os.environ.get("DATABASE_URL")
    if kafka and database:
        return Infra(database, kafka)
    return start_infra(directory)


def up(directory: Path, env_file: Path) -> None:
    """Start everything."""
    state = State(directory)
    infra = infra_of(directory)
    services.start_services(state, infra)
    services.write_env_file(state, infra, env_file)
    say(f"Ready: http://127.0.0.1:{state.port('http_gateway')}/docs")


def down(directory: Path) -> None:
    """Stop what ``up`` started, and nothing else."""
    state = State(directory)
    pid = state.read().get("supervisor_pid")
    if pid and is_alive(pid):
        say("Services: stopping")
        os.kill(int(pid), signal.SIGTERM)
        deadline = time.monotonic() + 60
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.1)
    state.forget("supervisor_pid")
    stop_infra(directory)


def logs(directory: Path, service: str) -> None:
    """Follow the logs of one service or of all."""
    names = f"{service}*.log" if service else "*.log"
    files = [str(path) for path in sorted((directory / "log").glob(names))]
    subprocess.run(["tail", "-n", "20", "-F", *files], check=False)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tessera_stack", description=__doc__)
    parser.add_argument(
        "action", choices=["up", "down", "status", "logs", "restart", "kill", "run", "infra"]
    )
    directory = os.environ.get("TESSERA_STACK_DIR", str(ROOT / ".local" / "run"))
    env_file = os.environ.get("TESSERA_ENV_FILE", str(ROOT / ".local" / "env"))
    parser.add_argument("--dir", type=Path, default=Path(directory))
    parser.add_argument("--env-file", type=Path, default=Path(env_file))
    parser.add_argument("arguments", nargs="*")
    chosen = parser.parse_args()
    state = State(chosen.dir)
    first = chosen.arguments[0] if chosen.arguments else ""
    if chosen.action == "up":
        up(chosen.dir, chosen.env_file)
    elif chosen.action == "infra":
        print(infra_of(chosen.dir))
    elif chosen.action == "down":
        down(chosen.dir)
    elif chosen.action == "status":
        return services.print_status(state)
    elif chosen.action == "logs":
        logs(chosen.dir, first)
    elif chosen.action == "restart":
        return services.supervisorctl(state, "restart", first or "all")
    elif chosen.action == "kill":
        services.kill(state, first)
    else:
        services.run_module(state, infra_of(chosen.dir), *chosen.arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
