"""One sample of every message, with every field set, always the same.

Golden files and the AsyncAPI document are made of them. ``python -m contracts.samples`` writes the
golden files that are missing or have grown; it refuses where an old one could not be read any more,
because then logs could not be read either: such a change needs a new version of the type.
"""

import importlib
import pkgutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

import contracts
from contracts.messages import TYPES, Message

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
GOLDEN = Path(__file__).resolve().parents[2] / "tests" / "golden"


def message_types() -> dict[str, type[Message]]:
    """Return every message type of this package by its name, in order."""
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"contracts.{module.name}")
    return {
        name: message
        for name, message in sorted(TYPES.items())
        if message.__module__.startswith("contracts.")
    }


def sample(model: type[BaseModel]) -> Any:
    """Return an instance with every field set."""
    values = {
        name: _value(field.annotation, name, index)
        for index, (name, field) in enumerate(model.model_fields.items())
    }
    return model.model_validate(values)


def _value(annotation: Any, name: str, index: int) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return arguments[0]
    if origin in {Union, UnionType}:
        return _value(next(one for one in arguments if one is not NoneType), name, index)
    if origin is list:
        return [_value(arguments[0], name, index)]
    if origin is tuple:
        return tuple(_value(one, name, index) for one in arguments if one is not Ellipsis)
    if origin is dict:
        return {"key": _value(arguments[1], name, index)}
    if annotation is Any:
        return f"any {name}"
    assert isinstance(annotation, type), f"{name}: no sample for {annotation}"
    return _plain(annotation, name, index)


def _plain(annotation: type, name: str, index: int) -> Any:
    if issubclass(annotation, BaseModel):
        return sample(annotation)
    if issubclass(annotation, tuple):
        hints = annotation.__annotations__
        return annotation(*(_value(hints[one], one, index) for one in hints))
    if issubclass(annotation, bool):
        return True
    if issubclass(annotation, datetime):
        return MOMENT
    if issubclass(annotation, int):
        return 100 + index
    if issubclass(annotation, float):
        return 0.5 + index
    assert issubclass(annotation, str), f"{name}: no sample for {annotation}"
    return f"the {name}"


def write_golden(directory: Path) -> list[str]:
    """Write the golden files that differ from the samples; returns their types.

    Raises ``ValueError`` if an old file cannot be read by the new type.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, message in message_types().items():
        path = directory / f"{name}.json"
        data = sample(message).to_json() + b"\n"
        old = path.read_bytes() if path.exists() else data
        try:
            message.from_json(old)
        except ValidationError as error:
            reason = f"{name}: logged messages could not be read any more; make a new version"
            raise ValueError(reason) from error
        if not path.exists() or old != data:
            path.write_bytes(data)
            written.append(name)
    return written


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in write_golden(GOLDEN))
