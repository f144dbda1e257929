"""The replica's folds: the rows do not depend on how the partitions interleave."""

import itertools
from datetime import UTC, datetime

from contracts import (
    campaigns,
    catalog,
    customers,
    distribution,
    gateway,
    ids,
    ledger,
    promotions,
)
from contracts.errors import ErrorBody
from contracts.messages import Envelope, Event
from engine.projections import PROJECTION
from runtime.read_model import fold_in_memory

NOW = datetime(2026, 3, 11, 12, 0, tzinfo=UTC)
SHOP = "proj_shop"
VOUCHER = ids.voucher_id(SHOP, "A")
ACCOUNT = f"credits/{VOUCHER}"


def _meta(position: int, project: str = SHOP) -> Envelope:
    return Envelope(
        id=f"e{position}",
        type="",
        source="x",
        time=NOW,
        project_id=project,
        stream="s",
        stream_version=position,
        position=position,
    )


def _redeemed(used: int, total: int) -> ledger.RedemptionSucceeded:
    posted = ledger.Posted(
        account=ACCOUNT, contra="order/ord_1", unit="credit", amount=100, used=used, available=0
    )
    return ledger.RedemptionSucceeded(
        items=[
            ledger.RedeemedItem(
                redemption_id="r_1",
                redeemable={"object": "voucher", "id": "A"},
                related_object_type="voucher",
                related_object_id=VOUCHER,
                posted=[posted.model_copy(update={"used": used - 50}), posted],
            )
        ],
        order={"id": "ord_1", "total_amount": total},
        redeemed_at=NOW,
    )


def _adjusted(used: int, available: int) -> ledger.BalanceAdjusted:
    return ledger.BalanceAdjusted(
        transaction_id="vtx_1",
        voucher={"id": VOUCHER},
        account=ACCOUNT,
        unit="credit",
        amount=1,
        limit=1000,
        limit_version=1,
        used=used,
        available=available,
        adjusted_at=NOW,
    )


def _rolled_back() -> ledger.RedemptionRolledBack:
    return ledger.RedemptionRolledBack(
        redemption_id="r_1",
        items=[
            ledger.RolledBackItem(
                rollback_id="rr_1",
                redemption_id="r_1",
                related_object_type="voucher",
                related_object_id=VOUCHER,
                posted=[
                    ledger.Posted(
                        account=ACCOUNT, contra="order/ord_1", unit="credit", amount=-100, used=200
                    )
                ],
            )
        ],
        order={"id": "ord_1", "status": "CANCELED", "total_amount": 900},
        rolled_back_at=NOW,
    )


def _generated() -> campaigns.VouchersGenerated:
    return campaigns.VouchersGenerated(
        campaign_id="camp_1",
        action_id="aa_1",
        codes=["A"],
        done=1,
        total=1,
        generated_at=NOW,
    )


def _changed() -> campaigns.VoucherDisabled:
    voucher = campaigns.Voucher(
        id=VOUCHER, code="A", campaign_id="camp_1", active=False, created_at=NOW, version=2
    )
    return campaigns.VoucherDisabled(voucher=voucher)


def _order() -> customers.OrderUpdated:
    order = customers.Order(id="ord_1", amount=1000, created_at=NOW)
    return customers.OrderUpdated(order=order, previous_status="CREATED")


def _held(session: str, held: int, total: int) -> ledger.HoldPlaced | ledger.HoldReleased:
    balance = ledger.HeldBalance(account=ACCOUNT, unit="credit", held=total, used=200)
    if not held:
        return ledger.HoldReleased(
            session_key=session, reason="released", balances=[balance], released_at=NOW
        )
    posting = ledger.Posting(
        account=ACCOUNT,
        contra="world",
        unit="credit",
        amount=held,
        error=ErrorBody(code=400, key="k", message="m"),
    )
    return ledger.HoldPlaced(
        session_key=session, held=[posting], balances=[balance], expires_at=NOW, placed_at=NOW
    )


def test_what_is_held_is_known_in_total_and_by_session() -> None:
    # Sessions are streams of their own; each of them is in order.
    mine = [(_held("s", 30, 30), _meta(1)), (_held("s", 10, 50), _meta(3))]
    theirs = [(_held("t", 40, 70), _meta(2)), (_held("t", 0, 10), _meta(4))]
    orders = [[*mine, *theirs], [*theirs, *mine], [mine[0], *theirs, mine[1]]]
    for events in orders:
        rows = fold_in_memory(PROJECTION, events)
        assert rows["accounts"][SHOP, ACCOUNT]["held"] == 10
        assert rows["holds"] == {
            (SHOP, "s"): {**rows["holds"][SHOP, "s"], "amounts": {ACCOUNT: 10}}
        }


def test_rows_do_not_depend_on_how_partitions_interleave() -> None:
    events: list[tuple[Event, Envelope]] = [
        (_redeemed(100, 900), _meta(1)),
        (_adjusted(100, 1100), _meta(2)),
        (_redeemed(300, 700), _meta(3)),
        (_rolled_back(), _meta(4)),
        (_generated(), _meta(5)),
        (_changed(), _meta(6)),
        (_order(), _meta(7)),
    ]
    expected = fold_in_memory(PROJECTION, events)
    for order in itertools.permutations(events):
        assert fold_in_memory(PROJECTION, order) == expected
    account = expected["accounts"][SHOP, ACCOUNT]
    assert (account["used"], account["adjusted"]) == (200, 200)
    voucher = expected["vouchers"][SHOP, VOUCHER]
    assert (voucher["active"], voucher["version"]) == (False, 2)
    stored = expected["orders"][SHOP, "ord_1"]
    assert stored["redeemed"]["status"] == "CANCELED"
    assert stored["sent"]["amount"] == 1000


