"""The order while it is priced: its lines, and the sums that the public API shows.

Behaviour: "Order and amounts". All amounts are integer minor units. A :class:`Cart` is changed step by
step by :mod:`engine.domain.pricing`; :func:`order_json` shows its state.
"""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from operator import add, sub
from typing import Any, NamedTuple

from contracts import ids, payload
from contracts.errors import JsonObject
from engine import limits
from engine.domain.collections import Collections

_amount = payload.whole_number(0, limits.AMOUNT_MAX)
_price = payload.whole_number(0, limits.PRICE_MAX)
_quantity = payload.whole_number(0, limits.QUANTITY_MAX)
_name = payload.optional(payload.text(limits.ID_LENGTH_MAX))

_attribute_names = payload.list_of(payload.text(limits.ATTRIBUTE_LENGTH_MAX), limits.ATTRIBUTES_MAX)
_related = payload.optional(payload.one_of("product", "sku"))

_KEPT_ITEM_FIELDS = ("id", "source_id", "related_object", "metadata")
_KEPT_ORDER_FIELDS = ("source_id", "referrer_id", "created_at", "updated_at")

Catalogue = Mapping[str, JsonObject]
"""Products and SKUs by id, with their ``price``; a SKU with its ``product_id``."""


class Details(NamedTuple):
    """Units of one line that were replaced by units of another."""

    source_index: int
    removed: int
    removed_amount: int
    target_index: int
    added: int
    added_amount: int
    discount: int


class Added(NamedTuple):
    """What effects did to the units of a line: in one step, or in the whole request."""

    units: int = 0
    """Units that were added, or removed when it is negative."""
    amount: int = 0
    details: tuple[Details, ...] = ()


NOTHING = Added()


class Line:
    """One line: what it sells, and what the cart's columns say of it now."""

    __slots__ = (
        "_collections",
        "_is_in",
        "amount",
        "initial_amount",
        "initial_quantity",
        "metadata",
        "price",
        "product",
        "product_id",
        "quantity",
        "shown",
        "sku",
        "sku_id",
        "subtotal",
    )

    def __init__(self, shown: JsonObject, amount: int, price: int | None, quantity: int) -> None:
        self.shown = shown
        self.amount = amount
        self.initial_amount = amount
        self.price = price
        self.quantity = quantity
        self.initial_quantity = quantity
        self.subtotal = amount
        """What is left of the line after item discounts."""
        self.product_id: str | None = shown.get("product_id")
        self.sku_id: str | None = shown.get("sku_id")
        self.product: JsonObject = {}
        """What is known of the product: the catalogue's attributes, the request's laid over them."""
        self.sku: JsonObject = {}
        self._collections: Collections | None = None
        self._is_in: dict[str, bool] = {}
        self.metadata: JsonObject = shown.get("metadata") or {}

    def know(self, product: JsonObject, sku: JsonObject, collections: Collections | None) -> None:
        """Note what the line is about; which collections hold it is asked when a rule asks."""
        self.product, self.sku, self._collections = product, sku, collections

    def is_in(self, collection_id: str) -> bool:
        """Say whether a product collection holds the line; each is looked into once."""
        found = self._is_in.get(collection_id)
        if found is None:
            collections = self._collections
            found = collections is not None and collections.holds(
                collection_id, self.product, self.sku
            )
            self._is_in[collection_id] = found
        return found


class Units(NamedTuple):
    """The lines, and columns of what only units that are added, replaced or counted change about them."""

    lines: list[Line]
    quantities: list[int]
    amounts: list[int]
    discounted: list[int]
    """Units that were discounted, at most as many as there are."""
    taken: list[int]
    """The same counted over all discounts of this request, where the effect counts units."""
    added: list[Added]


@dataclass(slots=True)
class State:
    """An order's amounts at one moment.

    Neither it nor a column is ever changed in place: a step makes new ones of those that it changes. So going
    back, and telling what a step did, cost nothing while prices are worked out.
    """

    amount: int
    is_priced: bool
    discount: int
    """Of the order as a whole."""
    items_discount: int
    """Of all lines together."""
    left: list[int]
    """Of each line what item discounts leave: its subtotal."""
    units: Units

    @property
    def lines(self) -> list[Line]:
        """The lines, for what never changes about them."""
        return self.units.lines

    @property
    def discounts(self) -> list[int]:
        """What is taken off each line."""
        return list(map(sub, self.units.amounts, self.left))

    def frozen(self) -> Hashable:
        """Return what can be looked up: equal for equal states."""
        columns: tuple[list[Any], ...] = (self.left, *self.units)
        amounts = (self.amount, self.is_priced, self.discount, self.items_discount)
        return (*amounts, *(tuple(column) for column in columns))


