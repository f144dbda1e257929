"""A real Apache Kafka from its own jars, and a real PostgreSQL from the system's binaries."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tessera_stack.state import ROOT, State, give_up, is_alive, is_listening, say

POM = Path(__file__).resolve().parents[1] / "kafka" / "pom.xml"
JARS = ROOT / ".local" / "kafka-jars"
POSTGRES_USER = "tessera_pg"
"""Postgres refuses to run as root; as root, it runs as this system user."""
LARGEST_RECORD = 8 * 1024 * 1024


class Infra(NamedTuple):
    """Addresses of the running servers."""

    database_url: str
    kafka_bootstrap_servers: str


def start_infra(directory: Path) -> Infra:
    """Start Kafka and Postgres, their data under ``directory``; harmless when they run."""
    state = State(directory)
    with state.locked():
        _start_kafka(state)
        database_url = _start_postgres(state)
        _wait(lambda: is_listening(state.port("kafka")), 40, "Kafka", directory / "kafka.log")
    return Infra(database_url, f"127.0.0.1:{state.port('kafka')}")


def stop_infra(directory: Path) -> None:
    """Stop what :func:`start_infra` started there."""
    state = State(directory)
    with state.locked():
        _stop_kafka(state)
        _stop_postgres(state)


# -- Kafka ---------------------------------------------------------------------------------------


def _start_kafka(state: State) -> None:
    if is_alive(state.read().get("kafka_pid")):
        return
    java = shutil.which("java")
    if java is None:
        give_up("Java 17 or newer is missing.", "apt-get install -y openjdk-17-jre-headless")
    _fetch_jars()
    port = state.port("kafka")
    say(f"Kafka: starting at 127.0.0.1:{port}")
    data = state.directory / "kafka"
    properties = state.directory / "kafka.properties"
    properties.write_text(_kafka_properties(port, state.port("kafka_controller"), data))
    log = (state.directory / "kafka.log").open("ab")
    command = [str(java), "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{JARS}/*"]
    if not (data / "meta.properties").exists():
        storage = ["kafka.tools.StorageTool", "format", "-t", "dGVzc2VyYS1sb2NhbC0wMQ", "-c"]
        subprocess.run([*command, *storage, str(properties)], check=True, stdout=log, stderr=log)
    started = subprocess.Popen(
        [*command, "kafka.Kafka", str(properties)],
        stdout=log,
        stderr=log,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        cwd=state.directory,
    )
    state.remember(kafka_pid=started.pid)


def _fetch_jars() -> None:
    done = JARS / ".done"
    text = POM.read_text()
    if done.exists() and done.read_text() == text:
        return
    maven = shutil.which("mvn")
    if maven is None:
        give_up("Maven is missing; it fetches Kafka's jars.", "apt-get install -y maven")
    say("Kafka: fetching its jars (54 MB, once)")
    work = ROOT / ".local" / "kafka-pom"
    work.mkdir(parents=True, exist_ok=True)
    (work / "pom.xml").write_text(text)
    goal = ["-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
    for attempt in (1, 2, 3):
        fetched = subprocess.run(
            [str(maven), "-f", str(work / "pom.xml"), *goal],
            capture_output=True,
            text=True,
            check=False,
        )
        if fetched.returncode == 0:
            done.write_text(text)
            return
        say(f"Kafka: fetching failed (try {attempt} of 3)")
    raise SystemExit(fetched.stdout[-3000:])


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


def _stop_kafka(state: State) -> None:
    pid = state.read().get("kafka_pid")
    if pid and is_alive(pid):
        say("Kafka: stopping")
        _terminate(int(pid), 30)
    state.forget("kafka_pid")


def _terminate(pid: int, seconds: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while is_alive(pid):
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.1)


# -- Postgres ------------------------------------------------------------------------------------


def _start_postgres(state: State) -> str:
    data = _postgres_directory(state) / "data"
    port = state.port("postgres")
    password = state.secret("postgres_password")
    url = f"postgresql://tessera:{password}@127.0.0.1:{port}/tessera"
    if _postgres_pid(data) and is_listening(port):
        return url
    binaries = _postgres_binaries()
    say(f"PostgreSQL: starting at 127.0.0.1:{port}")
    if not (data / "PG_VERSION").exists():
        _initialise(state, binaries, data, password)
    options = f"-p {port} -k {data.parent}"
    started = _as_postgres(
        [
            str(binaries / "pg_ctl"),
            "-D",
            str(data),
            "-l",
            str(data.parent / "log"),
            "-w",
            "-t",
            "60",
        ]
        + ["-o", options, "start"]
    )
    if started.returncode != 0:
        raise SystemExit(f"PostgreSQL did not start:\n{started.stdout}{started.stderr}")
    environment = {**os.environ, "PGPASSWORD": password}
    login = ["-h", "127.0.0.1", "-p", str(port), "-U", "tessera"]
    subprocess.run(
        [str(binaries / "createdb"), *login, "tessera"],
        env=environment,
        capture_output=True,
        check=False,  # it may be there
    )
    return url


def _initialise(state: State, binaries: Path, data: Path, password: str) -> None:
    secret = data.parent / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    _give_to_postgres(data.parent)
    initialised = _as_postgres(
        [str(binaries / "initdb"), "-D", str(data), "-U", "tessera", "-A", "scram-sha-256"]
        + [f"--pwfile={secret}", "-E", "UTF8", "--locale=C.UTF-8"]
    )
    if initialised.returncode != 0:
        raise SystemExit(f"initdb failed:\n{initialised.stdout}{initialised.stderr}")
    secret.unlink()
    settings = {
        "listen_addresses": "'127.0.0.1'",
        "max_connections": "300",
        "shared_buffers": "'256MB'",
        "max_wal_size": "'2GB'",
        "checkpoint_timeout": "'15min'",
        "log_min_messages": "warning",
        "timezone": "'UTC'",
    }
    text = "".join(f"{name} = {value}\n" for name, value in settings.items())
    with (data / "postgresql.conf").open("a") as file:
        file.write("\n# Tessera's local stack; durability (fsync) is left on.\n" + text)
    del state


def _stop_postgres(state: State) -> None:
    data = _postgres_directory(state) / "data"
    if _postgres_pid(data):
        say("PostgreSQL: stopping")
        _as_postgres([str(_postgres_binaries() / "pg_ctl"), "-D", str(data), "-m", "fast", "stop"])


def _postgres_pid(data: Path) -> int | None:
    file = data / "postmaster.pid"
    try:
        pid = int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return pid if is_alive(pid) else None


def _postgres_binaries() -> Path:
    for found in sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True):  # noqa: PTH207
        if (Path(found) / "initdb").exists():
            return Path(found)
    initdb = shutil.which("initdb")
    if initdb is None:
        give_up("PostgreSQL is missing.", "apt-get install -y postgresql")
    return Path(str(initdb)).resolve().parent


def _postgres_directory(state: State) -> Path:
    """Return where Postgres keeps its data: beside the rest, or, as root, where its user may go."""
    if os.geteuid() != 0:
        directory = state.directory / "postgres"
    else:
        _make_user()
        name = str(state.directory).strip("/").replace("/", "_")
        directory = Path("/var/lib/tessera") / name
        link = state.directory / "postgres"
        if not link.is_symlink():
            say(f"PostgreSQL does not run as root: user {POSTGRES_USER}, data in {directory}")
            directory.mkdir(parents=True, exist_ok=True)
            link.symlink_to(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _make_user() -> None:
    try:
        pwd.getpwnam(POSTGRES_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/sh", POSTGRES_USER]
        made = subprocess.run(command, check=False, capture_output=True)
        if made.returncode not in {0, 9}:  # 9: somebody else was faster
            raise SystemExit(made.stderr.decode()) from None


def _give_to_postgres(directory: Path) -> None:
    if os.geteuid() == 0:
        user = pwd.getpwnam(POSTGRES_USER)
        for path in (directory, *directory.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        directory.chmod(0o700)


def _as_postgres(command: list[str]) -> "subprocess.CompletedProcess[str]":
    user = POSTGRES_USER if os.geteuid() == 0 else None
    # Files, not pipes: the server keeps what it inherits open.
    return subprocess.run(
        command,
        check=False,
        text=True,
        user=user,
        group=user,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE if "initdb" in command[0] else subprocess.DEVNULL,
    )


def _wait(reached: Callable[[], bool], seconds: float, what: str, log: Path) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            tail = (
                "\n".join(log.read_text(errors="replace").splitlines()[-20:])
                if log.exists()
                else ""
            )
            raise SystemExit(f"{what} did not start within {seconds:.0f} s:\n{tail}")
        time.sleep(0.1)
