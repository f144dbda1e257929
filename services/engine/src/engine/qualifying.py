"""Answering ``POST /v1/qualifications``: a handful of round trips, however many offers there are."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from contracts.engine import Qualify
from contracts.errors import DomainError, JsonObject, Unavailable
from contracts.messages import Envelope
from contracts.payload import refuse
from engine import queries
from engine.definitions import Definitions
from engine.domain import counters
from engine.domain.claims import subject_of
from engine.domain.customer import tracking_id
from engine.domain.definition import efforts_of
from engine.domain.effort import refuse_too_many_offers
from engine.domain.qualification import WAYS, Offer, Search, chosen, page
from engine.domain.snapshot import Accounts, Snapshot
from engine.domain.stacking import shown_rules
from engine.gathering import account_names, gather, published, seen_accounts
from engine.offers import Offered, Offers, needs_of
from runtime.database import Connection


class Qualifying:
    """One question, with the connection that it is answered over."""

    def __init__(self, connection: Connection, definitions: Definitions, offers: Offers) -> None:
        self._connection = connection
        self._definitions = definitions
        self._offers = offers

    async def answer(self, envelope: Envelope, request: Qualify, drawn_id: str) -> JsonObject:
        """Return the answer's body; raises ``InvalidPayload`` and ``Unavailable``."""
        [snapshot] = await gather(
            self._connection, self._definitions, [(envelope, request)], [drawn_id]
        )
        if isinstance(snapshot, DomainError | Unavailable):
            raise snapshot
        if WAYS[request.scenario].only_held and snapshot.customer is None:
            raise refuse("customer", f"is required for the scenario {request.scenario}")
        if WAYS[request.scenario].relation is not None and snapshot.request.order is None:
            raise refuse("order", f"is required for the scenario {request.scenario}")
        offered = await self._offered(snapshot)
        offers = chosen(offered.offers, request.scenario, request.options, snapshot.now)
        _refuse_too_many(snapshot, offers)
        snapshot = await self._with_needs(snapshot, offered._replace(offers=tuple(offers)))
        search = Search(snapshot, request.scenario)
        order = search.order
        entries, last = await self._entries(snapshot, request, offers, search)
        customer = snapshot.customer
        body: JsonObject = {"redeemables": page(entries, request.options, last)}
        tracked = tracking_id(snapshot.project_id, customer.shown if customer else None)
        if tracked is not None:
            body["tracking_id"] = tracked
        if order is not None:
            body["order"] = order
        return {**body, "stacking_rules": shown_rules(snapshot.stacking_rules, None)}

    async def _offered(self, snapshot: Snapshot) -> Offered:
        """Return the project's offers, and the codes that the customer holds."""
        shared = await self._offers.of_project(self._connection, snapshot.project_id)
        if snapshot.customer is None:
            return shared
        held = await self._offers.held_by(
            self._connection, snapshot.project_id, snapshot.customer.id
        )
        if not held:
            return shared
        own = {offer.code.id for offer in held}
        others = [offer for offer in shared.offers if offer.code.id not in own]
        needs = needs_of(snapshot.project_id, held)
        both = (one | other for one, other in zip(shared.needs, needs, strict=True))
        return Offered((*held, *others), type(needs)(*both))

    async def _with_needs(self, snapshot: Snapshot, offered: Offered) -> Snapshot:
        """Return the snapshot with what the offers' rules and discounts ask about."""
        connection, needs = self._connection, offered.needs
        segments = await self._definitions.segments(connection, needs.segments)
        collections = await self._definitions.collections(connection, needs.collections)
        products = needs.products - {(snapshot.project_id, name) for name in snapshot.catalogue}
        catalogue = await queries.catalogue(connection, products) if products else {}
        wanted = needs.categories
        categories = await queries.categories(connection, wanted) if wanted else {}
        customer_id = snapshot.customer.id if snapshot.customer else None
        holders = {
            (offer.code.id, customer_id)
            for offer in offered.offers
            if offer.is_held and customer_id is not None
        }
        asking = {(*key, customer_id or "") for key in needs.publications}
        publications = await queries.publications(connection, asking) if asking else {}
        return snapshot._replace(
            publications=published(snapshot.project_id, snapshot.customer, publications),
            segments={key[1]: one for key, one in segments.items()},
            collections={key[1]: one for key, one in collections.items()},
            catalogue={**snapshot.catalogue, **{key[1]: one for key, one in catalogue.items()}},
            categories={key[1]: one for key, one in categories.items()},
            holders=frozenset(holders),
        )

    async def _entries(
        self, snapshot: Snapshot, request: Qualify, offers: Sequence[Offer], search: Search
    ) -> tuple[list[JsonObject], list[Offer]]:
        """Return one entry more than are shown, if there are as many, and of which offers they are.

        What is left in the accounts is asked only of what qualifies otherwise, a page at a time.
        """
        wanted = request.options.limit + 1
        passing = (offer for offer in offers if search.worth(offer) is not None)
        entries: list[JsonObject] = []
        shown: list[Offer] = []
        for chunk in self._chunks(passing, request, wanted):
            sure = Search(await self._with_accounts(snapshot, chunk, search), request.scenario)
            for offer in _sorted(chunk, sure, request):
                entry = sure.entry(offer, request.options)
                if entry is not None:
                    entries.append(entry)
                    shown.append(offer)
                if len(entries) == wanted:
                    return entries, shown
        return entries, shown

    def _chunks(
        self, passing: Iterator[Offer], request: Qualify, size: int
    ) -> Iterable[list[Offer]]:
        if request.options.sorting_rule != "DEFAULT":
            yield list(passing)
            return
        while chunk := list(islice(passing, size)):
            yield chunk

    async def _with_accounts(
        self, snapshot: Snapshot, offers: Sequence[Offer], search: Search
    ) -> Snapshot:
        customer_id = snapshot.customer.id if snapshot.customer else None
        products = search.product_ids
        names: set[str] = set()
        for code in {part.id: part for offer in offers for part in offer.parts}.values():
            names.update(account_names(code, subject_of(code, customer_id, search.facts)))
            names.update(counters.accounts_of(code, customer_id, products))
        keys = {(snapshot.project_id, name) for name in names}
        rows = await queries.accounts(self._connection, keys) if keys else {}
        return snapshot._replace(
            accounts=Accounts(seen_accounts(snapshot.project_id, names, rows), {})
        )


def _refuse_too_many(snapshot: Snapshot, offers: Sequence[Offer]) -> None:
    """Refuse a large order over very many offers before it keeps everybody else waiting."""
    items = (snapshot.request.order or {}).get("items")
    lines = len(items) if isinstance(items, list) else 0
    parts = (part for offer in offers for part in offer.parts)
    refuse_too_many_offers((one for part in parts for one in efforts_of(part)), lines)


def _sorted(chunk: Sequence[Offer], search: Search, request: Qualify) -> Sequence[Offer]:
    """Return the offers in the order in which they are shown; the newest first of those worth the same."""
    if request.options.sorting_rule == "DEFAULT":
        return chunk
    worths = [worth for offer in chunk if (worth := search.worth(offer)) is not None]
    sign = -1 if request.options.sorting_rule == "BEST_DEAL" else 1
    return [worth.offer for worth in sorted(worths, key=lambda worth: sign * worth.taken)]
