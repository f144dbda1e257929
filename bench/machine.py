"""What the figures were taken on, and who used the processor meanwhile."""

import os
import platform
from collections import Counter
from pathlib import Path

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


def describe() -> str:
    """Return one line about the machine."""
    memory = Path("/proc/meminfo").read_text().split()[1]
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    gibibytes = int(memory) // 1024 // 1024
    return f"{os.cpu_count()} cores of {model}, {gibibytes} GiB, Python {platform.python_version()}"


def processor_seconds() -> Counter[str]:
    """Return the processor time used so far by each service, Kafka, Postgres and this process."""
    used: Counter[str] = Counter()
    tick = os.sysconf("SC_CLK_TCK")
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        name = _name(command, int(directory.name))
        if name:
            used[name] += (int(fields[11]) + int(fields[12])) / tick  # type: ignore[assignment]
    return used


def service_processes() -> list[tuple[str, int]]:
    """Return the name and the number of every process of a service."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:2] == [b"-m"] and words[2].decode() in SERVICES:
            found.append((words[2].decode(), int(directory.name)))
    return found


def _name(command: str, pid: int) -> str:
    if pid == os.getpid():
        return "load generator"
    if "kafka.Kafka" in command:
        return "Kafka"
    if command.startswith("postgres") or "/postgres " in command:
        return "Postgres"
    for service in SERVICES:
        if f"-m {service}" in command:
            return service
    return ""
