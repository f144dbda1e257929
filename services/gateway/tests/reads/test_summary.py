"""A campaign's summary: all its days, and those of a range by the project's own calendar."""

from datetime import UTC, datetime

import pytest

from contracts.campaigns import Voucher, VoucherCreated, VouchersGenerated
from contracts.errors import ErrorBody
from contracts.ledger import BalanceAdjusted, RollbackFailed
from contracts.messages import Event
from services.gateway.tests.reads.conftest import Project, Site

pytestmark = pytest.mark.integration
# The project is in Berlin: its second of March begins at 23:00 of the first in UTC.
EVENING = datetime(2026, 3, 1, 22, 59, 59, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 1, 23, 0, tzinfo=UTC)
NEXT_EVENING = datetime(2026, 3, 2, 22, 59, 59, tzinfo=UTC)
THIRD = datetime(2026, 3, 2, 23, 0, tzinfo=UTC)
SUMMARY = "/v1/campaigns/camp_2/summary"
SECOND = {"start_date": "2026-03-02", "end_date": "2026-03-02"}


def adjusted(number: int, amount: int, at: datetime) -> Event:
    return BalanceAdjusted(
        transaction_id=f"vtx_{number}",
        voucher={"id": "v_card", "campaign_id": "camp_2"},
        account="credits/v_card",
        unit="credit",
        amount=amount,
        limit=5000,
        limit_version=1,
        used=0,
        available=5000,
        adjusted_at=at,
    )


async def tell(site: Site, *events: tuple[str, str, Event]) -> None:
    for source, stream, event in events:
        await site.harness.event(site.first.id, event, source=source, stream=stream)


async def test_balance_changes_count_on_their_day(site: Site) -> None:
    project = site.first
    before = await project.must(SUMMARY)
    whole_second = await project.must(SUMMARY, **SECOND)
    assert (whole_second["amount_added"], whole_second["amount_subtracted"]) == (0, 0)
    changes = [(1, 500, EVENING), (2, -200, MIDNIGHT), (3, 70, NEXT_EVENING), (4, -9, THIRD)]
    await tell(
        site,
        *[("ledger", f"adjustment-vtx_{n}", adjusted(n, amount, at)) for n, amount, at in changes],
    )
    after = await project.must(SUMMARY)
    assert after["amount_added"] == before["amount_added"] + 570
    assert after["amount_subtracted"] == before["amount_subtracted"] + 209
    second = await project.must(SUMMARY, **SECOND)
    assert (second["amount_added"], second["amount_subtracted"]) == (70, 200)
    since = await project.must(SUMMARY, start_date="2026-03-02")
    assert (since["amount_added"], since["amount_subtracted"]) == (70, 209)
    until = await project.must(SUMMARY, end_date="2026-03-01T12:00:00Z")
    assert until["amount_added"] == before["amount_added"] + 500
    assert until["amount_subtracted"] == before["amount_subtracted"]


async def test_gift_cards_count_with_what_they_began_with(site: Site) -> None:
    project = site.first
    before = await project.must(SUMMARY)
    card = Voucher(id="v_new", code="NEW", campaign_id="camp_2", created_at=MIDNIGHT)
    slice_ = VouchersGenerated(
        campaign_id="camp_2",
        action_id="aa_9",
        codes=["N-1", "N-2"],
        gift_amount=300,
        done=2,
        total=2,
        generated_at=MIDNIGHT,
    )
    await tell(
        site,
        ("campaigns", "voucher-v_new", VoucherCreated(voucher=card, gift_amount=700)),
        ("campaigns", "campaign-camp_2", slice_),
    )
    after = await project.must(SUMMARY)
    assert after["created_vouchers_amount"] == before["created_vouchers_amount"] + 1300
    assert after["vouchers_created"] == before["vouchers_created"] + 3
    second = await project.must(SUMMARY, **SECOND)
    assert (second["created_vouchers_amount"], second["vouchers_created"]) == (1300, 3)


async def test_rollbacks_that_failed_are_counted(site: Site) -> None:
    before = await site.first.must("/v1/campaigns/camp_1/summary")
    failed = RollbackFailed(
        rollback_id="rrf_9",
        redemption_id="r_p",
        campaign_ids=["camp_1", "camp_1"],
        error=ErrorBody(code=400, key="already_rolled_back", message="Already rolled back"),
        failed_at=MIDNIGHT,
    )
    await tell(site, ("ledger", "rollback-rrf_9", failed))
    after = await site.first.must("/v1/campaigns/camp_1/summary")
    assert after["rollbacks_failed"] == before["rollbacks_failed"] + 2
    assert after["rollbacks"] == before["rollbacks"] + 2
    assert (after["validations"], after["vouchers_deleted"]) == (0, 0)


@pytest.mark.parametrize(
    "query",
    [
        {"start_date": "yesterday"},
        {"end_date": "2026-13-01"},
        {"end_date": "0001-01-01"},
        {"end_date": "9999-12-31"},
        {"start_date": "2026-03-02", "end_date": "2026-03-01"},
    ],
)
async def test_a_range_that_is_none_is_refused(project: Project, query: dict[str, str]) -> None:
    answer = await project.get(SUMMARY, **query)
    assert (answer.status, answer.json["key"]) == (400, "invalid_query_params")
    assert next(iter(query)) in answer.json["details"] or "end_date" in answer.json["details"]
