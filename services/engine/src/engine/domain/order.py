"""The order while it is priced: its lines, and the sums that the public API shows.

Behaviour: "Order and amounts". All amounts are integer minor units. A :class:`Cart` is changed step by
step by :mod:`engine.domain.pricing`; :func:`order_json` shows its state.
"""

from collections.abc import Callable, Mapping
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from contracts import ids, payload
from contracts.errors import JsonObject
from engine import limits
from engine.domain.collections import Collections

_amount = payload.optional(payload.whole_number(0, limits.AMOUNT_MAX))
_price = payload.optional(payload.whole_number(0, limits.PRICE_MAX))
_quantity = payload.optional(payload.whole_number(0, limits.QUANTITY_MAX))
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


class Taken(NamedTuple):
    """What happened to a line: in one step, or in the whole request."""

    amount: int = 0
    """Its discount."""
    units: int = 0
    """Units that were discounted, where the effect counts units."""
    added: int = 0
    """Units that were added, or removed when it is negative."""
    added_amount: int = 0
    details: tuple[Details, ...] = ()

    def plus(self, other: "Taken") -> "Taken":
        """Return both together."""
        return Taken(
            self.amount + other.amount,
            self.units + other.units,
            self.added + other.added,
            self.added_amount + other.added_amount,
            self.details + other.details,
        )


NOTHING = Taken()


class Line:
    """One line. ``subtotal`` counts item discounts only; ``applied`` is what this request did."""

    __slots__ = (
        "amount",
        "applied",
        "discount",
        "discount_units",
        "initial_amount",
        "initial_quantity",
        "is_in",
        "metadata",
        "price",
        "product",
        "product_id",
        "quantity",
        "shown",
        "sku",
        "sku_id",
        "step",
    )

    def __init__(self, shown: JsonObject, amount: int, price: int | None, quantity: int) -> None:
        self.shown = shown
        self.amount = amount
        self.initial_amount = amount
        self.price = price
        self.quantity = quantity
        self.initial_quantity = quantity
        self.product_id: str | None = shown.get("product_id")
        self.sku_id: str | None = shown.get("sku_id")
        self.product: JsonObject = {}
        """What is known of the product: the catalogue's attributes, the request's laid over them."""
        self.sku: JsonObject = {}
        self.is_in: Callable[[str], bool] = lambda _collection_id: False
        """Says whether a product collection holds the line."""
        self.metadata: JsonObject = shown.get("metadata") or {}
        self.discount = 0
        self.discount_units = 0
        self.applied = NOTHING
        self.step = NOTHING

    def know(self, product: JsonObject, sku: JsonObject, collections: Collections | None) -> None:
        """Note what the line is about; which collections hold it is asked when a rule asks."""
        self.product, self.sku = product, sku
        if collections is not None:
            self.is_in = cache(lambda name: collections.holds(name, product, sku))

    @property
    def subtotal(self) -> int:
        """What is left of the line after item discounts."""
        return self.amount - self.discount

    def note(self, change: Taken) -> None:
        """Add to what this step and this request did."""
        self.step = self.step.plus(change) if self.step is not NOTHING else change
        self.applied = self.applied.plus(change) if self.applied is not NOTHING else change


_STATE = (
    "quantity", "amount", "discount", "discount_units", "applied", "step",
)  # fmt: skip
_state_of = attrgetter(*_STATE)


