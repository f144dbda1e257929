"""What the stack remembers between commands: ports, secrets, process numbers."""

import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path
from typing import IO, Any, NoReturn

ROOT = Path(__file__).resolve().parents[3]
PORTS = range(20_000, 32_000)
"""Below the range that systems hand out to outgoing connections, which could take a port between
the end of a server and its next start."""

_held: dict[Path, IO[str]] = {}
_guard = threading.RLock()


def say(text: str) -> None:
    """Tell the user what is being done."""
    print(f"· {text}", flush=True)


def give_up(problem: str, remedy: str = "") -> NoReturn:
    """Name what is missing and the line that installs it; does not return."""
    print(f"✗ {problem}", file=sys.stderr, flush=True)
    if remedy:
        print(f"  Install it:  {remedy}", file=sys.stderr, flush=True)
    sys.exit(1)


class State:
    """A JSON file in the stack's directory, readable by its owner only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._path = self.directory / "state.json"

    def read(self) -> dict[str, Any]:
        """Return everything that is remembered."""
        if not self._path.exists():
            return {}
        parsed: dict[str, Any] = json.loads(self._path.read_text())
        return parsed

    def remember(self, **values: Any) -> None:
        """Add or replace values."""
        with self._alone():
            self._write({**self.read(), **values})

    def forget(self, *names: str) -> None:
        """Remove values."""
        with self._alone():
            self._write({name: kept for name, kept in self.read().items() if name not in names})

    def _write(self, values: dict[str, Any]) -> None:
        temporary = self._path.with_suffix(f".{os.getpid()}")
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(values, indent=1))
        temporary.replace(self._path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with _guard, self.locked("state.lock"):
            yield

    def port(self, name: str, *, to_listen: bool = False) -> int:
        """Return the port of this name: a free one, chosen once.

        A server that is about to start asks with ``to_listen``: if somebody else took its port since,
        it gets another.
        """
        known = self.read().get("ports", {})
        if name not in known or (to_listen and not is_free(known[name])):
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

    def remember_process(self, name: str, pid: int) -> None:
        """Remember a process that was started: its number, and its start against reused numbers."""
        self.remember(**{f"{name}_pid": pid, f"{name}_started": started_at(pid)})

    def process(self, name: str) -> int | None:
        """Return the number of the process of this name if it still runs."""
        known = self.read()
        pid = known.get(f"{name}_pid")
        if not pid or not is_alive(pid):
            return None
        is_same = known.get(f"{name}_started", "") in {"", started_at(pid)}
        return int(pid) if is_same else None

    def forget_process(self, name: str) -> None:
        """Forget a process that ended."""
        self.forget(f"{name}_pid", f"{name}_started")

    @contextmanager
    def locked(self, name: str = "lock") -> Iterator[None]:
        """Let one process at a time do this here."""
        with (self.directory / name).open("w") as file:
            flock(file, LOCK_EX)
            yield

    def hold(self) -> None:
        """Mark what runs here as used, until this process ends."""
        if self.directory not in _held:
            file = (self.directory / "used").open("w")
            flock(file, LOCK_SH)
            _held[self.directory] = file

    def is_used(self) -> bool:
        """Whether a living process has marked what runs here as used."""
        with (self.directory / "used").open("w") as file:
            try:
                flock(file, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                return True
        return False


def free_port(taken: set[int]) -> int:
    """Return a port that nobody uses."""
    for port in random.sample(PORTS, len(PORTS)):
        if port not in taken and is_free(port):
            return port
    give_up(f"No free port between {PORTS.start} and {PORTS.stop}.")


def is_free(port: int) -> bool:
    """Whether a server could listen at the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


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
    except PermissionError:
        return True
    status = _proc(pid, "stat")
    return not status or status.rpartition(")")[2].split()[0] != "Z"


def started_at(pid: int) -> str:
    """Return when the process started, in whatever unit the system tells; empty if it is gone."""
    status = _proc(pid, "stat")
    return status.rpartition(")")[2].split()[19] if status else _ps(pid, "lstart")


def command_of(pid: int) -> str:
    """Return the process's command line; empty if it is gone."""
    return _proc(pid, "cmdline").replace("\0", " ") or _ps(pid, "args")


def environment_of(pid: int) -> list[str]:
    """Return ``NAME=value`` of the process as far as this system tells."""
    return _proc(pid, "environ").split("\0")


def _proc(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""


def _ps(pid: int, column: str) -> str:
    if Path("/proc/self").exists() or shutil.which("ps") is None:
        return ""
    command = ["ps", "-ww", "-o", f"{column}=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def tail(log: Path, lines: int = 20) -> str:
    """Return the last lines of a log."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
