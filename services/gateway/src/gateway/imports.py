"""Imported CSV files: the header names properties, each line is a thing; other columns are metadata."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from contracts.bulk import BulkElement
from contracts.errors import InvalidPayload, JsonObject
from contracts.limits import METADATA_KEY_LENGTH_MAX
from gateway import limits

Cell = Callable[[str], Any]
"""Reads a cell that is not empty. What it cannot read it returns as text, which the owner refuses by name."""
WHOLE = re.compile(r"-?[0-9]{1,18}")


def text(cell: str) -> str:
    """Return the cell."""
    return cell


def number(cell: str) -> Any:
    """Return a whole number: minor units, as in bodies of JSON."""
    return int(cell) if WHOLE.fullmatch(cell.strip()) else cell


def words(cell: str) -> list[str]:
    """Return words that commas separate."""
    return [word for word in (one.strip() for one in cell.split(",")) if word]


def pairs(cell: str) -> Any:
    """Return an object: JSON, or ``name:value`` separated by commas."""
    if cell.lstrip().startswith("{"):
        try:
            return json.loads(cell)
        except (ValueError, RecursionError):
            return cell
    found = [one.partition(":") for one in cell.split(",")]
    if any(not separator for _, separator, _ in found):
        return cell
    return {name.strip(): value.strip() for name, _, value in found}


class Column(NamedTuple):
    """The property that a column fills; one with a dot is inside an object."""

    prop: str
    read: Cell = text


Columns = Mapping[str, Column]


def read_csv(file: str, columns: Columns, required: str) -> list[BulkElement]:
    """Return the file's lines; raises ``InvalidPayload`` naming the line that is no CSV.

    ``columns`` by their names in lower case; blank lines are left out, and empty cells not sent.
    """
    reader = csv.reader(io.StringIO(file, newline=""), strict=True)
    elements: list[BulkElement] = []
    try:
        header = _header(next(reader, []), columns, required)
        for cells in reader:
            if not any(cells):
                continue
            if len(cells) != len(header):
                raise _wrong(reader.line_num, f"has {len(cells)} cells, the header {len(header)}")
            if len(elements) == limits.IMPORT_ROWS_MAX:
                raise _wrong(reader.line_num, f"is one too many after {limits.IMPORT_ROWS_MAX}")
            elements.append(BulkElement(row=reader.line_num, body=_body(header, cells)))
    except csv.Error as error:
        raise _wrong(reader.line_num, f"is no CSV: {error}") from None
    if not elements:
        raise InvalidPayload("file: must have a line after the header", prop="file")
    return elements


def _header(names: list[str], columns: Columns, required: str) -> list[Column]:
    if len(names) > limits.IMPORT_COLUMNS_MAX:
        raise _wrong(1, f"has more than {limits.IMPORT_COLUMNS_MAX} columns")
    header = [_column(name.strip(), columns) for name in names]
    props = [column.prop for column in header]
    twice = next((prop for prop in props if props.count(prop) > 1), None)
    if twice is not None:
        raise _wrong(1, f"names {twice} twice")
    if required not in props:
        raise _wrong(1, f"must name {required}")
    return header


def _column(name: str, columns: Columns) -> Column:
    if not name or len(name) > METADATA_KEY_LENGTH_MAX:
        raise _wrong(
            1, f"has a column whose name is empty or longer than {METADATA_KEY_LENGTH_MAX}"
        )
    known = columns.get(name.lower().replace(" ", "_"))
    return known or Column(f"metadata.{name}")


def _body(header: list[Column], cells: list[str]) -> JsonObject:
    body: JsonObject = {}
    for column, cell in zip(header, cells, strict=True):
        if cell == "":
            continue
        outer, dot, inner = column.prop.partition(".")
        if dot:
            body.setdefault(outer, {})[inner] = column.read(cell)
        else:
            body[outer] = column.read(cell)
    return body


def _wrong(line: int, reason: str) -> InvalidPayload:
    return InvalidPayload(f"file: line {line} {reason}", prop="file")