class Cart:
    """An order with its discounts so far. ``step`` fields belong to the redeemable being applied."""

    __slots__ = (
        "amount",
        "applied",
        "discount",
        "facts",
        "header",
        "initial_amount",
        "is_priced",
        "items_discount",
        "lines",
        "step",
        "step_items",
    )

    def __init__(
        self, header: JsonObject, lines: list[Line], amount: int | None, facts: "OrderFacts"
    ) -> None:
        self.header = header
        self.lines = lines
        self.facts = facts
        self.is_priced = amount is not None
        self.amount = amount or 0
        self.initial_amount = self.amount
        self.discount = 0
        self.items_discount = 0
        """Sum of the lines' discounts."""
        self.applied = 0
        self.step = 0
        self.step_items = 0
        """What this redeemable took off the lines."""

    @property
    def total(self) -> int:
        """What is left to pay."""
        return self.amount - self.discount - self.items_discount

    def begin_step(self) -> None:
        """Forget what the redeemable before this one applied."""
        self.step = 0
        self.step_items = 0
        for line in self.lines:
            line.step = NOTHING

    def take_from_order(self, amount: int) -> None:
        """Apply an order-level discount."""
        assert 0 <= amount <= self.total, "a discount never exceeds what is left to pay"
        self.discount += amount
        self.applied += amount
        self.step += amount

    def take_from_line(self, index: int, amount: int, units: int = 0) -> None:
        """Apply an item-level discount; ``units`` where the effect counts them."""
        line = self.lines[index]
        assert 0 <= amount <= line.subtotal, "a line's discount never exceeds its subtotal"
        assert amount <= self.total, "a discount never exceeds what is left to pay"
        line.discount += amount
        line.discount_units = min(line.quantity, line.discount_units + units)
        self.items_discount += amount
        self.step_items += amount
        line.note(Taken(amount, units))

    def add_units(self, index: int, units: int, details: tuple[Details, ...] = ()) -> None:
        """Add units to a line at its price; take units away when ``units`` is negative."""
        line = self.lines[index]
        amount = units * (line.price or 0)
        line.quantity += units
        line.amount += amount
        self.amount += amount
        self.is_priced = True
        assert line.subtotal >= 0, "only units that are not discounted are taken away"
        line.note(Taken(added=units, added_amount=amount, details=details))

    def add_line(self, product_id: str | None, sku_id: str | None) -> int:
        """Add an empty line of a product; return its index."""
        shown: JsonObject = {"metadata": {}}
        named = {"sku_id": sku_id} if sku_id else {"product_id": product_id}
        product, sku = _resolve("items", named, self.facts, shown)
        price = sku.get("price") if sku.get("price") is not None else product.get("price")
        line = Line(shown, 0, int(price or 0), 0)
        line.know(product, sku, self.facts.collections)
        self.lines.append(line)
        return len(self.lines) - 1

    def save(self) -> "SavedCart":
        """Return the state, for :meth:`restore`."""
        own = (self.amount, self.is_priced, self.discount, self.items_discount, self.applied)
        lines = [(line, *_state_of(line)) for line in self.lines]
        return own, (self.step, self.step_items), lines

    def restore(self, saved: "SavedCart") -> None:
        """Go back: what was tried since does not apply."""
        own, (self.step, self.step_items), states = saved
        self.amount, self.is_priced, self.discount, self.items_discount, self.applied = own
        self.lines[:] = [line for line, *_ in states]
        for line, *state in states:
            for name, value in zip(_STATE, state, strict=True):
                setattr(line, name, value)

    @property
    def step_total(self) -> int:
        """What this redeemable took off."""
        return self.step + self.step_items


SavedCart = tuple[tuple[int, bool, int, int, int], tuple[int, int], list[tuple[Any, ...]]]


class OrderFacts(NamedTuple):
    """What the shell knows for building a cart."""

    project_id: str
    catalogue: Catalogue
    stored: JsonObject | None = None
    """The stored order with this id, in the public shape, discounts included."""
    collections: Collections | None = None


