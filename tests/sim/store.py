"""A store in memory that services reach as they reach Postgres: through a pool of connections.

Transactions, row locks, unique keys and advisory locks are those of Postgres at READ COMMITTED, as far as
our code leans on them (``test_store_contract.py`` runs the same checks on both). SQL is not interpreted:
each statement that the real code sends has a function in ``statements.py``, found by its text; one that
is unknown stops the simulation.
"""

import asyncio
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from operator import itemgetter
from typing import Any, NamedTuple, Self

import asyncpg

Key = tuple[Any, ...]
Row = dict[str, Any]
Step = Callable[[str], Awaitable[None]]


class Record(dict[str, Any]):
    """A row as asyncpg gives it: by the column's name, or by its number; it yields its values."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())

    def __missing__(self, key: Any) -> Any:
        if isinstance(key, int):
            return list(self.values())[key]
        raise KeyError(key)


class Schema:
    """The tables of one service, what is committed, and who has locked what."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[Key, Row]] = defaultdict(dict)
        self.sequences: dict[str, int] = defaultdict(int)
        self.locks: dict[Key, Transaction] = {}
        self.waiting: list[asyncio.Future[None]] = []
        self.listeners: list[tuple[Connection, str, Any]] = []
        self.tables["relay_cursor"][(True,)] = {"position": 0, "published": None}
        self.log: list[tuple[int, Row]] = []
        """The index of ``events`` by position: what is committed."""

    @property
    def newest(self) -> int:
        """The position of the newest event that is committed."""
        return self.log[-1][0] if self.log else 0

    def next(self, sequence: str) -> int:
        """Draw a number; never given back."""
        self.sequences[sequence] += 1
        return self.sequences[sequence]


