"""Gathers for a batch of requests everything that the pure core needs: no other place does I/O."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from contracts import ids, payload
from contracts.engine import PlanRedemption, Qualify, StackRequest, ValidateStack
from contracts.errors import DomainError, InvalidPayload, JsonObject, Unavailable
from contracts.messages import Envelope
from contracts.stacking import DEFAULT_STACKING_RULES
from engine import limits, queries
from engine.definitions import Definitions
from engine.domain import counters
from engine.domain.customer import (
    KnownCustomer,
    Named,
    named,
    overlay,
    refuse_source_id_change,
)
from engine.domain.definition import Code, account_of_credits, account_of_uses
from engine.domain.effects.unit import product_references
from engine.domain.facts import Published
from engine.domain.limit_rules import Subject
from engine.domain.order import item_references
from engine.domain.recipe import recipe_of
from engine.domain.snapshot import Account, Accounts, PromotionStack, Snapshot
from engine.queries import Key
from runtime.database import Connection

Question = ValidateStack | PlanRedemption | Qualify
Asked = tuple[Envelope, Question]
Gathered = Snapshot | DomainError | Unavailable
"""What a request needs, or why it cannot be answered."""


class _Wanted:
    """One request while its facts are gathered."""

    def __init__(self, envelope: Envelope, request: Question) -> None:
        self.project_id = envelope.project_id
        self.request = request
        self.stack: StackRequest = request.stack
        self.voucher_ids = dict(_voucher_ids(self.project_id, self.stack))
        self.who: Named | None = None
        self.order_id: str | None = None
        self.codes: dict[str, Code] = {}
        self.tier_ids = set(_ids_of("promotion_tier", self.stack))
        self.stack_ids = set(_ids_of("promotion_stack", self.stack))
        self.tiers: dict[str, Code] = {}
        self.stacks: dict[str, PromotionStack] = {}
        self.customer: KnownCustomer | None = None
        self.accounts: list[str] = []
        self.session: Key | None = _session_of(envelope.project_id, request.stack)
        self.problem: DomainError | Unavailable | None = None

    @property
    def redeemables(self) -> list[Code]:
        """Everything that the request names and that is there."""
        return [*self.codes.values(), *self.tiers.values()]

    @property
    def available(self) -> dict[str, int]:
        return {} if isinstance(self.request, Qualify) else self.request.available

    @property
    def order_version(self) -> int:
        """The facts of the order that the ledger told of when it handed the plan back."""
        return self.request.order_version if isinstance(self.request, PlanRedemption) else 0


def _session_of(project_id: str, stack: StackRequest) -> Key | None:
    key = (stack.session or {}).get("key")
    return (project_id, key) if isinstance(key, str) else None


def _voucher_ids(project_id: str, stack: StackRequest) -> Iterable[tuple[str, str]]:
    """Yield the name that the request uses and the id of the code; the id may be named itself."""
    for redeemable in stack.redeemables[: limits.ITEMS_MAX]:
        name = redeemable.get("id")
        if isinstance(name, str) and redeemable.get("object", "voucher") == "voucher":
            yield name, ids.voucher_id(project_id, name)


def _ids_of(kind: str, stack: StackRequest) -> Iterable[str]:
    """Yield the ids of the redeemables of a kind."""
    for redeemable in stack.redeemables[: limits.ITEMS_MAX]:
        name = redeemable.get("id")
        if isinstance(name, str) and redeemable.get("object") == kind:
            yield name


def order_id_of(project_id: str, order: JsonObject | None) -> str | None:
    """Return the id of the order that a request names; a name without the prefix is a source id."""
    for name in ("id", "source_id"):
        value = (order or {}).get(name)
        if isinstance(value, str) and value:
            is_id = name == "id" and value.startswith("ord_")
            return value if is_id else ids.order_id(project_id, value)
    return None


async def gather(
    connection: Connection, definitions: Definitions, asked: Sequence[Asked], drawn: Sequence[str]
) -> list[Gathered]:
    """Return one snapshot per request; ``drawn`` are ids for customers without a name."""
    wanted = [_Wanted(envelope, request) for envelope, request in asked]
    for one in wanted:
        _name(one)
    readable = [one for one in wanted if one.problem is None]
    names = _names(readable)
    found = await queries.known(connection, names)
    tiers = await _tiers(connection, readable)
    rows = {**found.vouchers, **tiers}
    await definitions.prepare(connection, rows.values())
    for one, customer_id in zip(wanted, drawn, strict=True):
        _know(one, rows, found, definitions, customer_id)
    free = {key for one in wanted for key in _free_products(one) if key not in found.catalogue}
    if free:
        found.catalogue.update(await queries.catalogue(connection, free))
    segment_keys = {
        (one.project_id, segment_id)
        for one in wanted
        for code in one.redeemables
        for rule in code.rules
        for segment_id in rule.segment_ids
    }
    segments = await definitions.segments(connection, segment_keys)
    collections = await definitions.collections(
        connection,
        {
            (one.project_id, collection_id)
            for one in wanted
            for code in one.redeemables
            for collection_id in collection_ids_of(code)
        },
    )
    holder_keys = {key for one in wanted for key in _holder_keys(one)}
    held = await queries.holders(connection, holder_keys) if holder_keys else set()
    asking = {
        key
        for one in wanted
        for key in publication_keys(one.project_id, one.customer, one.redeemables)
    }
    publications = await queries.publications(connection, asking) if asking else {}
    account_keys = {(one.project_id, account) for one in wanted for account in one.accounts}
    account_keys -= names.accounts
    if account_keys:
        found.accounts.update(await queries.accounts(connection, account_keys))
    category_keys = _category_keys(wanted)
    categories = await queries.categories(connection, category_keys) if category_keys else {}
    sessions = {one.session for one in wanted if one.session is not None}
    holds = await queries.holds(connection, sessions) if sessions else {}
    facts = _Facts(found, segments, collections, held, categories, holds, publications)
    return [_snapshot(one, facts) for one in wanted]


async def _tiers(connection: Connection, wanted: Sequence[_Wanted]) -> dict[Key, Any]:
    """Return the rows of the tiers that requests name, or their promotion stacks; usually none."""
    stack_keys = {(one.project_id, stack_id) for one in wanted for stack_id in one.stack_ids}
    stacks = await queries.stacks(connection, stack_keys) if stack_keys else {}
    for one in wanted:
        for stack_id in one.stack_ids:
            row = stacks.get((one.project_id, stack_id))
            if row is not None:
                stack = PromotionStack(
                    row["id"], row["name"], row["campaign_id"], tuple(row["tier_ids"])
                )
                one.stacks[stack_id] = stack
                one.tier_ids.update(stack.tier_ids)
    keys = {(one.project_id, tier_id) for one in wanted for tier_id in one.tier_ids}
    return await queries.tiers(connection, keys) if keys else {}


def _category_keys(wanted: Sequence[_Wanted]) -> set[Key]:
    return {
        (one.project_id, category_id)
        for one in wanted
        for code in one.redeemables
        if (category_id := code.definition.category_id) is not None
    }


def _name(one: _Wanted) -> None:
    try:
        _refuse_unreadable(one.stack)
        one.who = named(one.project_id, one.stack.customer)
    except DomainError as error:
        one.problem = error
    one.order_id = order_id_of(one.project_id, one.stack.order)


def _refuse_unreadable(stack: StackRequest) -> None:
    """Refuse what could not be kept, or whose answer no message could carry."""
    text = stack.model_dump_json()
    if "\\u0000" in text:
        _refuse_nul(stack)
    items = (stack.order or {}).get("items")
    lines = len(items) if isinstance(items, list) else 0
    has_stack = any(one.get("object") == "promotion_stack" for one in stack.redeemables)
    steps = limits.TIERS_PER_STACK_MAX if has_stack else len(stack.redeemables)
    size = (len(text) + lines * limits.LINE_BYTES) * (steps + 2)
    if size > limits.ANSWER_BYTES_MAX:
        raise payload.refuse("redeemables", "must be fewer with an order of this size")


def _refuse_nul(stack: StackRequest) -> None:
    """Postgres can neither look up nor keep a NUL, wherever in the request it stands."""
    todo: list[Any] = [stack.model_dump()]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo.extend(value)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
        elif isinstance(value, str) and "\x00" in value:
            raise InvalidPayload("The body must not contain the character NUL")


def _names(wanted: Sequence[_Wanted]) -> queries.Wanted:
    """Return what the requests name, and the accounts that every code has."""
    vouchers = {
        (one.project_id, voucher_id)
        for one in wanted
        for name, derived in one.voucher_ids.items()
        for voucher_id in ((derived, name) if name.startswith("v_") else (derived,))
    }
    return queries.Wanted(
        vouchers=vouchers,
        accounts={
            (project_id, account)
            for project_id, voucher_id in vouchers
            for account in (account_of_uses(voucher_id), account_of_credits(voucher_id))
        },
        projects={one.project_id for one in wanted},
        customers={
            (one.project_id, one.who.id) for one in wanted if one.who is not None and one.who.id
        },
        tracking_ids={
            (one.project_id, one.stack.tracking_id)
            for one in wanted
            if one.who is None and one.stack.tracking_id
        },
        catalogue={(one.project_id, object_id) for one in wanted for object_id in _references(one)},
        orders={(one.project_id, one.order_id) for one in wanted if one.order_id},
    )


def _references(one: _Wanted) -> Iterable[str]:
    items = (one.stack.order or {}).get("items")
    for item in items[: limits.ITEMS_MAX] if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield from (found for found in item_references(one.project_id, item) if found)


def _know(
    one: _Wanted,
    vouchers: dict[Key, Any],
    facts: queries.Found,
    definitions: Definitions,
    drawn_id: str,
) -> None:
    """Put codes and customer together, and name the accounts that they touch."""
    if one.problem is not None:
        return
    try:
        for name, derived in one.voucher_ids.items():
            row = vouchers.get((one.project_id, derived))
            row = row or vouchers.get((one.project_id, name))
            if row is not None:
                one.codes[name] = definitions.code(row)
        for tier_id in one.tier_ids:
            row = vouchers.get((one.project_id, tier_id))
            if row is not None:
                one.tiers[tier_id] = definitions.tier(row)
        one.customer = _customer(one, facts, drawn_id)
    except (DomainError, Unavailable) as error:
        one.problem = error
        return
    project = facts.projects.get(one.project_id) or {}
    customer_id = one.customer.id if one.customer else None
    products = _products(one, facts)
    one.accounts = [
        account
        for code in one.redeemables
        for account in (
            *account_names(code, _subject(one, code, project)),
            *counters.accounts_of(code, customer_id, products),
        )
    ]


def _products(one: _Wanted, facts: queries.Found) -> list[str]:
    """Return the ids of what the order's lines sell: the product, else the SKU."""
    named = list(_references(one))
    stored = facts.orders.get((one.project_id, one.order_id or ""))
    for item in ((stored and (stored["redeemed"] or stored["sent"])) or {}).get("items") or []:
        named.extend(found for found in item_references(one.project_id, item) if found)
    known = (facts.catalogue.get((one.project_id, name), {}) for name in named)
    parents = [found["product_id"] for found in known if found.get("product_id")]
    return list(dict.fromkeys((*named, *parents)))


