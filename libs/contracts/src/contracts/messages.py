"""The envelope: what every message carries besides its body, and how it is written to Kafka.

CloudEvents 1.0, Kafka protocol binding, binary mode: attributes are headers with the prefix ``ce_``,
the body is the record's value.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict

from contracts.errors import ErrorBody, JsonObject

ATTRIBUTE_LENGTH_MAX = 1_000
"""Characters of one attribute in a record's headers: what an index of Postgres can hold."""
NOT_TOLD = -1
"""The previous position of an event whose relay did not say."""
POSITIONS_LENGTH_MAX = 100_000
"""Characters of the list of positions that a request waits for."""

TYPES: dict[str, type["Message"]] = {}
"""Every message type by its versioned name; filled as the modules are imported."""


class Message(BaseModel):
    """A command, request, event or reply. ``TYPE`` carries the version in its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str] = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.TYPE:
            assert TYPES.get(cls.TYPE, cls).__qualname__ == cls.__qualname__, f"{cls.TYPE} twice"
            TYPES[cls.TYPE] = cls

    def to_json(self) -> bytes:
        """Return the body as it is stored and published. Values that are None are left out."""
        return self.model_dump_json(exclude_none=True).encode()

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """Read a body; raises ``pydantic.ValidationError``."""
        return cls.model_validate_json(data)


class Command(Message):
    """Asks the owning service to change something; answered by a :class:`Reply`."""


class Request(Message):
    """Asks for a computation that changes nothing; answered by a :class:`Reply`."""


class Event(Message):
    """Says what has happened; immutable, in its owner's log."""


class Position(NamedTuple):
    """A place in a service's log: the events of ``partition`` up to ``position`` are included."""

    service: str
    partition: int
    position: int


class Reply(Message):
    """The answer to a command or request."""

    TYPE: ClassVar[str] = "reply.v1"

    status: int = 200
    body: JsonObject | None = None
    error: ErrorBody | None = None
    retry_after_s: int | None = None
    """Set when nothing was decided and the same request may be repeated (503)."""
    replayed: bool = False
    """The stored reply of an earlier request with the same idempotency key."""
    positions: list[Position] = []


class Envelope(NamedTuple):
    """The attributes of one message. ``stream`` … ``position`` are set on events only."""

    id: str
    type: str
    source: str
    time: datetime
    project_id: str
    subject: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    stream: str = ""
    stream_version: int = 0
    position: int = 0
    previous_position: int = NOT_TOLD
    """Of the event before this one in its partition of the topic; 0 before the first."""
    reply_to: str = ""
    reply_partition: int = 0
    idempotency_key: str = ""
    fingerprint: str = ""
    after: tuple[Position, ...] = ()

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Return the Kafka headers of this envelope; empty attributes are left out."""
        headers = [
            ("ce_specversion", b"1.0"),
            ("content-type", b"application/json"),
            ("ce_id", self.id.encode()),
            ("ce_type", self.type.encode()),
            ("ce_source", self.source.encode()),
            ("ce_time", self.time.isoformat().encode()),
            ("ce_project", self.project_id.encode()),
        ]
        for name, text in (
            ("ce_subject", self.subject),
            ("ce_correlationid", self.correlation_id),
            ("ce_causationid", self.causation_id),
            ("ce_stream", self.stream),
            ("ce_idempotencykey", self.idempotency_key),
            ("ce_fingerprint", self.fingerprint),
            ("ce_after", format_positions(self.after)),
        ):
            if text:
                headers.append((name, text.encode()))
        if self.stream:
            headers.append(("ce_streamversion", str(self.stream_version).encode()))
            headers.append(("ce_position", str(self.position).encode()))
        if self.previous_position != NOT_TOLD:
            headers.append(("ce_previousposition", str(self.previous_position).encode()))
        if self.reply_to:
            headers.append(("ce_replyto", self.reply_to.encode()))
            headers.append(("ce_replypartition", str(self.reply_partition).encode()))
        return headers

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes]]) -> "Envelope":
        """Read the headers of a record; raises ``ValueError`` that names what is wrong."""
        values = {name: value.decode() for name, value in headers if name.startswith("ce_")}
        for name, value in values.items():
            length_max = ATTRIBUTE_LENGTH_MAX if name != "ce_after" else POSITIONS_LENGTH_MAX
            if "\x00" in value or len(value) > length_max:
                message = f"header {name} has a NUL, or more than {length_max} characters"
                raise ValueError(message)
        for name in ("ce_id", "ce_type", "ce_project"):
            if not values.get(name):
                message = f"header {name} is missing"
                raise ValueError(message)
        return cls(
            id=values["ce_id"],
            type=values["ce_type"],
            source=values.get("ce_source", ""),
            time=_time(values.get("ce_time")),
            project_id=values["ce_project"],
            subject=values.get("ce_subject", ""),
            correlation_id=values.get("ce_correlationid", ""),
            causation_id=values.get("ce_causationid", ""),
            stream=values.get("ce_stream", ""),
            stream_version=_number(values, "ce_streamversion", 2**31),
            position=_number(values, "ce_position", 2**63),
            previous_position=(
                _number(values, "ce_previousposition", 2**63)
                if "ce_previousposition" in values
                else NOT_TOLD
            ),
            reply_to=values.get("ce_replyto", ""),
            reply_partition=_number(values, "ce_replypartition", 2**31),
            idempotency_key=values.get("ce_idempotencykey", ""),
            fingerprint=values.get("ce_fingerprint", ""),
            after=parse_positions(values.get("ce_after", "")),
        )


def _number(values: Mapping[str, str], name: str, end: int) -> int:
    """Return a number that its column can hold."""
    text = values.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < end):  # noqa: PLR2004
        message = f"header {name} is no number from 0 to {end - 1}"
        raise ValueError(message)
    return int(text)


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.fromtimestamp(0, UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def format_positions(positions: Sequence[Position]) -> str:
    """Return positions as the text of a header: ``ledger/3/812,customers/0/17``."""
    return ",".join(f"{p.service}/{p.partition}/{p.position}" for p in positions)


def parse_positions(text: str) -> tuple[Position, ...]:
    """Read :func:`format_positions`; raises ``ValueError`` on anything else."""
    parts = [item.split("/") for item in text.split(",") if item]
    if any(len(part) != len(Position._fields) for part in parts):
        message = "positions are written service/partition/position"
        raise ValueError(message)
    return tuple(Position(service, int(part), int(at)) for service, part, at in parts)
