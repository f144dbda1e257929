"""Migrations: plain SQL files, run once each, in order of their names.

Ours rather than a tool, because every service has a schema and a role of its own in one database:
tools keep one table of versions per database, and run as one role.
"""

import contextlib
import hashlib
from pathlib import Path

import asyncpg

from runtime import secrets
from runtime.database import Connection, role_name
from runtime.settings import Settings

RUNTIME_MIGRATIONS = Path(__file__).parent / "migrations"


async def create_role_and_schema(connection: Connection, settings: Settings, service: str) -> None:
    """Create or refresh the service's login and its schema; run as administrator."""
    role = role_name(settings, service)
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        with contextlib.suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            async with connection.transaction():
                await connection.execute(f"CREATE ROLE {role} LOGIN")
    # Not the password itself: a server may log its statements.
    verifier = secrets.scram_verifier(secrets.role_password(settings, role))
    quoted = await connection.fetchval("SELECT quote_literal($1)", verifier)
    await _set_password(connection, role, quoted)
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {service} AUTHORIZATION {role}")
    await connection.execute(f"REVOKE ALL ON SCHEMA {service} FROM PUBLIC")


async def _set_password(connection: Connection, role: str, quoted_verifier: str) -> None:
    # Several databases of one server may be set up at once; they set the same password.
    for _ in range(10):
        try:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock(7)")
                await connection.execute(f"ALTER ROLE {role} PASSWORD {quoted_verifier}")
        except asyncpg.InternalServerError:
            continue
        return


async def migrate(connection: Connection, directories: list[Path]) -> list[str]:
    """Run what has not run yet; returns the names. Raises if a file changed after it ran.

    ``connection`` is the service's own, so that its ``search_path`` says where tables go.
    """
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, checksum text NOT NULL)"
    )
    ran = []
    for directory in directories:
        for path in sorted(directory.glob("*.sql")):
            if await _run_once(connection, f"{directory.parent.name}/{path.name}", path):
                ran.append(path.name)
    return ran


async def _run_once(connection: Connection, name: str, path: Path) -> bool:
    sql = path.read_text(encoding="utf-8")
    checksum = hashlib.sha256(sql.encode()).hexdigest()
    async with connection.transaction():
        await connection.execute("LOCK TABLE migrations IN EXCLUSIVE MODE")
        known = await connection.fetchval("SELECT checksum FROM migrations WHERE name = $1", name)
        if known is not None:
            if known != checksum:
                message = f"migration {name} was changed after it ran"
                raise RuntimeError(message)
            return False
        await connection.execute(sql)
        await connection.execute("INSERT INTO migrations VALUES ($1, $2)", name, checksum)
    return True