def collection_ids_of(code: Code) -> Iterable[str]:
    """Yield the collections that the rules and the discount of a redeemable name."""
    for rule in code.rules:
        yield from rule.collection_ids
    discount = code.definition.prepared
    for units in discount.units if discount is not None else ():
        if units.unit_type.startswith("pc_"):
            yield units.unit_type


def _free_products(one: _Wanted) -> Iterable[Key]:
    """Yield the products and SKUs that the request's discounts add to the order."""
    for code in one.redeemables:
        yield from free_products_of(one.project_id, code)


def free_products_of(project_id: str, code: Code) -> Iterable[Key]:
    """Yield the products and SKUs that a discount adds to the order."""
    discount = code.definition.prepared
    for units in discount.units if discount is not None else ():
        for object_id in product_references(project_id, units.unit_type):
            if object_id is not None:
                yield project_id, object_id


def _customer(one: _Wanted, facts: queries.Found, drawn_id: str) -> KnownCustomer | None:
    if one.who is None:
        stored = facts.tracked.get((one.project_id, one.stack.tracking_id or ""))
        if stored is None:
            return None
        return overlay(Named(stored["id"], None), {}, stored, drawn_id)
    stored = facts.customers.get((one.project_id, one.who.id or ""))
    refuse_source_id_change(stored, one.who)
    return overlay(one.who, one.stack.customer or {}, stored, drawn_id)


