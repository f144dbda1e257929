"""Connections to Postgres: a role and a schema per service, and what asyncpg must know of JSON."""

from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import orjson

from runtime import limits, secrets
from runtime.settings import Settings

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

INFRASTRUCTURE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""Postgres is away, starting or out of room: whatever was tried may be tried again as it is."""

CONTENTION_ERRORS = (
    asyncpg.UniqueViolationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
)
"""Somebody else was faster: trying again sees what they wrote."""


def is_passing(error: BaseException) -> bool:
    """Say whether a fault is the infrastructure's: the same will work when it is well again.

    What asyncpg raises for an argument of the wrong type is an InterfaceError too, and ours.
    """
    return isinstance(error, INFRASTRUCTURE_ERRORS) and not isinstance(error, ValueError)


ONE_PLAN = {"engine", "ledger"}
"""Services whose statements join arrays of keys with an index: the first plan is right for ever, and making
a new one takes longer than running it."""


def role_name(settings: Settings, service: str) -> str:
    """Return the database role of a service: ``tessera_ledger`` in a database named ``tessera``.

    Roles are the server's, not the database's, so the name keeps two systems on one server apart.
    """
    database = urlsplit(settings.database_url).path.lstrip("/")
    assert database.isidentifier(), f"the database's name is written into SQL: {database}"
    return f"{database}_{service}"


def service_dsn(settings: Settings, service: str) -> str:
    """Return the address of the database with the service's own role and password."""
    parts = urlsplit(settings.database_url)
    role = role_name(settings, service)
    host = parts.netloc.rpartition("@")[2]
    login = f"{role}:{quote(secrets.role_password(settings, role))}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


async def open_pool(settings: Settings, service: str) -> Pool:
    """Open the service's pool; its ``search_path`` is the service's schema and nothing else."""
    return await asyncpg.create_pool(
        service_dsn(settings, service),
        min_size=1,
        max_size=settings.pool_size_max,
        init=prepare_connection,
        reset=_leave_as_it_is,
        command_timeout=limits.STATEMENT_S_MAX,
        server_settings=_server_settings(service),
    )


async def _leave_as_it_is(connection: Connection) -> None:
    # Asyncpg would ask the server to forget session state on every release, one round trip; nothing
    # here sets any: settings are SET LOCAL, locks belong to transactions or to connections of their own.
    del connection


async def connect(
    settings: Settings, service: str, *, statement_s_max: float | None = None
) -> "asyncpg.Connection[asyncpg.Record]":
    """Open one connection outside the pool, for locks that last as long as it does."""
    connection = await asyncpg.connect(
        service_dsn(settings, service),
        command_timeout=statement_s_max,
        server_settings=_server_settings(service),
    )
    await prepare_connection(connection)
    return connection


def _server_settings(service: str) -> dict[str, str]:
    return {
        "search_path": service,
        "application_name": f"tessera-{service}",
        "jit": "off",
        "plan_cache_mode": "force_generic_plan" if service in ONE_PLAN else "auto",
        # A process that is stopped inside a transaction holds rows, and the lock of the log.
        "idle_in_transaction_session_timeout": f"{limits.IDLE_IN_TRANSACTION_S_MAX}s",
    }


async def prepare_connection(connection: Connection) -> None:
    """Set the codecs: ``jsonb`` is Python objects, ``json`` is exact text."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_json, decoder=orjson.loads, format="text"
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=str, decoder=str, format="text"
    )


def _encode_json(value: Any) -> str:
    return orjson.dumps(value).decode()
