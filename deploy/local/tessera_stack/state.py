"""What the stack remembers between commands: ports, secrets, process numbers."""

import json
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def say(text: str) -> None:
    """Tell the user what is being done."""
    print(f"· {text}", flush=True)


def give_up(problem: str, remedy: str) -> None:
    """Name what is missing and the line that installs it; does not return."""
    print(f"✗ {problem}\n  Install it:  {remedy}", file=sys.stderr, flush=True)
    sys.exit(1)


class State:
    """A JSON file in the stack's directory, readable by its owner only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "state.json"

    def read(self) -> dict[str, Any]:
        """Return everything that is remembered."""
        if not self._path.exists():
            return {}
        parsed: dict[str, Any] = json.loads(self._path.read_text())
        return parsed

    def remember(self, **values: Any) -> None:
        """Add or replace values."""
        merged = {**self.read(), **values}
        temporary = self._path.with_suffix(f".{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(merged, indent=1))
        temporary.replace(self._path)

    def forget(self, *names: str) -> None:
        """Remove values."""
        left = {name: value for name, value in self.read().items() if name not in names}
        self._path.write_text(json.dumps(left, indent=1))

    def port(self, name: str) -> int:
        """Return the port of this name: a free one, chosen once."""
        known = self.read().get("ports", {})
        if name not in known:
            known[name] = free_port(set(known.values()))
            self.remember(ports=known)
        return int(known[name])

    def secret(self, name: str, text: str = "") -> str:
        """Return the secret of this name, drawn once."""
        known = self.read().get("secrets", {})
        if name not in known:
            known[name] = text or secrets.token_urlsafe(32)
            self.remember(secrets=known)
        return str(known[name])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time start or stop things here."""
        with (self.directory / "lock").open("w") as file:
            flock(file, LOCK_EX)
            yield


def free_port(taken: set[int]) -> int:
    """Return a port nobody listens on."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections at the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def is_alive(pid: int | None) -> bool:
    """Whether the process exists."""
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