def _subject(one: _Wanted, code: Code, project: JsonObject) -> Subject:
    return Subject(
        code_id=code.id,
        campaign_id=code.campaign_id,
        customer_id=one.customer.id if one.customer else None,
        api_key_id=one.request.api_key_id,
        now=local(one.request.now, project.get("timezone")),
        first_day_of_week=project.get("first_day_of_week") or 0,
    )


def account_names(code: Code, subject: Subject) -> Iterable[str]:
    """Yield the accounts of a redeemable's uses, credits and limits."""
    yield code.uses_account
    if code.definition.type == "GIFT_VOUCHER":
        yield account_of_credits(code.id)
    for rule in code.rules:
        for _, limit in rule.limits:
            yield limit.account(subject)


def _holder_keys(one: _Wanted) -> Iterable[tuple[str, str, str]]:
    """Yield (project, voucher, customer) where a rule asks who holds the code."""
    if one.customer is None:
        return
    for code in one.redeemables:
        if any(rule.needs_holder for rule in code.rules):
            yield one.project_id, code.id, one.customer.id


def publication_keys(
    project_id: str, customer: KnownCustomer | None, codes: Iterable[Code]
) -> Iterable[tuple[str, str, str]]:
    """Yield (project, voucher, customer) where a formula asks how the code was published."""
    for code in codes:
        if recipe_of(code).asks_publications:
            yield project_id, code.id, customer.id if customer is not None else ""