def read_cart(sent: JsonObject, facts: OrderFacts) -> Cart:
    """Return the cart of a request's order; raises ``InvalidPayload`` naming the property."""
    stored = facts.stored or {}
    _name("order.id", sent.get("id"))
    items = sent.get("items")
    amount = _amount("order.amount", sent.get("amount"))
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
    items = stored.get("items") or []
    if len(items) == len(cart.lines):
        for line, item in zip(cart.lines, items, strict=True):
            is_same = (line.product_id, line.sku_id) == (item.get("product_id"), item.get("sku_id"))
            if is_same:
                _continue_line(line, item, is_sent=is_sent)
    cart.items_discount = sum(line.discount for line in cart.lines)
    if not is_sent and cart.lines:
        cart.initial_amount = sum(line.initial_amount for line in cart.lines)
    cart.discount = max(0, min(int(stored.get("discount_amount") or 0), cart.total))


def _continue_line(line: Line, item: JsonObject, *, is_sent: bool) -> None:
    line.discount = min(int(item.get("discount_amount") or 0), line.subtotal)
    line.discount_units = min(int(item.get("discount_quantity") or 0), line.quantity)
    if not is_sent:
        line.initial_quantity = int(item.get("initial_quantity", line.quantity))
        line.initial_amount = int(item.get("initial_amount", line.amount))


def _read_line(path: str, item: Any, facts: OrderFacts) -> Line:
    sent = payload.json_object(path, item)
    shown: JsonObject = {
        name: sent[name] for name in _KEPT_ITEM_FIELDS if sent.get(name) is not None
    }
    _check_names(path, sent)
    shown["metadata"] = payload.metadata(f"{path}.metadata", sent.get("metadata"))
    product, sku = _resolve(path, sent, facts, shown)
    quantity = _quantity(f"{path}.quantity", sent.get("quantity"))
    quantity = 1 if quantity is None else quantity
    amount = _amount(f"{path}.amount", sent.get("amount"))
    price = _price(f"{path}.price", sent.get("price"))
    if price is None and amount is None:
        price = sku.get("price") if sku.get("price") is not None else product.get("price")
    if price is not None:
        amount = price * quantity
    elif amount is not None and quantity and amount % quantity == 0:
        price = amount // quantity
    line = Line(shown, amount or 0, price, quantity)
    line.know(product, sku, facts.collections)
    return line


def _check_names(path: str, sent: JsonObject) -> None:
    for name in ("id", "source_id", "product_id", "sku_id"):
        _name(f"{path}.{name}", sent.get(name))
    _related(f"{path}.related_object", sent.get("related_object"))


def _resolve(
    path: str, sent: JsonObject, facts: OrderFacts, shown: JsonObject
) -> tuple[JsonObject, JsonObject]:
    """Find the line's product and SKU, and show them."""
    product_id, sku_id = item_references(facts.project_id, sent)
    sku = dict(facts.catalogue.get(sku_id or "", {}))
    if sku:
        product_id = sku["product_id"]
    product = dict(facts.catalogue.get(product_id or "", {}))
    sent_product = payload.json_object(f"{path}.product", sent.get("product") or {})
    sent_sku = payload.json_object(f"{path}.sku", sent.get("sku") or {})
    _overlay(f"{path}.product", product, sent_product, product_id)
    _overlay(f"{path}.sku", sku, sent_sku, sku_id)
    if product_id:
        shown["product_id"] = product_id
        shown["product"] = _shown(product, ("id", "source_id", "name", "price"))
    if sku_id:
        shown["sku_id"] = sku_id
        shown["sku"] = _shown(sku, ("id", "source_id", "sku", "price"))
    return product, sku


def _overlay(path: str, known: JsonObject, sent: JsonObject, object_id: str | None) -> None:
    """Put what the request says of a product over what the catalogue says."""
    for name in ("name", "sku", "source_id"):
        if sent.get(name) is not None:
            known[name] = _name(f"{path}.{name}", sent[name])
    price = _price(f"{path}.price", sent.get("price"))
    if price is not None:
        known["price"] = price
    if sent.get("metadata") is not None:
        metadata = payload.metadata(f"{path}.metadata", sent["metadata"])
        known["metadata"] = {**(known.get("metadata") or {}), **metadata}
    if sent.get("attributes") is not None:
        known["attributes"] = _attributes(f"{path}.attributes", sent["attributes"])
    if object_id is not None:
        known["id"] = object_id