def test_every_row_belongs_to_its_project() -> None:
    events: list[tuple[Event, Envelope]] = [
        (_redeemed(100, 900), _meta(1)),
        (_redeemed(700, 900), _meta(2, "proj_other")),
        (_order(), _meta(3)),
        (_order(), _meta(4, "proj_other")),
    ]
    rows = fold_in_memory(PROJECTION, events)
    assert rows["accounts"][SHOP, ACCOUNT]["used"] == 100
    assert rows["accounts"]["proj_other", ACCOUNT]["used"] == 700
    assert set(rows["orders"]) == {(SHOP, "ord_1"), ("proj_other", "ord_1")}


def test_a_deleted_tier_is_gone_and_an_enabling_has_a_new_version() -> None:
    tier = promotions.PromotionTier(id="promo_1", campaign_id="camp_1", name="T", created_at=NOW)
    other = tier.model_copy(update={"id": "promo_2"})
    events: list[tuple[Event, Envelope]] = [
        (promotions.PromotionTierCreated(tier=tier), _meta(1)),
        (promotions.PromotionTierCreated(tier=other), _meta(2)),
        (promotions.PromotionTierDisabled(tier=other), _meta(3)),
        (promotions.PromotionTierDeleted(tier=tier), _meta(4)),
    ]
    rows = fold_in_memory(PROJECTION, events)["tiers"]
    assert set(rows) == {(SHOP, "promo_2")}
    assert rows[SHOP, "promo_2"]["version"] == 3


def test_every_event_of_the_topics_is_folded_or_left_out() -> None:
    known = set(PROJECTION.folds) | PROJECTION.ignored_types
    for module in (campaigns, catalog, customers, gateway, ledger, promotions):
        for value in vars(module).values():
            is_event = isinstance(value, type) and issubclass(value, Event) and value.TYPE
            if is_event and value is not catalog.IntakeRejected:
                assert value.TYPE in known, f"{value.TYPE} would stop the replica"


def _project(**settings: str) -> gateway.ProjectUpdated:
    project = gateway.Project(
        id=SHOP,
        name="Shop",
        timezone="Europe/Berlin",
        currency="EUR",
        created_at=NOW,
        webhook_secret="x",
        settings=settings,
    )
    return gateway.ProjectUpdated(project=project)


def test_a_week_begins_on_the_projects_day_else_on_monday() -> None:
    for settings, day in (({}, 0), ({"first_day_of_week": "SUNDAY"}, 6)):
        rows = fold_in_memory(PROJECTION, [(_project(**settings), _meta(1))])
        assert rows["projects"][SHOP,]["first_day_of_week"] == day


def test_an_assignment_that_is_removed_leaves_its_position_and_a_rule_its_row() -> None:
    rule = campaigns.ValidationRule(id="val_1", name="R", created_at=NOW)
    assigned = campaigns.Assignment(
        id="asgm_1",
        rule_id="val_1",
        related_object_type="voucher",
        related_object_id=VOUCHER,
        created_at=NOW,
    )
    events: list[tuple[Event, Envelope]] = [
        (campaigns.ValidationRuleCreated(rule=rule), _meta(1)),
        (campaigns.ValidationRuleAssigned(assignment=assigned), _meta(2)),
        (campaigns.ValidationRuleUpdated(rule=rule.model_copy(update={"version": 2})), _meta(3)),
    ]
    rows = fold_in_memory(PROJECTION, events)
    assert rows["rules"][SHOP, "val_1"]["version"] == 3
    key = (SHOP, VOUCHER, "asgm_1")
    assert (rows["assignments"][key]["rule_id"], rows["assignments"][key]["position"]) == (
        "val_1",
        2,
    )
    removed = campaigns.ValidationRuleUnassigned(assignment=assigned)
    events += [
        (removed, _meta(4)),
        (campaigns.ValidationRuleDeleted(rule_id="val_1"), _meta(5)),
    ]
    rows = fold_in_memory(PROJECTION, events)
    assert (SHOP, "val_1") not in rows["rules"]
    assert (rows["assignments"][key]["rule_id"], rows["assignments"][key]["position"]) == (None, 4)


def test_collections_and_holders_come_and_collections_go() -> None:
    collection = catalog.ProductCollection(id="pc_1", name="C", type="STATIC", created_at=NOW)
    publication = distribution.Publication(
        id="pub_1", customer={"id": "cust_1"}, vouchers=[{"id": VOUCHER}], created_at=NOW
    )
    events: list[tuple[Event, Envelope]] = [
        (catalog.ProductCollectionCreated(collection=collection), _meta(1)),
        (distribution.PublicationSucceeded(publication=publication), _meta(2)),
    ]
    rows = fold_in_memory(PROJECTION, events)
    assert rows["collections"][SHOP, "pc_1"]["version"] == 1
    assert (SHOP, VOUCHER, "cust_1") in rows["holders"]
    assert rows["publications"][SHOP, VOUCHER, "pub_1"]["customer_id"] == "cust_1"
    events.append((catalog.ProductCollectionDeleted(collection_id="pc_1"), _meta(3)))
    assert (SHOP, "pc_1") not in fold_in_memory(PROJECTION, events)["collections"]
