"""``python -m runtime.backup save | restore DIRECTORY``: the whole system as it was at one moment.

All services share one database, so one snapshot of it is a consistent cut through all of them: an event
that somebody has applied is in its owner's log. Kafka is not saved. What a restored system needs of it
is made from the logs again (docs/adr/0016-one-snapshot-is-the-backup.md). Needs Postgres' own programs.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from contracts import topics
from runtime import admin, migrate
from runtime.database import Connection, role_name
from runtime.settings import Settings

FORMAT = 1
DUMP = "database.dump"
MANIFEST = "manifest.json"
CHUNK = 1024 * 1024
LASTING = {
    topics.INTAKE_ORDERS,
    topics.INTAKE_CUSTOM_EVENTS,
    topics.INTAKE_CUSTOMERS,
    topics.INTAKE_PRODUCTS,
    topics.INTAKE_REJECTED,
    *(topics.dead_letters(service) for service in topics.SERVICES),
}
"""Topics that a restore leaves alone: other systems write them, or people read them."""
FRESH = [name for name in topics.ALL if name not in LASTING]
"""Topics that a restore makes anew: they tell of what came after the snapshot, which has not happened."""


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def save(settings: Settings, directory: Path) -> dict[str, Any]:
    """Write the database as it is now into the directory, beside a running system.

    Until it is complete the directory has another name, so that nothing half written looks whole.
    """
    started = time.monotonic()
    unfinished = directory.with_name(directory.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700, parents=True)
    connection = await asyncpg.connect(settings.database_url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            manifest = await _manifest(connection)
            await _dump(settings, snapshot, unfinished / DUMP)
    finally:
        await connection.close()
    manifest |= {
        "sha256": await asyncio.to_thread(_sha256, unfinished / DUMP),
        "bytes": (unfinished / DUMP).stat().st_size,
    }
    (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    unfinished.rename(directory)
    count = sum(log["events"] for log in manifest["logs"].values())
    took_s = time.monotonic() - started
    _say(f"saved: {count} events, {manifest['bytes'] / 1e6:.1f} MB, {took_s:.1f} s")
    return manifest


async def _manifest(connection: Connection) -> dict[str, Any]:
    """Return what is in the snapshot: restore and whoever tries it compare with it."""
    now = await connection.fetchval("SELECT now()")
    version = await connection.fetchval("SHOW server_version")
    return {
        "format": FORMAT,
        "taken_at": now.isoformat(),
        "postgres": version,
        "logs": await _logs(connection),
    }


async def _logs(connection: Connection) -> dict[str, dict[str, int]]:
    found = {}
    for name in topics.SERVICES:
        row = await connection.fetchrow(
            f"SELECT count(*) AS events, coalesce(max(position), 0) AS position FROM {name}.events"  # noqa: S608
        )
        assert row is not None, "an aggregate has one row"
        found[name] = dict(row)
    return found


async def _dump(settings: Settings, snapshot: str, path: Path) -> None:
    schemas = [f"--schema={name}" for name in topics.SERVICES]
    process = await asyncio.create_subprocess_exec(
        _program("pg_dump"),
        *("--format=custom", "--compress=3", f"--snapshot={snapshot}", f"--file={path}"),
        *schemas,
        f"--dbname={_address(settings)}",
        env=_login(settings),
    )
    if await process.wait() != 0:
        message = "pg_dump failed: nothing was saved"
        raise SystemExit(message)


def _program(name: str) -> str:
    """Return the path of one of Postgres' programs, the newest there is."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    path = str(found[-1]) if found else shutil.which(name)
    if path is None:
        message = f"{name} is missing. Install it:  apt-get install -y postgresql-client"
        raise SystemExit(message)
    return path


def _address(settings: Settings) -> str:
    """Return the database's address without its password, which other users of the machine would see."""
    parts = urlsplit(settings.database_url)
    login, _, host = parts.netloc.rpartition("@")
    user = login.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}" if user else host))


def _login(settings: Settings) -> dict[str, str]:
    password = urlsplit(settings.database_url).password
    return {**os.environ, "LC_ALL": "C"} | ({"PGPASSWORD": unquote(password)} if password else {})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def restore(settings: Settings, directory: Path) -> None:
    """Put the database back to what the directory has; the services must be stopped.

    First the topics, which tell of what is to be undone: with a database that is then not restored they
    are published again. With a restored database and the old topics, consumers would apply what its log
    does not have. Then the database, in one transaction: all of it or nothing.
    """
    started = time.monotonic()
    manifest = await asyncio.to_thread(_verified, directory)
    administrator = await asyncpg.connect(settings.database_url)
    try:
        await _refuse_beside_services(administrator)
        for name in topics.SERVICES:
            await migrate.create_role_and_schema(administrator, settings, name)
        deleted = await admin.delete_topics(settings, FRESH)
        _say(f"topics: {deleted} deleted; their events are in the logs")
        ends = await admin.topic_ends(settings, sorted(LASTING))
        await _load(settings, directory / DUMP, _consistent(ends))
        restored = await _logs(administrator)
    finally:
        await administrator.close()
    if restored != manifest["logs"]:
        message = f"restored {restored}, saved was {manifest['logs']}"
        raise SystemExit(message)
    await admin.create_topics(settings, list(topics.ALL))
    count = sum(log["events"] for log in restored.values())
    took_s = time.monotonic() - started
    _say(f"restored: {count} events as of {manifest['taken_at']}, {took_s:.1f} s")


