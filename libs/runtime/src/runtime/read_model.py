"""Read models: tables whose rows are pure folds of events.

``Fold.keys`` names the rows that an event touches, ``Fold.apply`` changes them in memory. The runner
reads the rows of a whole batch with one query per table and writes them back with one.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from contracts import upcasting
from contracts.messages import Envelope, Event
from runtime.database import Connection

Row = dict[str, Any]
Key = tuple[Any, ...]


class Table:
    """A table: its key columns and its other columns, each with its Postgres type."""

    def __init__(self, name: str, key: Mapping[str, str], columns: Mapping[str, str]) -> None:
        assert name.isidentifier(), "a table's name is written into SQL"
        assert all(column.isidentifier() for column in (*key, *columns)), "so are its columns'"
        self.name = name
        self.key = dict(key)
        self.columns = dict(columns)
        self.all_columns = {**self.key, **self.columns}
        self.nothing: Row = dict.fromkeys(self.all_columns)
        self.select_sql = self._select()
        self.insert_sql = self._insert()
        self.upsert_sql = self._upsert()
        self.delete_sql = self._delete()

    def _arrays(self, columns: Mapping[str, str]) -> str:
        # JSON travels as text: a list inside an array would be taken for a second dimension.
        kinds = ("text" if kind == "jsonb" else kind for kind in columns.values())
        arrays = (f"${n}::{kind}[]" for n, kind in enumerate(kinds, 1))
        return f"unnest({', '.join(arrays)}) AS g({', '.join(columns)})"

    def _same_key(self) -> str:
        return " AND ".join(f"t.{column} = g.{column}" for column in self.key)

    def _select(self) -> str:
        columns = ", ".join(f"t.{column}" for column in self.all_columns)
        return (
            f"SELECT {columns} FROM {self._arrays(self.key)} "  # noqa: S608 - identifiers of our own
            f"JOIN {self.name} t ON {self._same_key()} FOR NO KEY UPDATE OF t"
        )

    def _upsert(self) -> str:
        changes = ", ".join(f"{column} = EXCLUDED.{column}" for column in self.columns)
        action = f"UPDATE SET {changes}" if changes else "NOTHING"
        return f"{self._insert()} ON CONFLICT ({', '.join(self.key)}) DO {action}"

    def _insert(self) -> str:
        names = ", ".join(self.all_columns)
        values = ", ".join(
            f"g.{column}::jsonb" if kind == "jsonb" else f"g.{column}"
            for column, kind in self.all_columns.items()
        )
        return (
            f"INSERT INTO {self.name} ({names}) "  # noqa: S608 - identifiers of our own
            f"SELECT {values} FROM {self._arrays(self.all_columns)}"
        )

    def _delete(self) -> str:
        return f"DELETE FROM {self.name} t USING {self._arrays(self.key)} WHERE {self._same_key()}"  # noqa: S608


class Rows:
    """The rows of a batch, in memory. A fold sees only those that its ``keys`` named."""

    def __init__(self) -> None:
        self.known: dict[str, dict[Key, Row | None]] = {}
        self.changed: dict[str, set[Key]] = {}
        self.absent: dict[str, set[Key]] = {}
        """Of those, what the tables did not have."""
        self.is_complete = False
        """Every row there is, is known: the audit folds whole logs."""

    def get(self, table: Table, *key: Any) -> Row | None:
        """Return a copy of the row, or None."""
        rows = self.known.setdefault(table.name, {})
        assert self.is_complete or key in rows, (
            f"{table.name} {key} was not named by the fold's keys"
        )
        row = rows.get(key)
        return dict(row) if row is not None else None

    def put(self, table: Table, key: Key, row: Row) -> None:
        """Set the row; columns that are missing become NULL."""
        columns = table.nothing.keys()
        assert row.keys() <= columns, f"{table.name} has no column {row.keys() - columns}"
        full = {**table.nothing, **row, **dict(zip(table.key, key, strict=True))}
        self.known.setdefault(table.name, {})[key] = full
        self.changed.setdefault(table.name, set()).add(key)

    def delete(self, table: Table, *key: Any) -> None:
        """Remove the row."""
        self.known.setdefault(table.name, {})[key] = None
        self.changed.setdefault(table.name, set()).add(key)


RowKey = tuple[Table, Key]


class Fold(NamedTuple):
    """``keys(event, envelope)`` yields the rows; ``apply(rows, event, envelope)`` changes them."""

    keys: Callable[[Any, Envelope], Iterable[RowKey]]
    apply: Callable[[Rows, Any, Envelope], None]


class Projection:
    """Tables, and how each event changes them.

    ``revision`` is raised when a fold makes other rows of the same events: tables, columns and the events
    that are folded are noticed without it (:attr:`shape`).
    """

    def __init__(
        self,
        tables: Sequence[Table],
        folds: Mapping[type[Event], Fold],
        *,
        ignored: Iterable[type[Event]] = (),
        revision: int = 1,
    ) -> None:
        self.tables = {table.name: table for table in tables}
        self.folds = {event.TYPE: fold for event, fold in folds.items()}
        self.ignored_types = {event.TYPE for event in ignored}
        self._types = {event.TYPE: event for event in folds}
        told = [sorted(self.folds), [[t.name, t.all_columns] for t in tables], revision]
        self.shape = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()
        """What tells rows folded by this code from rows that an older one folded."""

    def event_type(self, type_name: str) -> type[Event] | None:
        """Return the class of an event that has a fold, also of an older version of it."""
        return self._types.get(upcasting.newest(type_name))

    def ignores(self, type_name: str) -> bool:
        """Return whether events of this type are left out."""
        return upcasting.newest(type_name) in self.ignored_types


async def set_back(connection: Connection, projection: Projection, consumer: str) -> int:
    """Empty the tables and let the consumer begin again, at once; returns of how many partitions."""
    async with connection.transaction():
        rows = await connection.fetch(
            """
            UPDATE consumer_offsets SET next_offset = 0, position = 0
            WHERE consumer = $1 AND next_offset > 0 RETURNING partition
            """,
            consumer,
        )
        for name in projection.tables:
            await connection.execute(f"DELETE FROM {name}")  # noqa: S608 - our own name
    return len(rows)


async def set_back_if_outdated(
    connection: Connection, projection: Projection, consumer: str
) -> bool:
    """Set the read model back if other code folded it; returns whether there was anything to fold again."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE projection_shapes IN EXCLUSIVE MODE")
        stored = await connection.fetchval(
            "SELECT shape FROM projection_shapes WHERE consumer = $1", consumer
        )
        if stored == projection.shape:
            return False
        partitions = await set_back(connection, projection, consumer)
        await connection.execute(
            """
            INSERT INTO projection_shapes (consumer, shape) VALUES ($1, $2)
            ON CONFLICT (consumer) DO UPDATE SET shape = EXCLUDED.shape
            """,
            consumer,
            projection.shape,
        )
    return partitions > 0