class Transaction:
    """What one transaction has written and locked."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.written: dict[str, dict[Key, Row | None]] = defaultdict(dict)
        self.locks: set[Key] = set()
        self.waits_for: Key | None = None
        self.is_over = False

    def get(self, table: str, key: Key) -> Row | None:
        """Return a row as this transaction sees it now."""
        if table in self.written and key in self.written[table]:
            return self.written[table][key]
        return self.schema.tables[table].get(key)

    def scan(self, table: str) -> list[tuple[Key, Row]]:
        """Return all rows that this transaction sees."""
        if table not in self.written:
            return list(self.schema.tables[table].items())
        seen = {**self.schema.tables[table], **self.written[table]}
        return [(key, row) for key, row in seen.items() if row is not None]

    def log_after(self, position: int) -> list[Row]:
        """Return the events after a position, in its order."""
        log = self.schema.log
        rows = [row for _, row in log[bisect_right(log, position, key=itemgetter(0)) :]]
        own = [one for one in self.written.get("events", {}).values() if one is not None]
        if own:
            rows += [one for one in own if one["position"] > position]
            rows.sort(key=itemgetter("position"))
        return rows

    def put(self, table: str, key: Key, row: Row | None) -> None:
        """Write a row (None: delete it); the caller has locked it."""
        assert (table, *key) in self.locks, "what is written is locked"
        self.written[table][key] = row

    def is_free(self, *name: Any) -> bool:
        """Whether nobody else holds the lock."""
        return self.schema.locks.get(name, self) is self

    async def lock(self, *name: Any) -> None:
        """Wait for a lock and keep it until the end; whoever closes a circle of waiters is refused."""
        while not self.is_free(*name):
            self.waits_for = name
            if self._closes_a_circle():
                self.waits_for = None
                raise asyncpg.DeadlockDetectedError("deadlock detected")
            waiter = asyncio.get_running_loop().create_future()
            self.schema.waiting.append(waiter)
            await waiter
        self.waits_for = None
        if self.is_over:
            raise asyncpg.ConnectionDoesNotExistError("the session was ended")
        self.schema.locks[name] = self
        self.locks.add(name)

    def _closes_a_circle(self) -> bool:
        other: Transaction | None = self
        while other is not None and other.waits_for is not None:
            other = self.schema.locks.get(other.waits_for)
            if other is self:
                return True
        return False

    async def insert(self, table: str, key: Key, row: Row) -> None:
        """Insert; waits for whoever is inserting the same key, and then raises."""
        await self.lock(table, *key)
        if self.get(table, key) is not None:
            raise asyncpg.UniqueViolationError(f"{table}: {key} is there")
        self.put(table, key, row)

    def end(self, *, is_committed: bool) -> None:
        """Make everything visible at once, or nothing."""
        if self.is_over:
            return
        self.is_over = True
        if is_committed:
            for table, rows in self.written.items():
                for key, row in rows.items():
                    if row is None:
                        self.schema.tables[table].pop(key, None)
                    else:
                        self.schema.tables[table][key] = row
            for row in self.written.get("events", {}).values():
                assert row is not None, "events are never deleted"
                insort(self.schema.log, (row["position"], row), key=itemgetter(0))
        for name in self.locks:
            self.schema.locks.pop(name, None)
        waiting, self.schema.waiting = self.schema.waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


class _Savepoint(NamedTuple):
    written: dict[str, dict[Key, Row | None]]


class TransactionBlock:
    """``connection.transaction()``: a transaction, or a savepoint inside one."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._savepoint: _Savepoint | None = None

    async def start(self) -> None:
        """Begin."""
        connection = self._connection
        if connection.transaction_now is None:
            # Nothing is seen or locked yet: whatever happens here may as well happen at the first statement.
            connection.transaction_now = Transaction(connection.schema)
        else:
            self._savepoint = _Savepoint(_copied(connection.transaction_now.written))

    async def commit(self) -> None:
        """Commit; it may fail before or after it has happened, and the caller cannot know."""
        connection = self._connection
        if self._savepoint is not None:
            return
        await connection.step("commit")
        transaction, connection.transaction_now = connection.transaction_now, None
        if transaction is None or transaction.is_over:
            raise asyncpg.ConnectionDoesNotExistError("the session was ended")
        transaction.end(is_committed=True)
        await connection.step("committed")
        if connection.is_closed:
            raise asyncpg.ConnectionDoesNotExistError("the session was ended")

    async def rollback(self) -> None:
        """Undo."""
        connection = self._connection
        transaction = connection.transaction_now
        if transaction is None:
            return
        if self._savepoint is not None:
            transaction.written = _copied(self._savepoint.written)
            return
        connection.transaction_now = None
        transaction.end(is_committed=False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is None:
            try:
                await self.commit()
            except BaseException:
                await self.rollback()
                raise
        else:
            await self.rollback()


def _copied(written: dict[str, dict[Key, Row | None]]) -> dict[str, dict[Key, Row | None]]:
    return defaultdict(dict, {table: dict(rows) for table, rows in written.items()})


async def no_step(_: str) -> None:
    """Let nothing happen between two statements."""


class Connection:
    """A session. ``step`` is called before every statement: time passes there, and faults happen."""

    def __init__(self, schema: Schema, statements: Any, step: Step = no_step) -> None:
        self.schema = schema
        self.step = step
        self.transaction_now: Transaction | None = None
        self.session = Transaction(schema)
        """Holds the locks that last as long as the session."""
        self._statements = statements
        self.is_closed = False

    def transaction(self) -> TransactionBlock:
        """Return a transaction, or a savepoint if one is on."""
        return TransactionBlock(self)

    async def fetch(self, sql: str, *values: Any) -> list[Record]:
        """Run a statement."""
        if self.is_closed:
            raise asyncpg.ConnectionDoesNotExistError("the session was ended")
        function = self._statements.find(sql)
        await self.step(function.__name__)
        if self.is_closed:
            raise asyncpg.ConnectionDoesNotExistError("the session was ended")
        transaction = self.transaction_now or Transaction(self.schema)
        try:
            rows = await function(self, transaction, *values)
        except BaseException:
            if self.transaction_now is None:
                transaction.end(is_committed=False)
            raise
        if self.transaction_now is None:
            transaction.end(is_committed=True)
        return [_fresh(row) for row in rows] if rows else []

    async def fetchrow(self, sql: str, *values: Any) -> Record | None:
        """Run a statement; returns its first row."""
        rows = await self.fetch(sql, *values)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *values: Any) -> Any:
        """Run a statement; returns the first value of its first row."""
        row = await self.fetchrow(sql, *values)
        return row[0] if row is not None else None

    async def execute(self, sql: str, *values: Any) -> None:
        """Run a statement."""
        await self.fetch(sql, *values)

    async def cursor(self, sql: str, *values: Any, prefetch: int = 0) -> AsyncIterator[Record]:
        """Run a statement; yields its rows."""
        del prefetch
        for row in await self.fetch(sql, *values):
            yield row

    async def add_listener(self, channel: str, callback: Any) -> None:
        """Hear notifications from now on."""
        self.schema.listeners.append((self, channel, callback))

    async def close(self, *, timeout: float = 0) -> None:
        """End the session."""
        del timeout
        self.terminate()

    def terminate(self) -> None:
        """End the session at once, whoever uses it: what it was about to do has not happened."""
        self.is_closed = True
        if self.transaction_now is not None:
            self.transaction_now.end(is_committed=False)
        self.session.end(is_committed=False)
        self.schema.listeners = [one for one in self.schema.listeners if one[0] is not self]


def _fresh(row: Row) -> Record:
    """Return a row of which nothing is shared with the store: JSON is the only thing that can change."""
    fresh = Record(row)
    for name, value in row.items():
        kind = type(value)
        if kind is dict or kind is list:
            fresh[name] = _copy(value)
    return fresh


def _copy(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {name: _copy(one) for name, one in value.items()}
    if kind is list:
        return [_copy(one) for one in value]
    return value


class Pool:
    """Gives out connections; ``open_ones`` are those in use."""

    def __init__(self, connect: Callable[[], Connection]) -> None:
        self._connect = connect
        self.open_ones: list[Connection] = []

    async def expire_connections(self) -> None:
        """Keep none: every one that is lent is new."""

    def acquire(self) -> "_Lent":
        """Lend a connection."""
        return _Lent(self)


class _Lent:
    """A connection as long as it is lent."""

    __slots__ = ("_connection", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        self._connection = self._pool._connect()
        self._pool.open_ones.append(self._connection)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        self._pool.open_ones.remove(self._connection)
        self._connection.terminate()