def _attributes(path: str, value: Any) -> Any:
    """Read attributes as the catalogue has them: a product's names, a SKU's object."""
    if isinstance(value, list):
        return _attribute_names(path, value)
    return payload.metadata(path, value)


def _shown(known: JsonObject, names: tuple[str, ...]) -> JsonObject:
    return {name: known[name] for name in names if known.get(name) is not None}


def item_references(project_id: str, sent: JsonObject) -> tuple[str | None, str | None]:
    """Return the ids of the product and the SKU that an order's item names."""
    product = sent.get("product") if isinstance(sent.get("product"), dict) else {}
    sku = sent.get("sku") if isinstance(sent.get("sku"), dict) else {}
    assert isinstance(product, dict), "checked above"
    assert isinstance(sku, dict), "checked above"
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


_DERIVED: dict[str, Callable[[str, str], str]] = {"sku_": ids.sku_id, "prod_": ids.product_id}


def _reference(named: Any, source_id: Any, prefix: str, project_id: str) -> str | None:
    """Return the id; a name without the id's prefix is a source id."""
    if isinstance(named, str) and named:
        return named if named.startswith(prefix) else _DERIVED[prefix](project_id, named)
    if isinstance(source_id, str) and source_id:
        return _DERIVED[prefix](project_id, source_id)
    return None


# -- what is shown ----------------------------------------------------------------------------------


def order_json(cart: Cart, customer_id: str | None, *, is_final: bool = False) -> JsonObject:
    """Return the order's cumulative state.

    ``applied_*`` are those of the last step, or of the whole request when ``is_final``. Discounts of
    zero are left out, as the public API does.
    """
    items_discount = cart.items_discount
    applied = cart.applied if is_final else cart.step
    lines = cart.lines
    changes = [line.applied for line in lines] if is_final else [line.step for line in lines]
    items_applied = sum(change.amount for change in changes)
    shown: JsonObject = {
        **cart.header,
        "object": "order",
        "customer_id": customer_id,
        "referrer_id": cart.header.get("referrer_id"),
        "items": [line_json(line, change) for line, change in zip(lines, changes, strict=True)],
    }
    if cart.is_priced:
        shown["amount"] = cart.amount
        shown["initial_amount"] = cart.initial_amount
        shown["total_amount"] = cart.total
    sums = {
        "discount_amount": cart.discount,
        "items_discount_amount": items_discount,
        "total_discount_amount": cart.discount + items_discount,
        "applied_discount_amount": applied,
        "items_applied_discount_amount": items_applied,
        "total_applied_discount_amount": applied + items_applied,
    }
    shown.update({name: amount for name, amount in sums.items() if amount})
    return shown


def line_json(line: Line, change: Taken) -> JsonObject:
    """Return a line; ``change`` is what the step or the request did to it."""
    shown: JsonObject = {**line.shown, "object": "order_item", "quantity": line.quantity}
    if line.price is not None:
        shown["price"] = line.price
    if line.price is not None or line.amount:
        shown["amount"] = line.amount
        shown["initial_amount"] = line.initial_amount
        shown["initial_quantity"] = line.initial_quantity
        shown["subtotal_amount"] = line.subtotal
    if line.discount:
        shown["discount_amount"] = line.discount
    if line.discount_units:
        shown["discount_quantity"] = line.discount_units
    if change is not NOTHING:
        _show_change(shown, change)
    return shown


def _show_change(shown: JsonObject, change: Taken) -> None:
    if change.amount:
        shown["applied_discount_amount"] = change.amount
    if change.units:
        shown["applied_discount_quantity"] = change.units
    if change.added:
        shown["applied_quantity"] = change.added
        shown["applied_quantity_amount"] = change.added_amount
    if change.details:
        shown["application_details"] = [_details_json(one) for one in change.details]


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
