"""A real Apache Kafka from its own jars, and a real PostgreSQL from the system's binaries."""

import contextlib
import glob
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tessera_stack.state import (
    ROOT,
    State,
    command_of,
    give_up,
    is_alive,
    is_listening,
    say,
    tail,
)

POM = Path(__file__).resolve().parents[1] / "kafka" / "pom.xml"
JARS = ROOT / ".local" / "kafka-jars"
JAVA_OLDEST = 17
LARGEST_RECORD = 8 * 1024 * 1024
SOCKET_PATH_MAX = 90
"""Paths of unix sockets are limited to about 107 bytes, the file's name included."""
DEBIAN_USER = "postgres"
OWN_USER = "tessera_pg"
"""Postgres refuses to run as root. Run by root it is this system user, where Debian's is absent."""


class Infra(NamedTuple):
    """Addresses of the running servers."""

    database_url: str
    kafka_bootstrap_servers: str


def start_infra(directory: Path) -> Infra:
    """Start Kafka and Postgres, their data under ``directory``; harmless when they run.

    They count as used until the calling process ends: see ``stop_infra``.
    """
    state = State(directory)
    with state.locked():
        state.hold()
        _start_kafka(state)
        database_url = _start_postgres(state)
        _wait_for_kafka(state)
    return Infra(database_url, f"127.0.0.1:{state.port('kafka')}")


def stop_infra(directory: Path, *, unless_used: bool = False) -> None:
    """Stop what :func:`start_infra` started there, ``unless_used`` by a process that still runs."""
    state = State(directory)
    with state.locked():
        if unless_used and state.is_used():
            say(f"Kafka and PostgreSQL in {directory} stay: somebody uses them")
            return
        _stop_kafka(state)
        _stop_postgres(state)


# -- Kafka ---------------------------------------------------------------------------------------


def _start_kafka(state: State) -> None:
    if state.process("kafka"):
        return
    java = _java()
    _fetch_jars()
    port = state.port("kafka", to_listen=True)
    controller_port = state.port("kafka_controller", to_listen=True)
    say(f"Kafka: starting at 127.0.0.1:{port}")
    data = state.directory / "kafka"
    properties = state.directory / "kafka.properties"
    properties.write_text(_kafka_properties(port, controller_port, data))
    command = [java, "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{JARS}/*"]
    # Added to: what a broker said before it died is wanted when the next one behaves oddly.
    with (state.directory / "kafka.log").open("ab") as log:
        if not (data / "meta.properties").exists():
            storage = ["kafka.tools.StorageTool", "format", "-t", "dGVzc2VyYS1sb2NhbC0wMQ", "-c"]
            subprocess.run(
                [*command, *storage, str(properties)], check=True, stdout=log, stderr=log
            )
        started = subprocess.Popen(
            [*command, "kafka.Kafka", str(properties)],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd=state.directory,
        )
    state.remember_process("kafka", started.pid)


def _java() -> str:
    remedy = "apt-get install -y openjdk-17-jre-headless"
    java = shutil.which("java")
    if java is None:
        give_up(f"Java {JAVA_OLDEST} or newer is missing; Kafka runs on it.", remedy)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < JAVA_OLDEST:
        give_up(f"{java} is too old: Kafka needs Java {JAVA_OLDEST} or newer.", remedy)
    return java


def _fetch_jars() -> None:
    shared = State(ROOT / ".local")
    done = JARS / ".done"
    text = POM.read_text()
    with shared.locked("kafka-jars.lock"):
        if done.exists() and done.read_text() == text:
            return
        maven = shutil.which("mvn")
        if maven is None:
            give_up("Maven is missing; it fetches Kafka's jars.", "apt-get install -y maven")
        say("Kafka: fetching its jars (about 45 MB, once)")
        shutil.rmtree(JARS, ignore_errors=True)
        _copy_dependencies(maven, text)
        done.write_text(text)


