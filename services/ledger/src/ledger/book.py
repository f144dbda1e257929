"""What a batch of commands sees and changes: read and locked before, written after them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.ledger import (
    AdjustBalance,
    HoldPlaced,
    HoldReleased,
    PlaceHold,
    Posting,
    Redeem,
    ReleaseHold,
    RollBack,
)
from contracts.messages import Envelope
from ledger import queries
from ledger.domain.accounts import Account
from ledger.domain.rollback import Redemption
from ledger.queries import Hold, Key
from runtime.database import Connection
from runtime.event_store import StoredEvent
from runtime.unit import Unit


@dataclass
class Batch:
    """Accounts, redemptions and holds of the batch's projects. Later commands see earlier ones."""

    accounts: dict[str, dict[str, Account]] = field(default_factory=dict)
    redemptions: dict[Key, Redemption] = field(default_factory=dict)
    holds: dict[Key, Hold] = field(default_factory=dict)
    children: list[tuple[str, str, str]] = field(default_factory=list)
    changed_accounts: set[Key] = field(default_factory=set)
    changed_holds: set[Key] = field(default_factory=set)

    def of(self, project_id: str) -> dict[str, Account]:
        """Return the project's accounts."""
        return self.accounts.setdefault(project_id, {})

    def change(self, project_id: str, changed: Mapping[str, Account]) -> None:
        """Take over what a decision changed."""
        self.of(project_id).update(changed)
        self.changed_accounts.update((project_id, name) for name in changed)

    def held(self, project_id: str, session_key: str | None) -> list[Posting]:
        """Return what the session holds."""
        hold = self.holds.get((project_id, session_key)) if session_key else None
        return hold.postings if hold else []

    def stage_hold(self, unit: Unit, event: HoldPlaced | HoldReleased) -> StoredEvent:
        """Stage the event, and keep what the session holds from now on."""
        key = (unit.project_id, event.session_key)
        before = self.holds.get(key) or Hold([])
        staged = unit.publish_event(
            f"hold-{event.session_key}",
            event,
            version=before.version + 1,
            previous_hash=before.hash,
        )
        is_placed = isinstance(event, HoldPlaced)
        postings = event.held if isinstance(event, HoldPlaced) else event.remaining
        expires_at = event.expires_at if isinstance(event, HoldPlaced) else before.expires_at
        self.holds[key] = Hold(
            list(postings),
            expires_at if is_placed or postings else None,
            staged.stream_version,
            staged.hash,
        )
        self.changed_holds.add(key)
        return staged


async def prepare(connection: Connection, messages: Sequence[tuple[Envelope, Any]]) -> Batch:
    """Read what the commands name: one query per table."""
    batch = Batch()
    redemptions: set[Key] = set()
    sessions: set[Key] = set()
    accounts: set[Key] = set()
    for envelope, command in messages:
        project_id = envelope.project_id
        if isinstance(command, Redeem):
            session_key = (command.plan.stack.session or {}).get("key")
            if isinstance(session_key, str):
                sessions.add((project_id, session_key))
            for planned in command.plan.redemptions:
                accounts.update((project_id, posting.account) for posting in planned.postings)
        elif isinstance(command, RollBack):
            redemptions.add((project_id, command.redemption_id))
        elif isinstance(command, AdjustBalance):
            accounts.add((project_id, command.account))
        elif isinstance(command, PlaceHold | ReleaseHold):
            sessions.add((project_id, command.session_key))
            if isinstance(command, PlaceHold):
                accounts.update((project_id, posting.account) for posting in command.postings)
    batch.redemptions = await queries.read_redemptions(connection, redemptions)
    accounts.update(_accounts_of(batch.redemptions))
    batch.holds = await queries.lock_holds(connection, sessions)
    for (project_id, _), hold in batch.holds.items():
        accounts.update((project_id, posting.account) for posting in hold.postings)
    await read_accounts(connection, batch, accounts)
    # Two rollbacks of one redemption meet at its accounts: what is read after locking these is final.
    for key in await queries.read_rolled_back(connection, redemptions):
        batch.redemptions[key] = batch.redemptions[key]._replace(is_rolled_back=True)
    return batch


async def read_accounts(connection: Connection, batch: Batch, keys: set[Key]) -> None:
    """Add accounts to the batch, locked."""
    for (project_id, name), account in (await queries.lock_accounts(connection, keys)).items():
        batch.of(project_id)[name] = account


def _accounts_of(redemptions: Mapping[Key, Redemption]) -> Iterable[Key]:
    for (project_id, _), redemption in redemptions.items():
        if redemption.event is not None:
            for item in redemption.event.items:
                yield from ((project_id, posted.account) for posted in item.posted)


async def flush(connection: Connection, batch: Batch) -> None:
    """Write back what the commands changed."""
    changed = [
        (project_id, batch.accounts[project_id][name])
        for project_id, name in batch.changed_accounts
    ]
    await queries.store_accounts(connection, changed)
    await queries.store_children(connection, batch.children)
    await queries.store_holds(
        connection, [(key, batch.holds[key]) for key in sorted(batch.changed_holds)]
    )
