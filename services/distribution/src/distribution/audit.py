"""What must hold besides "every state is the fold of its stream" (runtime's audit)."""

from collections import Counter

from contracts.distribution import (
    MessageFailed,
    MessageQueued,
    MessageSent,
    PublicationSucceeded,
)
from distribution import limits, queries
from runtime.audit import all_events
from runtime.database import Connection

ENDS = {"sent": MessageSent.TYPE, "failed": MessageFailed.TYPE, "unknown": MessageFailed.TYPE}


async def audit(connection: Connection) -> list[str]:
    """Return what is wrong: codes given twice, free codes, messages."""
    found = [
        f"project {project_id}: free_codes is wrong about {code}"
        for project_id, code in await queries.wrong_free_codes(
            connection, limits.AUDIT_FINDINGS_MAX
        )
    ]
    log = await all_events(connection, ["distribution"])
    published: Counter[tuple[str, str]] = Counter()
    owners: dict[tuple[str, str], str] = {}
    messages: dict[tuple[str, str], list[str]] = {}
    for event, envelope in log:
        project_id = envelope.project_id
        if isinstance(event, PublicationSucceeded):
            for voucher in event.publication.vouchers:
                key = (project_id, voucher["code"])
                published[key] += 1
                owners[key] = event.publication.id
        elif isinstance(event, MessageQueued | MessageSent | MessageFailed):
            messages.setdefault((project_id, event.message_id), []).append(event.TYPE)
    found += _codes(published, owners, await queries.assignments(connection))
    found += _messages(messages, await queries.message_statuses(connection))
    return found[: limits.AUDIT_FINDINGS_MAX]


def _codes(
    published: Counter[tuple[str, str]],
    owners: dict[tuple[str, str], str],
    assigned: list[tuple[str, str, str]],
) -> list[str]:
    found = []
    for project_id, code, publication_id in assigned:
        count = published[project_id, code]
        if count != 1:
            found.append(f"project {project_id}: unique code {code} was published {count} times")
        elif owners[project_id, code] != publication_id:
            found.append(
                f"project {project_id}: {code} is of {publication_id},"
                f" the log says {owners[project_id, code]}"
            )
    return found


def _messages(
    logged: dict[tuple[str, str], list[str]], rows: dict[tuple[str, str], str]
) -> list[str]:
    found = []
    for (project_id, message_id), types in logged.items():
        where = f"project {project_id}: message {message_id}"
        if types[0] != MessageQueued.TYPE or len(types) > 2:  # noqa: PLR2004 - queued, ended
            found.append(f"{where} has the events {types}")
        status = rows.get((project_id, message_id))
        ended = types[1] if len(types) > 1 else None
        if ended is None and status not in {"queued", "sending"}:
            found.append(f"{where} has no end and is {status}")
        if ended is not None and status is not None and ENDS.get(status) != ended:
            found.append(f"{where} is {status}, the log says {ended}")
    found += [
        f"project {project_id}: message {message_id} is in no log"
        for project_id, message_id in rows.keys() - logged.keys()
    ]
    return found