def _copy_dependencies(maven: str, pom: str) -> None:
    work = ROOT / ".local" / "kafka-pom"
    work.mkdir(parents=True, exist_ok=True)
    (work / "pom.xml").write_text(pom)
    goal = ["-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
    command = [maven, "-f", str(work / "pom.xml"), *goal]
    for attempt in (1, 2, 3):
        fetched = subprocess.run(command, capture_output=True, text=True, check=False)
        if fetched.returncode == 0:
            return
        say(f"Kafka: fetching failed (try {attempt} of 3)")
    give_up(f"Kafka's jars could not be fetched:\n{fetched.stdout[-3000:]}")


def _kafka_properties(port: int, controller_port: int, data: Path) -> str:
    lines = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        # What groups have committed is read before they may work again: old entries go early.
        "offsets.topic.segment.bytes": "1048576",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "group.initial.rebalance.delay.ms": "0",
        "auto.create.topics.enable": "false",
        "delete.topic.enable": "true",
        # After a kill the broker waits for its own old session: 4 s instead of 12.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
        "message.max.bytes": str(LARGEST_RECORD),
        "replica.fetch.max.bytes": str(LARGEST_RECORD),
    }
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def _wait_for_kafka(state: State) -> None:
    port = state.port("kafka")
    log = state.directory / "kafka.log"
    deadline = time.monotonic() + 60
    while not is_listening(port):
        _reap(state.read().get("kafka_pid", 0))
        if state.process("kafka") is None:
            give_up(f"Kafka ended while it started:\n{tail(log)}")
        if time.monotonic() > deadline:
            give_up(f"Kafka does not listen after 60 s:\n{tail(log)}")
        time.sleep(0.1)


def _stop_kafka(state: State) -> None:
    pid = state.process("kafka")
    if pid:
        say("Kafka: stopping")
        terminate(pid, 30)
    state.forget_process("kafka")


def terminate(pid: int, seconds: float) -> None:
    """End a process politely, or by force after so many seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    if not _ends_within(pid, seconds):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _ends_within(pid, 5)


def _ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        _reap(pid)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _reap(pid: int) -> None:
    """Let an ended child of this process go, so that it does not look alive."""
    if pid:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


# -- Postgres ------------------------------------------------------------------------------------


def _start_postgres(state: State) -> str:
    home = _postgres_home(state)
    data = home / "data"
    password = state.secret("postgres_password")
    binaries = _postgres_binaries()
    if _postgres_pid(data) is None:
        port = state.port("postgres", to_listen=True)
        say(f"PostgreSQL: starting at 127.0.0.1:{port}")
        if not (data / "PG_VERSION").exists():
            _initialise(home, binaries, password)
        sockets = str(home) if len(str(home)) < SOCKET_PATH_MAX else ""
        options = f"-p {port} -c unix_socket_directories='{sockets}'"
        control = [str(binaries / "pg_ctl"), "-D", str(data), "-l", str(home / "log")]
        started = _as_owner(home, [*control, "-w", "-t", "60", "-o", options, "start"])
        if started.returncode != 0:
            give_up(f"PostgreSQL did not start:\n{tail(home / 'log')}")
    port = state.port("postgres")
    _create_database(binaries, port, password)
    return f"postgresql://tessera:{password}@127.0.0.1:{port}/tessera"


def _initialise(home: Path, binaries: Path, password: str) -> None:
    _give_to_owner(home)
    secret = home / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    _give_to_owner(secret)
    initdb = [str(binaries / "initdb"), "-D", str(home / "data"), "-U", "tessera"]
    told = _as_owner(
        home,
        [*initdb, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"],
        keep_output=True,
    )
    secret.unlink()
    if told.returncode != 0:
        give_up(f"initdb failed:\n{told.stdout}{told.stderr}")
    settings = {
        "listen_addresses": "'127.0.0.1'",
        "max_connections": "300",
        "shared_buffers": "'256MB'",
        "max_wal_size": "'2GB'",
        "checkpoint_timeout": "'15min'",
        "log_min_messages": "warning",
        "timezone": "'UTC'",
    }
    if list(binaries.parent.glob("lib/pg_stat_statements.so")):
        settings["shared_preload_libraries"] = "'pg_stat_statements'"
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    with (home / "data" / "postgresql.conf").open("a") as file:
        file.write("\n# Tessera's local stack; durability (fsync) is left on.\n" + text)


def _create_database(binaries: Path, port: int, password: str) -> None:
    login = ["-h", "127.0.0.1", "-p", str(port), "-U", "tessera", "tessera"]
    made = subprocess.run(
        [str(binaries / "createdb"), *login],
        env={**os.environ, "PGPASSWORD": password, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0 and "already exists" not in made.stderr:
        give_up(f"The database could not be made:\n{made.stderr}")


def _stop_postgres(state: State) -> None:
    if not (state.directory / "postgres").exists():
        return
    home = _postgres_home(state)
    if _postgres_pid(home / "data"):
        say("PostgreSQL: stopping")
        control = [str(_postgres_binaries() / "pg_ctl"), "-D", str(home / "data")]
        stopped = _as_owner(home, [*control, "-m", "fast", "-t", "60", "stop"])
        if stopped.returncode != 0:
            give_up(f"PostgreSQL does not stop:\n{tail(home / 'log')}")


def _postgres_pid(data: Path) -> int | None:
    """Return the server's process; its file may be older than the machine's last start."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if is_alive(pid) and str(data) in command_of(pid) else None


