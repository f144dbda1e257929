"""Connections to Postgres: a role and a schema per service, and what asyncpg must know of JSON."""

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg
import orjson

from contracts.errors import StorageFull, Unavailable
from runtime import limits, secrets
from runtime.settings import Settings

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
    _BasePool = asyncpg.Pool[asyncpg.Record]
else:  # neither can be subscripted when it runs
    _Connection, _BasePool = asyncpg.Connection, asyncpg.Pool

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


def unavailable_by(error: BaseException) -> Unavailable:
    """Return what a caller is told of a fault of the infrastructure."""
    if isinstance(error, asyncpg.DiskFullError):
        told = "nothing can be written; repeat the request when there is room again"
        return StorageFull(told, retry_after_s=limits.STORAGE_FULL_RETRY_S)
    return Unavailable("a part of the system cannot be reached")


STATEMENTS_OF_A_CONNECTION = 50_000
"""After so many a connection is replaced: a session's memory in the server only grows."""
IDLE_CONNECTION_S = 300.0
"""After so long without a statement it is closed."""

ONE_PLAN = {"engine", "ledger"}
"""Services whose statements join arrays of keys with an index: the first plan is right for ever, and making
a new one takes longer than running it."""

BY_INDEX = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""That first plan must not be one for small tables: made when a table has a few pages it would read all of it
at each request, however much it grows, until the server next looks at its size a minute later."""


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


class _Session(_Connection):
    """Gives up on a server that does not even confirm that it has cancelled a statement."""

    __slots__ = ()

    def _cancel_current_command(self, waiter: Any, cancel_waiter: Any = None) -> None:
        # Whoever has given the statement up waits for this before it goes on, and has a deadline; asyncpg
        # would let it wait as long again as for the statement.
        super()._cancel_current_command(waiter, cancel_waiter)  # type: ignore[misc]
        if cancel_waiter is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(limits.CANCEL_S_MAX, self._give_up, cancel_waiter)

    def _give_up(self, cancel_waiter: "asyncio.Future[None]") -> None:
        if not cancel_waiter.done():
            self.terminate()


class _Pool(_BasePool):
    """Drops what it expires: a server that is gone would be asked to say goodbye, and waited for."""

    __slots__ = ()

    async def expire_connections(self) -> None:
        """Replace every connection, the idle ones now and those in use when they are given back."""
        await super().expire_connections()
        for holder in self._holders:  # type: ignore[attr-defined]
            if holder.is_idle():
                holder.terminate()


async def open_pool(settings: Settings, service: str) -> Pool:
    """Open the service's pool; its ``search_path`` is the service's schema and nothing else."""
    return await _Pool(
        service_dsn(settings, service),
        connection_class=_Session,
        record_class=asyncpg.Record,
        loop=asyncio.get_running_loop(),
        min_size=1,
        max_size=settings.pool_size_max,
        max_queries=STATEMENTS_OF_A_CONNECTION,
        max_inactive_connection_lifetime=IDLE_CONNECTION_S,
        init=prepare_connection,
        reset=_leave_as_it_is,
        timeout=limits.STATEMENT_S_MAX,
        command_timeout=limits.STATEMENT_S_MAX,
        server_settings=_server_settings(service) | (BY_INDEX if service in ONE_PLAN else {}),
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
        connection_class=_Session,
        timeout=limits.STATEMENT_S_MAX,
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