class Cart:
    """An order with its discounts so far."""

    __slots__ = ("_told", "before", "facts", "header", "initial_amount", "start", "state")

    def __init__(
        self, header: JsonObject, lines: list[Line], amount: int | None, facts: "OrderFacts"
    ) -> None:
        self.header = header
        self.facts = facts
        self.initial_amount = amount or 0
        none, amounts = [0] * len(lines), [line.amount for line in lines]
        self.state = State(
            amount=amount or 0,
            is_priced=amount is not None,
            discount=0,
            items_discount=0,
            left=amounts,
            units=Units(
                lines=lines,
                quantities=[line.quantity for line in lines],
                amounts=amounts,
                discounted=none,
                taken=none,
                added=[NOTHING] * len(lines),
            ),
        )
        """The amounts now."""
        self.start = self.state
        """The amounts before this request's discounts."""
        self.before = self.state
        """The amounts before the redeemable that is being applied."""
        self._told = self.state

    def begin_with(self, discount: int, discounts: list[int], units: list[int]) -> None:
        """Start from the discounts that an order already has."""
        state = self.state
        self.start = self.before = self.state = replace(
            state,
            discount=discount,
            items_discount=sum(discounts),
            left=list(map(sub, state.units.amounts, discounts)),
            units=state.units._replace(discounted=units),
        )

    # -- what there is

    @property
    def lines(self) -> list[Line]:
        """The lines, told what the columns say of them."""
        state = self.state
        if self._told is not state:
            self._told = state
            units = state.units
            columns = zip(units.lines, units.quantities, units.amounts, state.left, strict=True)
            for line, quantity, amount, left in columns:
                line.quantity, line.amount, line.subtotal = quantity, amount, left
        return state.units.lines

    @property
    def amount(self) -> int:
        """What the lines cost."""
        return self.state.amount

    @property
    def is_priced(self) -> bool:
        """Whether anything says what the order costs."""
        return self.state.is_priced

    @property
    def discount(self) -> int:
        """What is taken off the order as a whole."""
        return self.state.discount

    @property
    def items_discount(self) -> int:
        """What is taken off lines."""
        return self.state.items_discount

    @property
    def total(self) -> int:
        """What is left to pay."""
        state = self.state
        return state.amount - state.discount - state.items_discount

    @property
    def step_total(self) -> int:
        """What this redeemable took off."""
        state, before = self.state, self.before
        return state.discount + state.items_discount - before.discount - before.items_discount

    @property
    def taken_by_request(self) -> list[int]:
        """What this request took off each line."""
        now, start = self.state.discounts, self.start.discounts
        return [*map(sub, now, start), *now[len(start) :]]

    # -- what is done to it

    def take_from_order(self, amount: int) -> None:
        """Apply an order-level discount."""
        assert 0 <= amount <= self.total, "a discount never exceeds what is left to pay"
        if amount:
            self.state = replace(self.state, discount=self.state.discount + amount)

    def take_from_lines(self, parts: list[int], units: list[int] | None = None) -> None:
        """Apply item-level discounts, one part for each line; ``units`` where the effect counts them."""
        state = self.state
        amount, discount, counts = state.amount, state.discount, state.units
        items_discount = state.items_discount + sum(parts)
        assert discount + items_discount <= amount, "a discount never exceeds what is left to pay"
        left = list(map(sub, state.left, parts))
        assert not left or min(left) >= 0, "a line's discount never exceeds its subtotal"
        if units is not None:
            discounted = map(min, counts.quantities, map(add, counts.discounted, units))
            taken = list(map(add, counts.taken, units))
            counts = counts._replace(discounted=list(discounted), taken=taken)
        self.state = State(amount, state.is_priced, discount, items_discount, left, counts)

    def take_from_line(self, index: int, amount: int, units: int) -> None:
        """Apply an item-level discount to one line."""
        parts = [0] * len(self.lines)
        counted = parts.copy()
        parts[index], counted[index] = amount, units
        self.take_from_lines(parts, counted)

    def add_units(self, index: int, units: int, details: tuple[Details, ...] = ()) -> None:
        """Add units to a line at its price; take units away when ``units`` is negative."""
        state, columns = self.state, self.state.units
        before = columns.added[index]
        amount = units * (columns.lines[index].price or 0)
        left = state.left[index] + amount
        assert left >= 0, "only units that are not discounted are taken away"
        added = Added(before.units + units, before.amount + amount, before.details + details)
        self.state = replace(
            state,
            amount=state.amount + amount,
            is_priced=True,
            left=_with(state.left, index, left),
            units=columns._replace(
                quantities=_with(columns.quantities, index, columns.quantities[index] + units),
                amounts=_with(columns.amounts, index, columns.amounts[index] + amount),
                added=_with(columns.added, index, added),
            ),
        )

    def add_line(self, product_id: str | None, sku_id: str | None) -> int:
        """Add an empty line of a product; return its index."""
        shown: JsonObject = {"metadata": {}}
        named = {"sku_id": sku_id} if sku_id else {"product_id": product_id}
        product, sku = _resolve("items", named, self.facts, shown)
        price = sku.get("price") if sku.get("price") is not None else product.get("price")
        line = Line(shown, 0, int(price or 0), 0)
        line.know(product, sku, self.facts.collections)
        lines, quantities, amounts, discounted, taken, added = self.state.units
        units = Units(
            [*lines, line],
            [*quantities, 0],
            [*amounts, 0],
            [*discounted, 0],
            [*taken, 0],
            [*added, NOTHING],
        )
        self.state = replace(self.state, left=[*self.state.left, 0], units=units)
        return len(lines)