def _postgres_binaries() -> Path:
    for found in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):  # noqa: PTH207
        if (Path(found) / "initdb").exists():
            return Path(found)
    initdb = shutil.which("initdb")
    if initdb is None:
        give_up("PostgreSQL is missing.", "apt-get install -y postgresql")
    return Path(str(initdb)).resolve().parent


def _postgres_home(state: State) -> Path:
    """Return Postgres' directory: beside the rest; for root, where its user may go, linked there."""
    home = state.directory / "postgres"
    if home.exists():
        return home.resolve()
    if os.geteuid() != 0:
        home.mkdir()
        return home
    user = _user()
    if all(parent.stat().st_mode & 0o001 for parent in home.parents):
        home.mkdir()
    else:
        shelf = Path("/var/lib/tessera")
        shelf.mkdir(exist_ok=True)
        # A new name each time: what an earlier checkout left there has other passwords.
        home.unlink(missing_ok=True)
        home.symlink_to(tempfile.mkdtemp(prefix=f"{ROOT.name}-", dir=shelf))
        say(f"PostgreSQL: its user cannot enter {state.directory}; its data is in {home.resolve()}")
    say(f"PostgreSQL: does not run as root, so it runs as user {user}")
    shutil.chown(home.resolve(), user, pwd.getpwnam(user).pw_gid)
    return home.resolve()


def _user() -> str:
    """Return a user who is not root: Debian's package has made one, or it is made here."""
    for name in (DEBIAN_USER, OWN_USER):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", OWN_USER]
    made = subprocess.run(command, check=False, capture_output=True, text=True)
    if made.returncode not in {0, 9}:  # 9: somebody else was faster
        give_up(f"PostgreSQL does not run as root, and no user could be made:\n{made.stderr}")
    return OWN_USER


def _give_to_owner(path: Path) -> None:
    if os.geteuid() == 0:
        owner = pwd.getpwnam((path if path.is_dir() else path.parent).owner())
        os.chown(path, owner.pw_uid, owner.pw_gid)
    if path.is_dir():
        path.chmod(0o700)


def _as_owner(
    home: Path, command: list[str], *, keep_output: bool = False
) -> "subprocess.CompletedProcess[str]":
    owner = pwd.getpwnam(home.owner()) if os.geteuid() == 0 else None
    # No pipes for what stays: the server keeps what it inherits open.
    output = subprocess.PIPE if keep_output else subprocess.DEVNULL
    return subprocess.run(
        command,
        check=False,
        text=True,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
        cwd="/",
        stdout=output,
        stderr=output,
    )
