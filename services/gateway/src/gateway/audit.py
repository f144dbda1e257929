"""What must hold between the gateway's log and its table of keys. Read-only; see ``tools/audit.py``."""

from gateway import queries
from gateway.projects import ALL_PROJECTS
from runtime.database import Connection


async def audit(connection: Connection) -> list[str]:
    """Return a sentence for every key that is not what the log tells of it."""
    told = {row["key_id"]: _told(dict(row)) for row in await queries.keys_told(connection)}
    kept = {row["key_id"]: dict(row) for row in await queries.keys_kept(connection)}
    return [
        f"gateway.api_keys {key_id}: is {kept.get(key_id)}, the log says {told.get(key_id)}"
        for key_id in sorted(told.keys() | kept.keys())
        if told.get(key_id) != kept.get(key_id)
    ]


def _told(row: dict[str, object]) -> dict[str, object]:
    is_of_no_project = row["project_id"] == ALL_PROJECTS
    return row | {"project_id": ""} if is_of_no_project else row