def _with(column: list[Any], index: int, value: Any) -> list[Any]:
    """Return the column with one value changed."""
    changed = column.copy()
    changed[index] = value
    return changed


class OrderFacts(NamedTuple):
    """What the shell knows for building a cart."""

    project_id: str
    catalogue: Catalogue
    stored: JsonObject | None = None
    """The stored order with this id, in the public shape, discounts included."""
    collections: Collections | None = None
    customer_id: str | None = None
    """Whose order it is."""


def read_cart(sent: JsonObject, facts: OrderFacts) -> Cart:
    """Return the cart of a request's order; raises ``InvalidPayload`` naming the property."""
    stored = facts.stored or {}
    _name("order.id", sent.get("id"))
    items, amount = sent.get("items"), _number("order", sent, "amount", _amount)
    is_sent = bool(items) or amount is not None
    if not is_sent:
        items, amount = stored.get("items"), stored.get("amount")
    lines = [
        _read_line(f"order.items[{index}]", item, facts)
        for index, item in enumerate(_item_list(items))
    ]
    priced = [line.amount for line in lines if line.price is not None or line.amount]
    total = sum(priced) if priced else amount
    if total is not None and total > limits.AMOUNT_MAX:
        raise payload.refuse("order.items", f"must have amounts up to {limits.AMOUNT_MAX} together")
    cart = Cart(_header(sent, stored), lines, total, facts)
    _continue_stored(cart, stored, is_sent=is_sent)
    return cart


def _item_list(items: Any) -> list[Any]:
    if items is None:
        return []
    if not isinstance(items, list):
        raise payload.refuse("order.items", "must be a list")
    if len(items) > limits.ITEMS_MAX:
        raise payload.refuse("order.items", f"must have at most {limits.ITEMS_MAX} elements")
    return items


def _header(sent: JsonObject, stored: JsonObject) -> JsonObject:
    merged = {
        name: value
        for name in _KEPT_ORDER_FIELDS
        if (value := sent.get(name, stored.get(name))) is not None
    }
    _name("order.source_id", merged.get("source_id"))
    metadata = payload.metadata("order.metadata", sent.get("metadata"))
    merged["metadata"] = {**(stored.get("metadata") or {}), **metadata}
    return merged


def _continue_stored(cart: Cart, stored: JsonObject, *, is_sent: bool) -> None:
    """Keep the discounts and units that an earlier redemption gave this order."""
    if not stored:
        return
    items = stored.get("items") or []
    discounts, units = [0] * len(cart.lines), [0] * len(cart.lines)
    if len(items) == len(cart.lines):
        for place, (line, item) in enumerate(zip(cart.lines, items, strict=True)):
            is_same = (line.product_id, line.sku_id) == (item.get("product_id"), item.get("sku_id"))
            if is_same:
                discounts[place] = min(int(item.get("discount_amount") or 0), line.amount)
                units[place] = min(int(item.get("discount_quantity") or 0), line.quantity)
                if not is_sent:
                    line.initial_quantity = int(item.get("initial_quantity", line.quantity))
                    line.initial_amount = int(item.get("initial_amount", line.amount))
    if not is_sent and cart.lines:
        cart.initial_amount = sum(line.initial_amount for line in cart.lines)
    left = cart.amount - sum(discounts)
    discount = max(0, min(int(stored.get("discount_amount") or 0), left))
    cart.begin_with(discount, discounts, units)


