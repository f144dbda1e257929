"""Rows are what the events say, however the topics and partitions interleave."""

import random
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from contracts.customers import Order, OrderCreated, OrderUpdated
from contracts.messages import TYPES, Envelope, Event
from gateway.read_models import PROJECTION
from gateway.read_models.orders import ORDERS, apply_ledger, apply_order, shown
from runtime.read_model import Rows, fold_in_memory
from services.gateway.tests.reads.world import START, Happened, World

WORLD = World("proj_a")


def delivered(happened: Sequence[Happened]) -> list[tuple[Event, Envelope]]:
    """Number the events as their logs would: in each source's order of commits."""
    positions: dict[str, int] = {}
    found = []
    for source, stream, event in happened:
        positions[source] = positions.get(source, 0) + 1
        envelope = Envelope(
            id="evt",
            type=event.TYPE,
            source=source,
            time=START,
            project_id="proj_a",
            stream=stream,
            stream_version=1,
            position=positions[source],
        )
        found.append((event, envelope))
    return found


LOG = delivered(WORLD.happened)
EXPECTED = fold_in_memory(PROJECTION, LOG)


def test_every_table_has_rows_and_every_fold_is_used() -> None:
    assert [name for name, rows in EXPECTED.items() if not rows and name != "projects"] == []
    used = {event.TYPE for event, _ in LOG}
    projects = {name for name in PROJECTION.folds if name.startswith("gateway.")}
    assert set(PROJECTION.folds) - used == projects


def test_every_event_is_folded_or_known_to_be_left_out() -> None:
    events = {name for name, kind in TYPES.items() if issubclass(kind, Event)}
    own = {name for name in events if name.split(".")[0] in SOURCES}
    assert own - set(PROJECTION.folds) - PROJECTION.ignored_types == set()


SOURCES = {source for source, _, _ in WORLD.happened}


@given(st.randoms(use_true_random=False))
def test_any_interleaving_of_streams_leads_to_the_same_rows(chance: random.Random) -> None:
    assert fold_in_memory(PROJECTION, interleaved(chance)) == EXPECTED


def interleaved(chance: random.Random) -> list[tuple[Event, Envelope]]:
    """Merge the streams by chance; each keeps its own order, as within a partition."""
    streams: dict[tuple[str, str], list[tuple[Event, Envelope]]] = {}
    for event, envelope in LOG:
        streams.setdefault((envelope.source, envelope.stream), []).append((event, envelope))
    waiting = list(streams.values())
    merged = []
    while waiting:
        stream = chance.choice(waiting)
        merged.append(stream.pop(0))
        waiting = [one for one in waiting if one]
    return merged


def test_folds_name_every_row_that_they_read_or_change() -> None:
    tables: dict[str, dict] = {}
    for event, envelope in LOG:
        fold = PROJECTION.folds[event.TYPE]
        rows = Rows()
        named: dict[str, set] = {}
        for table, key in fold.keys(event, envelope):
            named.setdefault(table.name, set()).add(key)
            known = tables.setdefault(table.name, {})
            rows.known.setdefault(table.name, {})[key] = known.get(key)
        fold.apply(rows, event, envelope)
        for name, changed in rows.changed.items():
            assert changed <= named[name], f"{event.TYPE} changes rows of {name} it did not name"
            for key in changed:
                tables[name][key] = rows.known[name][key]
    remaining = {
        name: {key: row for key, row in tables.get(name, {}).items() if row is not None}
        for name in EXPECTED
    }
    assert remaining == EXPECTED


def test_an_owner_that_takes_over_an_older_fact_hides_no_newer_one() -> None:
    """It may do so, by its clock, after the newer one has happened."""
    rows = Rows()
    rows.is_complete = True
    envelope = LOG[0][1]
    older, newer, later = (START + timedelta(seconds=seconds) for seconds in (1, 2, 3))
    order = Order(id="ord_1", status="PAID", amount=1000, discount_amount=100, created_at=START)
    apply_order(rows, OrderCreated(order=order), envelope)
    for position, (at, discount) in enumerate([(older, 100), (newer, 200)], 1):
        told = {"id": "ord_1", "discount_amount": discount}
        apply_ledger(rows, envelope._replace(position=position), told, at)
    for caused_at, discount in ((older, 100), (newer, 200)):
        changed = order.model_copy(update={"discount_amount": discount, "updated_at": later})
        event = OrderUpdated(
            order=changed, previous_status="PAID", caused_by="r_1", caused_at=caused_at
        )
        apply_order(rows, event, envelope)
        row = rows.get(ORDERS, "proj_a", "ord_1")
        assert row is not None and shown(row)["discount_amount"] == 200
    canceled = order.model_copy(update={"status": "CANCELED", "updated_at": later})
    apply_order(rows, OrderUpdated(order=canceled, previous_status="PAID"), envelope)
    row = rows.get(ORDERS, "proj_a", "ord_1")
    assert row is not None and shown(row)["status"] == "CANCELED"


def test_an_order_that_was_given_back_shows_nothing_of_the_discount_that_its_owner_still_has() -> (
    None
):
    rows = Rows()
    rows.is_complete = True
    envelope = LOG[0][1]
    redeemed_at, rolled_back_at = (START + timedelta(seconds=seconds) for seconds in (1, 2))
    amounts = {"amount": 1000, "total_discount_amount": 100, "total_amount": 900}
    order = Order(id="ord_1", status="PAID", created_at=START, **amounts)
    event = OrderCreated(order=order, caused_by="r_1", caused_at=redeemed_at)
    apply_ledger(rows, envelope._replace(position=1), {"id": "ord_1", **amounts}, redeemed_at)
    apply_order(rows, event, envelope)
    given_back = {"id": "ord_1", "amount": 1000, "total_amount": 1000}
    apply_ledger(rows, envelope._replace(position=2), given_back, rolled_back_at)
    row = rows.get(ORDERS, "proj_a", "ord_1")
    assert row is not None
    told = shown(row)
    assert (told["amount"], told["total_amount"]) == (1000, 1000)
    assert told.get("total_discount_amount") is None
