"""Which projects there are, for services that take what upstream systems send in a project's name.

A replica of the gateway's log. It is not for requests of the API: there the key says whose they are.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from contracts import topics
from contracts.gateway import (
    ApiKeyIssued,
    ApiKeyRevoked,
    ProjectCreated,
    ProjectDeleted,
    ProjectUpdated,
)
from contracts.messages import Envelope
from runtime import limits
from runtime.consumer import ProjectionConsumer
from runtime.database import Connection
from runtime.read_model import Fold, Projection, RowKey, Rows, Table

PROJECTS = Table(
    "known_projects", key={"project_id": "text"}, columns={"deleted_at": "timestamptz"}
)


class ProjectUnheardOf(OSError):
    """Nobody told of the project yet; what names it is taken again in a moment, as if the base were away.

    No ``TimeoutError``: that says that a connection is dead, which is then cut.
    """


def _keys(event: Any, meta: Envelope) -> Iterable[RowKey]:
    # A project's events stand in its own name.
    del event
    yield PROJECTS, (meta.project_id,)


def _apply(rows: Rows, event: Any, meta: Envelope) -> None:
    deleted_at = event.deleted_at if isinstance(event, ProjectDeleted) else event.project.deleted_at
    rows.put(PROJECTS, (meta.project_id,), {"deleted_at": deleted_at})


PROJECTION = Projection(
    tables=[PROJECTS],
    folds={
        ProjectCreated: Fold(_keys, _apply),
        ProjectUpdated: Fold(_keys, _apply),
        ProjectDeleted: Fold(_keys, _apply),
    },
    ignored=[ApiKeyIssued, ApiKeyRevoked],
)


class Projects(ProjectionConsumer):
    """Keeps table ``known_projects`` of the service's schema, and judges by it who may send."""

    def __init__(self) -> None:
        super().__init__(PROJECTION, [topics.events("gateway")], name="projects")
        self._unheard_of: dict[str, float] = {}

    async def refusals(
        self, connection: Connection, project_ids: Iterable[str]
    ) -> Mapping[str, str]:
        """Return why those projects may send nothing that may not; the others may.

        A project that this service has not heard of may be so new that its event is on its way: for a
        while, and as long as the replica is behind, the batch is taken again (``ProjectUnheardOf``).
        """
        wanted = sorted(set(project_ids))
        known = await _deletions(connection, wanted) if wanted else {}
        unknown = [one for one in wanted if one not in known]
        if unknown:
            await self._wait_for(connection, unknown)
        deleted = {
            project_id: f"project_id: project {project_id} was deleted"
            for project_id, deleted_at in known.items()
            if deleted_at is not None
        }
        return deleted | {one: f"project_id: there is no project {one}" for one in unknown}

    async def _wait_for(self, connection: Connection, unknown: Iterable[str]) -> None:
        now = time.monotonic()
        patience_s = self.host.settings.unknown_project_wait_s
        if len(self._unheard_of) > limits.UNKNOWN_PROJECTS_REMEMBERED_MAX:
            self._unheard_of.clear()
        seen = [self._unheard_of.setdefault(one, now) for one in unknown]
        if now - max(seen) < patience_s or not await self._has_heard_all(connection):
            raise ProjectUnheardOf(f"nothing is known of project {', '.join(unknown)}")

    async def _has_heard_all(self, connection: Connection) -> bool:
        """Whether the table shows what the gateway's topic holds now."""
        if not self.is_subscribed:
            return True
        ends = await self.topic_ends()
        stored = await self.stored_offsets(connection)
        return all(stored.get(place, 0) >= end for place, end in ends.items())


async def _deletions(
    connection: Connection, project_ids: list[str]
) -> Mapping[str, datetime | None]:
    rows = await connection.fetch(
        "SELECT project_id, deleted_at FROM known_projects WHERE project_id = ANY($1)", project_ids
    )
    return {row["project_id"]: row["deleted_at"] for row in rows}