async def apply(
    connection: Connection, projection: Projection, events: Sequence[tuple[Event, Envelope]]
) -> None:
    """Fold a batch into the tables, inside the caller's transaction.

    Rows are locked as they are read, and new ones are plainly inserted: two processes whose partitions
    feed one row wait for each other, or one meets ``UniqueViolationError`` and takes its batch again.
    """
    wanted: dict[str, set[Key]] = {}
    for event, envelope in events:
        for table, key in projection.folds[event.TYPE].keys(event, envelope):
            wanted.setdefault(table.name, set()).add(key)
    rows = Rows()
    for name, keys in wanted.items():
        await _load(connection, projection.tables[name], keys, rows)
    for event, envelope in events:
        projection.folds[event.TYPE].apply(rows, event, envelope)
    for name, keys in rows.changed.items():
        await _store(connection, projection.tables[name], keys, rows)


async def _load(connection: Connection, table: Table, keys: set[Key], rows: Rows) -> None:
    # Sorted, so that two processes lock rows in the same order.
    found = await connection.fetch(table.select_sql, *_columns(sorted(keys), len(table.key)))
    known: dict[Key, Row | None] = dict.fromkeys(keys)
    for record in found:
        row = dict(record)
        known[tuple(row[column] for column in table.key)] = row
    rows.known.setdefault(table.name, {}).update(known)
    rows.absent[table.name] = {key for key, row in known.items() if row is None}


async def _store(connection: Connection, table: Table, keys: set[Key], rows: Rows) -> None:
    current = rows.known[table.name]
    absent = rows.absent.get(table.name, set())
    present = [key for key in sorted(keys) if current[key] is not None]
    gone = [key for key in sorted(keys) if current[key] is None]
    for sql, chosen in (
        (table.insert_sql, [key for key in present if key in absent]),
        (table.upsert_sql, [key for key in present if key not in absent]),
    ):
        if chosen:
            full = [current[key] or {} for key in chosen]
            columns = (_array(full, column, kind) for column, kind in table.all_columns.items())
            await connection.execute(sql, *columns)
    if gone:
        await connection.execute(table.delete_sql, *_columns(gone, len(table.key)))


def _array(rows: Sequence[Row], column: str, kind: str) -> list[Any]:
    if kind != "jsonb":
        return [row[column] for row in rows]
    return [None if row[column] is None else orjson.dumps(row[column]).decode() for row in rows]


def _columns(keys: Iterable[Key], width: int) -> list[list[Any]]:
    ordered = list(keys)
    return [[key[index] for key in ordered] for index in range(width)]


def fold_in_memory(
    projection: Projection, events: Iterable[tuple[Event, Envelope]]
) -> dict[str, dict[Key, Row]]:
    """Return all rows that the events lead to: what the audit compares the tables with."""
    rows = Rows()
    rows.is_complete = True
    for event, envelope in events:
        fold = projection.folds.get(event.TYPE)
        if fold is not None:
            fold.apply(rows, event, envelope)
    return {
        name: {key: row for key, row in rows.known.get(name, {}).items() if row is not None}
        for name in projection.tables
    }


def parse_event(type_name: str, data: str) -> Event:
    """Return a stored event as its newest class; raises ``KeyError`` for a type nobody knows."""
    event = upcasting.read(type_name, data)
    assert isinstance(event, Event), f"{type_name} is no event"
    return event
