"""What a batch of commands sees and changes: read and locked before, written after them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts.customers import Order
from contracts.errors import JsonObject
from contracts.ledger import (
    AdjustBalance,
    HoldPlaced,
    HoldReleased,
    PlaceHold,
    Plan,
    Posting,
    Redeem,
    ReleaseHold,
    RollBack,
)
from contracts.messages import Envelope
from ledger import queries
from ledger.domain.accounts import Account, order_account
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
    orders: dict[Key, JsonObject] = field(default_factory=dict)
    """What the last fact of an order made of it; only of those that plans in the batch are behind."""
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

    def keep_order(self, project_id: str, order: JsonObject | None) -> None:
        """Keep what a redemption or rollback made of its order, for later commands of the batch."""
        if order is not None and order.get("id"):
            self.orders[project_id, order["id"]] = order

    def order(self, project_id: str, order_id: str) -> tuple[int, JsonObject | None]:
        """Return how many facts the order has, and what the last one made of it."""
        account = self.of(project_id).get(order_account(order_id))
        return (account.used if account else 0), self.orders.get((project_id, order_id))

    def held(self, project_id: str, session_key: str | None) -> list[Posting]:
        """Return what the session holds."""
        hold = self.holds.get((project_id, session_key)) if session_key else None
        return hold.postings if hold else []

    def sessions_of_order(self, project_id: str, order: Order) -> list[str]:
        """Return the sessions that still hold something for the order, if it was canceled."""
        if order.status != "CANCELED":
            return []
        return [
            session_key
            for (owner, session_key), hold in self.holds.items()
            if owner == project_id and hold.order_id == order.id and hold.postings
        ]

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
        if isinstance(event, HoldPlaced):
            now_held = Hold(event.held, event.expires_at, event.order_id)
        elif event.remaining:
            now_held = before._replace(postings=event.remaining)
        else:
            now_held = Hold([])
        self.holds[key] = now_held._replace(version=staged.stream_version, hash=staged.hash)
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
            accounts.update((project_id, name) for name in _accounts_of_plan(command.plan))
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
    # Without this a session's first hold could be placed between the two reads below, and its owner be
    # refused because of what it holds itself.
    await queries.lock_session_names(connection, sessions)
    accounts.update(await lock_sessions(connection, batch, sessions))
    await read_accounts(connection, batch, accounts)
    await _read_orders(connection, batch, messages)
    # Two rollbacks of one redemption meet at its accounts: what is read after locking these is final.
    for key in await queries.read_rolled_back(connection, redemptions):
        batch.redemptions[key] = batch.redemptions[key]._replace(is_rolled_back=True)
    return batch


async def prepare_canceled(
    connection: Connection, messages: Sequence[tuple[Envelope, Any]]
) -> Batch:
    """Read the sessions of the orders that were canceled: most batches have none."""
    batch = Batch()
    canceled = {
        (envelope.project_id, event.order.id)
        for envelope, event in messages
        if event.order.status == "CANCELED"
    }
    sessions = await queries.sessions_of_orders(connection, canceled)
    await read_accounts(connection, batch, await lock_sessions(connection, batch, sessions))
    return batch


async def lock_sessions(connection: Connection, batch: Batch, keys: set[Key]) -> set[Key]:
    """Add sessions to the batch, locked; returns the accounts that they hold of."""
    batch.holds = await queries.lock_holds(connection, keys)
    return {
        (project_id, posting.account)
        for (project_id, _), hold in batch.holds.items()
        for posting in hold.postings
    }


async def read_accounts(connection: Connection, batch: Batch, keys: set[Key]) -> None:
    """Add accounts to the batch, locked."""
    for (project_id, name), account in (await queries.lock_accounts(connection, keys)).items():
        batch.of(project_id)[name] = account


async def _read_orders(
    connection: Connection, batch: Batch, messages: Sequence[tuple[Envelope, Any]]
) -> None:
    """Read the orders that plans are behind: they go back to the engine with what is so now."""
    behind: dict[Key, str] = {}
    for envelope, command in messages:
        if isinstance(command, Redeem) and command.plan.order is not None:
            order_id = command.plan.order["id"]
            account = batch.of(envelope.project_id).get(order_account(order_id))
            is_known = account is not None and account.used != command.plan.order_version
            if is_known and account is not None and account.last_fact is not None:
                behind[envelope.project_id, order_id] = account.last_fact
    batch.orders = await queries.read_orders(connection, behind)


def _accounts_of_plan(plan: Plan) -> Iterable[str]:
    for planned in plan.redemptions:
        for posting in planned.postings:
            yield posting.account
    if plan.order is not None and plan.order_version is not None:
        yield order_account(plan.order["id"])


def _accounts_of(redemptions: Mapping[Key, Redemption]) -> Iterable[Key]:
    for (project_id, _), redemption in redemptions.items():
        if redemption.event is not None:
            if redemption.event.order is not None and redemption.event.order.get("id"):
                yield project_id, order_account(redemption.event.order["id"])
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