def _verified(directory: Path) -> dict[str, Any]:
    """Return the manifest of a backup that is whole; exits if it is not."""
    if not (directory / MANIFEST).exists():
        message = f"{directory} is no backup: it has no {MANIFEST}"
        raise SystemExit(message)
    manifest: dict[str, Any] = json.loads((directory / MANIFEST).read_text())
    if manifest["format"] != FORMAT:
        message = f"{directory} has format {manifest['format']}; this version reads {FORMAT}"
        raise SystemExit(message)
    if _sha256(directory / DUMP) != manifest["sha256"]:
        message = f"{directory / DUMP} is not what was saved: its SHA-256 differs"
        raise SystemExit(message)
    return manifest


async def _refuse_beside_services(administrator: Connection) -> None:
    running = await administrator.fetch(
        """
        SELECT DISTINCT application_name FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'tessera-%' ORDER BY 1
        """
    )
    if running:
        names = ", ".join(row["application_name"] for row in running)
        message = f"Stop the services first: {names} are connected to the database"
        raise SystemExit(message)


def _consistent(ends: dict[tuple[str, int], int]) -> str:
    """Return the SQL that makes a restored database agree with topics that begin anew.

    Relays publish their logs from the start; consumers read from the start and drop, by its position, what
    they had applied at the snapshot. What other systems wrote since then, where the topic still has it, is
    taken again.
    """
    lasting = ", ".join(f"('{topic}', {part}, {end})" for (topic, part), end in ends.items())
    return "".join(
        f"""
        UPDATE {name}.relay_cursor SET position = 0, published = '{{}}';
        UPDATE {name}.consumer_offsets o SET next_offset = least(o.next_offset, coalesce(
            (SELECT l.ends_at FROM (VALUES {lasting}) AS l(topic, partition, ends_at)
             WHERE l.topic = o.topic AND l.partition = o.partition), 0));
        """  # noqa: S608
        for name in topics.SERVICES
    )


async def _load(settings: Settings, dump: Path, afterwards: str) -> None:
    """Replace the schemas by the dump's, and run SQL afterwards, in one transaction."""
    writer = await asyncio.create_subprocess_exec(
        _program("psql"),
        *("-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, "-f", "-"),
        *("-d", _address(settings)),
        stdin=asyncio.subprocess.PIPE,
        env=_login(settings),
    )
    assert writer.stdin is not None, "asked for above"
    try:
        for name in topics.SERVICES:
            await _load_schema(writer.stdin, dump, name, role_name(settings, name))
        writer.stdin.write(afterwards.encode())
        writer.stdin.close()
    except (BrokenPipeError, ConnectionResetError, _Unreadable):
        with contextlib.suppress(ProcessLookupError):
            writer.kill()
    if await writer.wait() != 0:
        message = (
            "The dump could not be loaded: the database is as it was. Its topics were deleted:"
            " restore again, or set the services up and republish their logs."
        )
        raise SystemExit(message)


class _Unreadable(Exception):
    """pg_restore does not get to the end of the dump."""


async def _load_schema(writer: asyncio.StreamWriter, dump: Path, schema: str, role: str) -> None:
    """Feed one service's schema to psql, made by its role: the other database may have had other names."""
    reader = await asyncio.create_subprocess_exec(
        _program("pg_restore"),
        *("--no-owner", "--no-acl", f"--schema={schema}", "--file=-", str(dump)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert reader.stdout is not None, "asked for above"
    writer.write(
        f"SET client_min_messages = warning; DROP SCHEMA IF EXISTS {schema} CASCADE;"
        f" CREATE SCHEMA {schema} AUTHORIZATION {role}; REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;"
        f" SET ROLE {role};\n".encode()
    )
    while chunk := await reader.stdout.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if await reader.wait() != 0:
        raise _Unreadable
    writer.write(b"RESET ROLE;\n")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="runtime.backup", description=__doc__)
    parser.add_argument("action", choices=["save", "restore"])
    parser.add_argument("directory", type=Path)
    chosen = parser.parse_args()
    action = save if chosen.action == "save" else restore
    asyncio.run(action(Settings(), chosen.directory.absolute()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