def _read_line(path: str, item: Any, facts: OrderFacts) -> Line:
    sent = payload.json_object(path, item)
    shown: JsonObject = {
        name: value for name in _KEPT_ITEM_FIELDS if (value := sent.get(name)) is not None
    }
    _check_names(path, sent)
    shown["metadata"] = payload.metadata(f"{path}.metadata", sent.get("metadata"))
    product, sku = _resolve(path, sent, facts, shown)
    quantity = _number(path, sent, "quantity", _quantity)
    quantity = 1 if quantity is None else quantity
    amount = _number(path, sent, "amount", _amount)
    price = _number(path, sent, "price", _price)
    if price is None and amount is None:
        price = sku.get("price") if sku.get("price") is not None else product.get("price")
    if price is not None:
        amount = price * quantity
    elif amount is not None and quantity and amount % quantity == 0:
        price = amount // quantity
    line = Line(shown, amount or 0, price, quantity)
    line.know(product, sku, facts.collections)
    return line


def _number(path: str, sent: JsonObject, name: str, reader: payload.Reader) -> int | None:
    """Read an optional number; its path is made only where there is one."""
    value = sent.get(name)
    return None if value is None else int(reader(f"{path}.{name}", value))


def _check_names(path: str, sent: JsonObject) -> None:
    for name in ("id", "source_id", "product_id", "sku_id"):
        if sent.get(name) is not None:
            _name(f"{path}.{name}", sent[name])
    if sent.get("related_object") is not None:
        _related(f"{path}.related_object", sent["related_object"])


def _resolve(
    path: str, sent: JsonObject, facts: OrderFacts, shown: JsonObject
) -> tuple[JsonObject, JsonObject]:
    """Find the line's product and SKU, and show them."""
    product_id, sku_id = item_references(facts.project_id, sent)
    sku = _known(sku_id, facts)
    if "product_id" in sku:
        product_id = sku["product_id"]
    product = _known(product_id, facts)
    if sent.get("product"):
        _overlay(f"{path}.product", product, sent["product"])
    if sent.get("sku"):
        _overlay(f"{path}.sku", sku, sent["sku"])
    if product_id:
        shown["product_id"] = product_id
        shown["product"] = _shown(product, ("id", "source_id", "name", "price"))
    if sku_id:
        shown["sku_id"] = sku_id
        shown["sku"] = _shown(sku, ("id", "source_id", "sku", "price"))
    return product, sku


def _known(object_id: str | None, facts: OrderFacts) -> JsonObject:
    """Return what the catalogue says of a product or SKU, for laying more over it."""
    if object_id is None:
        return {}
    known = facts.catalogue.get(object_id)
    return {"id": object_id} if known is None else {**known, "id": object_id}


def _overlay(path: str, known: JsonObject, said: Any) -> None:
    """Put what the request says of a product over what the catalogue says."""
    sent = payload.json_object(path, said)
    for name in ("name", "sku", "source_id"):
        if sent.get(name) is not None:
            known[name] = _name(f"{path}.{name}", sent[name])
    price = _number(path, sent, "price", _price)
    if price is not None:
        known["price"] = price
    if sent.get("metadata") is not None:
        metadata = payload.metadata(f"{path}.metadata", sent["metadata"])
        known["metadata"] = {**(known.get("metadata") or {}), **metadata}
    if sent.get("attributes") is not None:
        known["attributes"] = _attributes(f"{path}.attributes", sent["attributes"])


def _attributes(path: str, value: Any) -> Any:
    """Read attributes as the catalogue has them: a product's names, a SKU's object."""
    if isinstance(value, list):
        return _attribute_names(path, value)
    return payload.metadata(path, value)


def _shown(known: JsonObject, names: tuple[str, ...]) -> JsonObject:
    return {name: known[name] for name in names if known.get(name) is not None}


def item_references(project_id: str, sent: JsonObject) -> tuple[str | None, str | None]:
    """Return the ids of the product and the SKU that an order's item names."""
    product, sku = _object_or_nothing(sent.get("product")), _object_or_nothing(sent.get("sku"))
    sku_id = _reference(
        sent.get("sku_id") or sku.get("id"), sku.get("source_id"), "sku_", project_id
    )
    product_id = _reference(
        sent.get("product_id") or product.get("id"), product.get("source_id"), "prod_", project_id
    )
    source_id = sent.get("source_id")
    if isinstance(source_id, str) and source_id and not (sku_id or product_id):
        if sent.get("related_object") == "sku":
            sku_id = ids.sku_id(project_id, source_id)
        else:
            product_id = ids.product_id(project_id, source_id)
    return product_id, sku_id


