"""Projects."""

from collections.abc import Iterable

from contracts.gateway import (
    ApiKeyIssued,
    ApiKeyRevoked,
    ProjectCreated,
    ProjectDeleted,
    ProjectUpdated,
)
from contracts.messages import Envelope, Event
from runtime.read_model import Fold, RowKey, Rows, Table

PROJECTS = Table("projects", {"project_id": "text"}, {"created_at": "timestamptz", "doc": "jsonb"})
TABLES = [PROJECTS]


def keys_project(event: ProjectCreated | ProjectUpdated, envelope: Envelope) -> Iterable[RowKey]:
    del envelope
    yield PROJECTS, (event.project.id,)


def apply_project(rows: Rows, event: ProjectCreated | ProjectUpdated, envelope: Envelope) -> None:
    del envelope
    doc = event.project.model_dump(mode="json", exclude_none=True)
    rows.put(PROJECTS, (event.project.id,), {"created_at": event.project.created_at, "doc": doc})


def keys_deleted(event: ProjectDeleted, envelope: Envelope) -> Iterable[RowKey]:
    del envelope
    yield PROJECTS, (event.project_id,)


def apply_deleted(rows: Rows, event: ProjectDeleted, envelope: Envelope) -> None:
    del envelope
    rows.delete(PROJECTS, event.project_id)


FOLDS: dict[type[Event], Fold] = {
    ProjectCreated: Fold(keys_project, apply_project),
    ProjectUpdated: Fold(keys_project, apply_project),
    ProjectDeleted: Fold(keys_deleted, apply_deleted),
}
IGNORED: list[type[Event]] = [ApiKeyIssued, ApiKeyRevoked]
"""Keys are in a table of their own, which only holds their hashes."""
