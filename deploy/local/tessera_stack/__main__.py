"""``python -m tessera_stack up | down | status | logs | restart | kill | backup | restore | run […]``."""

import argparse
import contextlib
import os
import subprocess
import sys
from pathlib import Path

from tessera_stack import backup, services
from tessera_stack.infra import Infra, start_infra, stop_infra
from tessera_stack.state import ROOT, State, give_up, say


def infra_of(directory: Path) -> Infra:
    """Return the caller's servers if the environment names them, else the local ones, running."""
    kafka = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
    database = os.environ.get("DATABASE_URL", "")
    # Whoever has read .local/env into the shell means the local servers, also when they are stopped.
    own = f"127.0.0.1:{State(directory).read().get('ports', {}).get('kafka')}"
    if kafka == own or not (kafka or database):
        return start_infra(directory)
    if not (kafka and database):
        give_up("Set both KAFKA_BOOTSTRAP_SERVERS and DATABASE_URL, or neither.")
    say(f"Kafka: yours, {kafka}")
    say("PostgreSQL: yours, as DATABASE_URL says")
    return Infra(database, kafka)


def up(directory: Path, env_file: Path) -> None:
    """Start everything."""
    state = State(directory)
    with state.locked("up.lock"):
        infra = infra_of(directory)
        services.start_services(state, infra)
        services.write_env_file(state, infra, env_file)
    say(f"Ready: http://127.0.0.1:{state.port('http_gateway')}/docs")


def down(directory: Path, *, unless_used: bool) -> None:
    """Stop what ``up`` started, and nothing else."""
    state = State(directory)
    with state.locked("up.lock"):
        services.stop_services(state)
        stop_infra(directory, unless_used=unless_used)


def save_or_put_back(action: str, directory: Path, env_file: Path, where: str) -> None:
    """Back up the running system, or restore it from a backup."""
    state = State(directory)
    with state.locked("up.lock"):
        infra = infra_of(directory)
        work = backup.backup if action == "backup" else backup.restore
        work(state, infra, env_file, where)


def logs(directory: Path, service: str) -> None:
    """Follow the logs of one service or of all."""
    files = [
        str(path)
        for path in sorted((directory / "log").glob("*.log"))
        if service in {"", path.stem, path.stem.partition("-")[0]}
    ]
    if not files:
        give_up(f"No logs of {service or 'any service'} in {directory / 'log'}.")
    with contextlib.suppress(KeyboardInterrupt):
        subprocess.run(["tail", "-n", "20", "-F", *files], check=False)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="tessera_stack", description=__doc__)
    actions = ["up", "down", "status", "logs", "restart", "kill", "backup", "restore"]
    actions += ["run", "infra"]
    parser.add_argument("action", choices=actions)
    directory = os.environ.get("TESSERA_STACK_DIR", str(ROOT / ".local" / "run"))
    env_file = os.environ.get("TESSERA_ENV_FILE", str(ROOT / ".local" / "env"))
    parser.add_argument("--dir", type=Path, default=Path(directory))
    parser.add_argument("--env-file", type=Path, default=Path(env_file))
    parser.add_argument("--unless-used", action="store_true", help="down: not if a test run is on")
    parser.add_argument("arguments", nargs="*")
    chosen = parser.parse_args()
    state = State(chosen.dir)
    first = chosen.arguments[0] if chosen.arguments else ""
    if chosen.action == "up":
        up(state.directory, chosen.env_file)
    elif chosen.action == "infra":
        print(infra_of(state.directory))
    elif chosen.action == "down":
        down(state.directory, unless_used=chosen.unless_used)
    elif chosen.action in {"backup", "restore"}:
        save_or_put_back(chosen.action, state.directory, chosen.env_file, first)
    elif chosen.action == "status":
        return services.print_status(state)
    elif chosen.action == "logs":
        logs(state.directory, first)
    elif chosen.action == "restart":
        services.restart(state, first)
    elif chosen.action == "kill":
        services.kill(state, first)
    else:
        services.run_module(state, infra_of(state.directory), *chosen.arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