def _object_or_nothing(sent: Any) -> JsonObject:
    return sent if isinstance(sent, dict) else {}


_DERIVED: dict[str, Callable[[str, str], str]] = {"sku_": ids.sku_id, "prod_": ids.product_id}


def _reference(named: Any, source_id: Any, prefix: str, project_id: str) -> str | None:
    """Return the id; a name without the id's prefix is a source id."""
    if isinstance(named, str) and named:
        return named if named.startswith(prefix) else _DERIVED[prefix](project_id, named)
    if isinstance(source_id, str) and source_id:
        return _DERIVED[prefix](project_id, source_id)
    return None


# -- what is shown ----------------------------------------------------------------------------------


class Moment(NamedTuple):
    """An order as it is at one moment, and what was done to it since another; shown when it is asked for."""

    cart: Cart
    state: State
    since: State

    def to_json(self) -> JsonObject:
        """Return the order in the public shape."""
        return _order_json(self)


def order_json(cart: Cart) -> JsonObject:
    """Return the order with what the whole request did."""
    return _order_json(Moment(cart, cart.state, cart.start))


def _order_json(moment: Moment) -> JsonObject:
    """Discounts of zero are left out, as the public API does."""
    cart, state, since = moment
    items_discount = state.items_discount
    applied = state.discount - since.discount
    items_applied = items_discount - since.items_discount
    shown: JsonObject = {
        **cart.header,
        "object": "order",
        "customer_id": cart.facts.customer_id,
        "referrer_id": cart.header.get("referrer_id"),
        "items": _lines_json(state, since),
    }
    if state.is_priced:
        shown["amount"] = state.amount
        shown["initial_amount"] = cart.initial_amount
        shown["total_amount"] = state.amount - state.discount - items_discount
    sums = {
        "discount_amount": state.discount,
        "items_discount_amount": items_discount,
        "total_discount_amount": state.discount + items_discount,
        "applied_discount_amount": applied,
        "items_applied_discount_amount": items_applied,
        "total_applied_discount_amount": applied + items_applied,
    }
    shown.update({name: amount for name, amount in sums.items() if amount})
    return shown


def _lines_json(state: State, since: State) -> list[JsonObject]:
    lines, quantities, amounts, discounted, counted, added = state.units
    before, known = since.units, len(since.units.lines)
    shown_lines = []
    for place, line in enumerate(lines):
        discount = amounts[place] - state.left[place]
        shown = _line_json(line, quantities[place], amounts[place], discount)
        if discounted[place]:
            shown["discount_quantity"] = discounted[place]
        is_new = place >= known
        taken = discount - (0 if is_new else before.amounts[place] - since.left[place])
        if taken:
            shown["applied_discount_amount"] = taken
        units = counted[place] - (0 if is_new else before.taken[place])
        if units:
            shown["applied_discount_quantity"] = units
        if added[place] is not NOTHING:
            _show_added(shown, added[place], NOTHING if is_new else before.added[place])
        shown_lines.append(shown)
    return shown_lines


def _line_json(line: Line, quantity: int, amount: int, discount: int) -> JsonObject:
    shown: JsonObject = {**line.shown, "object": "order_item", "quantity": quantity}
    if line.price is not None:
        shown["price"] = line.price
    if line.price is not None or amount:
        shown["amount"] = amount
        shown["initial_amount"] = line.initial_amount
        shown["initial_quantity"] = line.initial_quantity
        shown["subtotal_amount"] = amount - discount
    if discount:
        shown["discount_amount"] = discount
    return shown


def _show_added(shown: JsonObject, added: Added, since: Added) -> None:
    if added.units != since.units:
        shown["applied_quantity"] = added.units - since.units
        shown["applied_quantity_amount"] = added.amount - since.amount
    details = added.details[len(since.details) :]
    if details:
        shown["application_details"] = [_details_json(one) for one in details]


def _details_json(details: Details) -> JsonObject:
    return {
        "source_index": details.source_index,
        "source_applied_quantity": -details.removed,
        "source_applied_quantity_amount": -details.removed_amount,
        "target_index": details.target_index,
        "target_applied_quantity": details.added,
        "target_applied_quantity_amount": details.added_amount,
        "target_applied_discount_amount": details.discount,
    }