class _Facts(NamedTuple):
    """What was read for a batch."""

    found: queries.Found
    segments: dict[Key, Any]
    collections: dict[Key, Any]
    held: set[tuple[str, str, str]]
    categories: dict[Key, Any]
    holds: dict[Key, dict[str, int]]
    publications: dict[tuple[str, str, str], Any]


def _snapshot(one: _Wanted, known: _Facts) -> Gathered:
    if one.problem is not None:
        return one.problem
    facts = known.found
    project = facts.projects.get(one.project_id)
    if project is None:
        return Unavailable("the project has just been made and is not readable yet")
    seen = seen_accounts(one.project_id, one.accounts, facts.accounts)
    own = known.holds.get(one.session, {}) if one.session else {}
    order, version = _newest_order(one, facts.orders.get((one.project_id, one.order_id or "")))
    return Snapshot(
        project_id=one.project_id,
        request=one.stack,
        now=local(one.request.now, project["timezone"]),
        codes=one.codes,
        customer=one.customer,
        segments=_of_project(one, known.segments),
        collections=_of_project(one, known.collections),
        holders=frozenset(key[1:] for key in known.held if key[0] == one.project_id),
        first_day_of_week=project.get("first_day_of_week") or 0,
        catalogue=_of_project(one, facts.catalogue),
        stored_order=order,
        accounts=Accounts(seen, one.available, own),
        stacking_rules={**DEFAULT_STACKING_RULES, **(project["stacking_rules"] or {})},
        api_key_id=one.request.api_key_id,
        tiers=one.tiers,
        stacks=one.stacks,
        categories=_of_project(one, known.categories),
        order_version=version if one.order_id is not None else None,
        publications=published(one.project_id, one.customer, known.publications),
    )


def published(
    project_id: str, customer: KnownCustomer | None, rows: Mapping[tuple[str, str, str], Any]
) -> dict[str, Published]:
    """Return what was read of a customer's codes' publications."""
    who = customer.id if customer is not None else ""
    return {
        voucher_id: Published(row["publish_count"], row["metadata"])
        for (project, voucher_id, customer_id), row in rows.items()
        if (project, customer_id) == (project_id, who)
    }


def seen_accounts(
    project_id: str, names: Iterable[str], rows: Mapping[Key, Any]
) -> dict[str, Account]:
    """Return the accounts by name; one that nothing was ever posted to is left out."""
    return {
        name: Account(row["used"] or 0, row["adjusted"] or 0, row["held"] or 0)
        for name in names
        if (row := rows.get((project_id, name))) is not None
    }


def _of_project(one: _Wanted, found: dict[Key, Any]) -> dict[str, Any]:
    return {key[1]: value for key, value in found.items() if key[0] == one.project_id}


def _newest_order(one: _Wanted, row: JsonObject | None) -> tuple[JsonObject | None, int]:
    """Return the order and how many facts of the ledger it shows: ours, or what the ledger sent along."""
    version = (row or {}).get("version") or 0
    known = one.request.known_order if isinstance(one.request, PlanRedemption) else None
    if known is not None and one.order_version > version:
        return known, one.order_version
    return (_stored_order(row) if row is not None else None), version


def _stored_order(row: Any) -> JsonObject:
    """Return the order as the ledger left it, else as it was sent: without discounts of its own."""
    redeemed: JsonObject | None = row["redeemed"]
    if redeemed is not None:
        return redeemed
    sent: JsonObject = dict(row["sent"] or {})
    items = [{**item, "discount_amount": 0} for item in sent.get("items") or []]
    return {**sent, "items": items, "discount_amount": 0}


def local(moment: datetime, timezone: str | None) -> datetime:
    """Return the instant in the project's time zone, whose days and hours count."""
    return moment.astimezone(_zone(timezone or "UTC"))


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
