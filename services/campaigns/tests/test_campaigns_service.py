"""The service on a real Postgres: commands, uniqueness, generation and its resumption."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from campaigns import limits, queries
from campaigns.app import build
from campaigns.audit import audit
from campaigns.generation import generator, run_slice
from campaigns.settings import Settings
from contracts import ids
from contracts.campaigns import (
    AddVouchers,
    AssignValidationRule,
    CampaignCreated,
    CampaignDisabled,
    CampaignUpdated,
    CreateCampaign,
    CreateValidationRule,
    CreateVoucher,
    SetCampaignActive,
    SetVoucherActive,
    UpdateCampaign,
    UpdateVoucher,
    ValidationRuleAssigned,
    ValidationRuleCreated,
    VoucherCreated,
    VoucherDisabled,
    VouchersGenerated,
    VouchersGenerationCompleted,
    VouchersGenerationFailed,
    VouchersGenerationStarted,
    VoucherUpdated,
)
from contracts.distribution import CodeRequested, Publication, PublicationSucceeded
from runtime import clock
from runtime.testing import Harness

pytestmark = pytest.mark.integration

DISCOUNT = {"type": "PERCENT", "percent_off": 10}


def campaign(campaign_id="camp_1", name="Autumn", count=0, rules=(), **body):
    voucher = {"type": "DISCOUNT_VOUCHER", "discount": DISCOUNT, **body.pop("voucher", {})}
    return CreateCampaign(
        campaign_id=campaign_id,
        action_id=f"aa_{campaign_id}",
        definition={"name": name, "voucher": voucher, **body},
        vouchers_count=count,
        validation_rules=list(rules),
    )


def voucher(code=None, rules=(), **body):
    definition = {"type": "DISCOUNT_VOUCHER", "discount": DISCOUNT, **body}
    return CreateVoucher(code=code, definition=definition, validation_rules=list(rules))


def rule(rule_id="val_1"):
    leaf = {"name": "order.amount", "conditions": {"$more_than": [5000]}}
    return CreateValidationRule(
        rule_id=rule_id, definition={"name": "Big orders", "rules": {"1": leaf, "logic": "1"}}
    )


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ("DELETE FROM codes WHERE code = 'A'", "code A is in the log and not in the list"),
        ("UPDATE codes SET campaign_id = 'camp_2' WHERE code = 'A'", "code A is in the list"),
        ("UPDATE codes SET project_id = 'p2' WHERE code = 'A'", "project p2: code A"),
        ("UPDATE codes SET voucher_id = 'v_x' WHERE code = 'A'", "A is listed under v_x"),
        ("UPDATE campaign_code_counts SET codes = 9", "camp_1 counts 9 codes, 3 are listed"),
        ("UPDATE generation_jobs SET done = 1", "generation aa_camp_1 is done 1 of 2 but"),
        (
            "UPDATE generation_jobs SET status = 'running'",
            "is running 2 of 2 but the log says done",
        ),
        ("DELETE FROM generation_jobs", "generation aa_camp_1 is"),
        ("DELETE FROM campaign_names", "campaign name 'Autumn'"),
        ("DELETE FROM assigned_rules", "assignment asgm_"),
    ],
)
async def test_the_audit_finds_what_differs_from_the_log(leased_settings, damage, finding):
    async with Harness(build(Settings(**leased_settings.model_dump()))) as running:
        await running.command("p1", rule())
        await running.command("p1", campaign(count=2, rules=["val_1"]))
        await finish(running)
        await running.command("p1", AddVouchers(campaign_id="camp_1", action_id="x", code="A"))
        async with running.service.pool.acquire() as connection:
            assert await audit(connection) == []
            await connection.execute(damage)
            findings = await audit(connection)
    assert any(finding in one for one in findings), findings


@pytest_asyncio.fixture
async def harness(leased_settings) -> AsyncIterator[Harness]:
    async with Harness(build(Settings(**leased_settings.model_dump()))) as running:
        yield running
        async with running.service.pool.acquire() as connection:
            assert await audit(connection) == []


async def work(harness):
    while await run_slice(harness.service):
        pass


async def finish(harness):
    await work(harness)
    await harness.refresh()


def of(harness, kind):
    return [event for event in harness.appended if isinstance(event, kind)]


def codes_of(harness, campaign_id="camp_1"):
    slices = [e for e in of(harness, VouchersGenerated) if e.campaign_id == campaign_id]
    return [code for one in slices for code in one.codes]


async def test_a_campaign_answers_at_once_and_gets_its_codes_in_slices(harness):
    reply = await harness.command("p1", campaign(count=4500))
    assert reply.status == 200
    assert reply.body["campaign"]["vouchers_generation_status"] == "IN_PROGRESS"
    assert reply.body["campaign"]["vouchers_count"] == 0
    assert [type(event) for event in harness.appended] == [
        CampaignCreated,
        VouchersGenerationStarted,
    ]
    await finish(harness)
    assert [(e.done, e.total) for e in of(harness, VouchersGenerated)] == [
        (2000, 4500),
        (4000, 4500),
        (4500, 4500),
    ]
    assert isinstance(harness.appended[-1], VouchersGenerationCompleted)
    codes = codes_of(harness)
    assert len(codes) == len(set(codes)) == 4500
    updated = await harness.command(
        "p1", UpdateCampaign(campaign_id="camp_1", changes={"description": "x"})
    )
    assert updated.body["campaign"]["vouchers_count"] == 4500
    assert updated.body["campaign"]["vouchers_generation_status"] == "DONE"


async def test_names_and_codes_are_unique_in_a_project_and_free_in_another(harness):
    assert (await harness.command("p1", campaign())).status == 200
    assert (await harness.command("p1", voucher("HELLO"))).status == 200
    before = len(harness.appended)
    again = await harness.command("p1", campaign("camp_2"))
    assert again.status == 409
    assert again.error.key == "duplicate_found"
    assert again.error.details == "Duplicated campaign exists with name Autumn"
    taken = await harness.command("p1", voucher("HELLO"))
    assert taken.status == 409
    assert taken.error.details == "Duplicated voucher exists with id HELLO"
    added = await harness.command(
        "p1", AddVouchers(campaign_id="camp_1", action_id="aa_x", code="HELLO")
    )
    assert added.status == 409
    assert len(harness.appended) == before
    assert len(await harness.rows("codes")) == 1
    assert (await harness.command("p2", campaign())).status == 200
    other = await harness.command("p2", voucher("HELLO"))
    assert other.body["voucher"]["id"] == ids.voucher_id("p2", "HELLO")


@pytest.mark.parametrize("project", ["proj_1", "proj_ci_1"])
async def test_T13_a_code_that_looks_like_another_is_that_code(harness, project):
    assert (await harness.command(project, voucher("CAF\u00c9-10"))).status == 200
    before = len(harness.appended)
    for twin in ("CAFE\u0301-10", "\uff23AF\u00c9-10", "C\u0410F\u00c9-10", "\u0421AF\u00c9-10"):
        taken = await harness.command(project, voucher(twin))
        assert (taken.status, taken.error.key) == (409, "duplicate_found")
    assert len(harness.appended) == before
    changed = await harness.command(
        project, UpdateVoucher(code="CAF\u0415\u0301-10", changes={"metadata": {"a": 1}})
    )
    assert changed.body["voucher"]["code"] == "CAF\u00c9-10"
    assert [row["code"] for row in await harness.rows("codes")] == ["CAF\u00c9-10"]


@pytest.mark.parametrize("hidden", ["\u200b", "\u202e", "\u3164", "\ufe0f"])
async def test_T13_a_code_with_what_nobody_sees_is_refused_by_name(harness, hidden):
    for command, prop in (
        (voucher(f"SUM{hidden}MER"), "code"),
        (voucher(code_config={"prefix": hidden}), "code_config.prefix"),
        (campaign(voucher={"code_config": {"charset": f"ab{hidden}"}}), "code_config.charset"),
    ):
        reply = await harness.command("p1", command)
        assert (reply.status, reply.error.key) == (400, "invalid_payload")
        assert prop in reply.error.details
    assert harness.appended == []
    assert await harness.rows("codes") == []


async def test_a_name_means_the_project_s_own_campaign(harness):
    await harness.command("p1", campaign("camp_1"))
    await harness.command("p2", campaign("camp_2"))
    for project_id, campaign_id in (("p1", "camp_1"), ("p2", "camp_2")):
        command = SetCampaignActive(campaign_id="Autumn", active=False)
        reply = await harness.command(project_id, command)
        assert reply.body["campaign"]["id"] == campaign_id


async def test_two_commands_for_one_code_in_one_batch(harness):
    replies = await harness.commands([("p1", voucher("ONE")), ("p1", voucher("ONE"))])
    assert sorted(reply.status for reply in replies) == [200, 409]
    assert len(of(harness, VoucherCreated)) == 1


async def test_single_codes_are_made_at_once(harness):
    await harness.command("p1", campaign(count=1))
    drawn = await harness.command("p1", AddVouchers(campaign_id="camp_1", action_id="aa_2"))
    named = await harness.command(
        "p1", AddVouchers(campaign_id="Autumn", action_id="aa_3", code="MINE", overrides={})
    )
    assert len(drawn.body["voucher"]["code"]) == 8
    assert named.body["voucher"]["code"] == "MINE"
    assert named.body["voucher"]["definition"] is None
    assert [event.voucher.campaign_id for event in of(harness, VoucherCreated)] == ["camp_1"] * 3
    reply = await harness.command("p1", UpdateCampaign(campaign_id="camp_1", changes={}))
    assert reply.body["campaign"]["vouchers_count"] == 3


async def test_a_generated_code_gets_its_stream_with_its_first_change(harness):
    await harness.command("p1", campaign(count=10))
    await finish(harness)
    code = codes_of(harness)[0]
    off = await harness.command("p1", SetVoucherActive(code=code, active=False))
    assert off.body["voucher"]["version"] == 2
    assert off.body["voucher"]["definition"] is None
    by_id = UpdateVoucher(code=ids.voucher_id("p1", code), changes={"metadata": {"a": 1}})
    changed = await harness.command("p1", by_id)
    own = changed.body["voucher"]["definition"]
    assert (own["metadata"], own["discount"]) == ({"a": 1}, DISCOUNT)
    assert changed.body["voucher"]["version"] == 3
    assert changed.body["voucher"]["active"] is False
    assert changed.body["campaign"]["id"] == "camp_1"
    assert [type(event) for event in harness.appended[-2:]] == [VoucherDisabled, VoucherUpdated]
    for name in (code, ids.voucher_id("p1", code)):
        elsewhere = await harness.command("p2", SetVoucherActive(code=name, active=True))
        assert elsewhere.status == 404
        assert elsewhere.error.details == f"Cannot find voucher with id {name}"


async def test_codes_with_overrides_keep_their_own_definition(harness):
    await harness.command("p1", campaign(count=0))
    overrides = {"redemption": {"quantity": 7}}
    command = AddVouchers(campaign_id="camp_1", action_id="aa_2", count=3, overrides=overrides)
    reply = await harness.command("p1", command)
    assert reply.body == {"async_action_id": "aa_2"}
    await finish(harness)
    generated = of(harness, VouchersGenerated)[0]
    assert generated.definition.redemption == {"quantity": 7}
    update = UpdateVoucher(code=generated.codes[0], changes={"additional_info": "x"})
    changed = await harness.command("p1", update)
    assert changed.body["voucher"]["definition"]["redemption"] == {"quantity": 7}
    assert changed.body["voucher"]["version"] == 2


async def test_switching_a_campaign_off_and_on(harness):
    await harness.command("p1", campaign())
    command = SetCampaignActive(campaign_id="camp_1", active=False)
    assert (await harness.command("p1", command)).body["campaign"]["active"] is False
    assert (await harness.command("p1", command)).status == 200
    assert len(of(harness, CampaignDisabled)) == 1
    for name in ("camp_1", "Autumn"):
        missing = await harness.command("p2", command.model_copy(update={"campaign_id": name}))
        assert missing.status == 404
        assert missing.error.resource_type == "campaign"


async def test_rules_are_assigned_with_the_campaign_or_not_at_all(harness):
    unknown = await harness.command("p1", campaign(rules=["val_1"]))
    assert unknown.status == 404
    assert unknown.error.details == "Cannot find validation_rules with id val_1"
    assert harness.appended == []
    assert await harness.rows("campaign_names") == []
    assert (await harness.command("p1", rule())).status == 200
    reply = await harness.command("p1", campaign(rules=["val_1", "val_1"]))
    assert [one["related_object_id"] for one in reply.body["assignments"]] == ["camp_1"]
    await harness.command("p1", voucher("SOLO"))
    by_code = AssignValidationRule(
        assignment_id="asgm_1",
        rule_id="val_1",
        related_object_type="voucher",
        related_object_id="SOLO",
    )
    assigned = await harness.command("p1", by_code)
    assert assigned.body["assignment"]["related_object_id"] == ids.voucher_id("p1", "SOLO")
    again = by_code.model_copy(update={"assignment_id": "asgm_2"})
    assert (await harness.command("p1", again)).status == 409
    for_name = AssignValidationRule(
        assignment_id="asgm_3",
        rule_id="val_1",
        related_object_type="campaign",
        related_object_id="Autumn",
    )
    assert (await harness.command("p1", for_name)).status == 409
    missing = for_name.model_copy(update={"related_object_id": "Winter"})
    assert (await harness.command("p1", missing)).status == 404
    assert (await harness.command("p2", by_code)).status == 404
    assert len(of(harness, ValidationRuleAssigned)) == 2
    assert len(of(harness, ValidationRuleCreated)) == 1


async def test_generation_resumes_after_the_worker_was_lost(harness, leased_settings):
    await harness.command("p1", campaign(count=5000))
    await run_slice(harness.service)
    lost = asyncio.create_task(run_slice(harness.service))
    await asyncio.sleep(0)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    async with Harness(build(Settings(**leased_settings.model_dump())), is_new=False) as second:
        await finish(second)
    await harness.refresh()
    codes = codes_of(harness)
    assert len(codes) == len(set(codes)) == 5000
    assert len(of(harness, VouchersGenerationCompleted)) == 1
    assert {row["status"] for row in await harness.rows("generation_jobs")} == {"done"}


async def test_a_crash_before_the_commit_leaves_nothing(harness, monkeypatch):
    await harness.command("p1", campaign(count=3000))
    real = queries.count_codes

    async def crash(*args, **kwargs):
        raise RuntimeError("killed")

    monkeypatch.setattr(queries, "count_codes", crash)
    with pytest.raises(RuntimeError):
        await run_slice(harness.service)
    monkeypatch.setattr(queries, "count_codes", real)
    assert await harness.rows("codes") == []
    await finish(harness)
    assert len(set(codes_of(harness))) == 3000


async def test_workers_at_once_make_each_code_once(harness, leased_settings):
    for number in range(3):
        await harness.command("p1", campaign(f"camp_{number}", f"Sale {number}", count=4100))
    await harness.command("p2", campaign("camp_0", "Sale 0", count=4100))
    async with Harness(build(Settings(**leased_settings.model_dump())), is_new=False) as second:
        await asyncio.gather(work(harness), work(second), work(harness))
    await finish(harness)
    assert len(await harness.rows("codes")) == 4 * 4100
    assert {row["codes"] for row in await harness.rows("campaign_code_counts")} == {4100}
    assert len(of(harness, VouchersGenerationCompleted)) == 4


async def test_projects_take_turns(harness):
    await harness.command("p1", campaign("camp_1", "A", count=8000))
    await harness.command("p1", campaign("camp_2", "B", count=8000))
    await harness.command("p2", campaign("camp_3", "C", count=4000))
    for _ in range(4):
        await run_slice(harness.service)
    await harness.refresh()
    order = [event.campaign_id for event in of(harness, VouchersGenerated)]
    assert order == ["camp_1", "camp_3", "camp_2", "camp_3"]


async def test_commands_and_slices_interleave(harness):
    await harness.command("p1", campaign(count=6000))
    for number in range(3):
        changes = {"description": f"text {number}"}
        slice_task = asyncio.create_task(run_slice(harness.service))
        reply = await harness.command("p1", UpdateCampaign(campaign_id="camp_1", changes=changes))
        await slice_task
        assert reply.status == 200
    await finish(harness)
    assert len(set(codes_of(harness))) == 6000
    assert len(of(harness, CampaignUpdated)) == 3
    versions = [event.campaign.version for event in of(harness, CampaignUpdated)]
    assert versions == sorted(set(versions))


async def test_a_small_pattern_is_used_up_exactly_and_then_fails(harness):
    tight = {"voucher": {"code_config": {"pattern": "A##", "charset": "0123456789"}}}
    await harness.command("p1", campaign("camp_1", "A", count=100, **tight))
    await harness.command("p1", campaign("camp_2", "B", count=5, **tight))
    await finish(harness)
    assert sorted(codes_of(harness)) == [f"A{number:02}" for number in range(100)]
    failed = of(harness, VouchersGenerationFailed)
    assert [(one.campaign_id, one.done, one.total) for one in failed] == [("camp_2", 0, 5)]
    assert failed[0].error.key == "invalid_code_config"
    single = await harness.command("p1", AddVouchers(campaign_id="camp_2", action_id="aa_9"))
    assert single.status == 400
    assert "code_config" in single.error.details
    too_many = await harness.command("p1", campaign("camp_3", "C", count=101, **tight))
    assert too_many.status == 400
    assert too_many.error.details == ("code_config: must allow 101 different codes; it allows 100")


async def test_a_standalone_campaign_has_one_code_and_gets_no_more(harness):
    reply = await harness.command(
        "p1", campaign(type="STANDALONE", voucher={"code": "BLACKFRIDAY"})
    )
    assert reply.body["campaign"]["vouchers_count"] == 1
    assert [event.voucher.code for event in of(harness, VoucherCreated)] == ["BLACKFRIDAY"]
    more = await harness.command("p1", AddVouchers(campaign_id="camp_1", action_id="aa_2"))
    assert more.status == 400
    assert more.error.key == "invalid_campaign"


async def test_a_campaign_that_grows_adds_a_code_when_asked(harness):
    await harness.command("p1", campaign(type="AUTO_UPDATE"))
    await harness.command("p1", campaign("camp_2", "Static", type="STATIC"))
    for campaign_id in ("camp_1", "camp_2", "camp_unknown"):
        asked = CodeRequested(campaign_id=campaign_id, action_id="aa_5")
        await harness.event("p1", asked, source="distribution")
    assert [event.voucher.campaign_id for event in of(harness, VoucherCreated)] == ["camp_1"]


async def test_publication_starts_the_period_of_a_code(harness):
    await harness.command("p1", campaign(count=1, activity_duration_after_publishing="P7D"))
    created = of(harness, VoucherCreated)[0].voucher
    publication = Publication(
        id="pub_1",
        customer={"id": "cust_1"},
        campaign_id="camp_1",
        vouchers=[{"id": created.id, "code": created.code, "campaign_id": "camp_1"}],
        created_at=clock.now(),
    )
    event = PublicationSucceeded(publication=publication)
    await harness.event("p1", event, source="distribution")
    own = of(harness, VoucherUpdated)[0].voucher.definition
    assert own.start_date == publication.created_at
    assert (own.expiration_date - own.start_date).days == 7
    assert own.discount == DISCOUNT


@pytest.mark.parametrize(
    ("changes", "prop"),
    [
        ({"name": ""}, "name"),
        ({"name": 5}, "name"),
        ({"voucher": {"discount": {"type": "MAGIC"}}}, "voucher.discount.type"),
        ({"voucher": {"discount": {"type": "UNIT"}}}, "voucher.discount.unit_type"),
        ({"voucher": {"discount": {"type": "PERCENT", "percent_off": 101}}}, "percent_off"),
        ({"voucher": {"redemption": {"quantity": 0}}}, "voucher.redemption.quantity"),
        ({"voucher": {"code_config": {"charset": ""}}}, "voucher.code_config.charset"),
        ({"campaign_type": "LOYALTY_PROGRAM"}, "campaign_type"),
        ({"campaign_type": "PROMOTION"}, "voucher"),
        ({"campaign_type": "GIFT_VOUCHERS"}, "voucher.type"),
        ({"start_date": "tomorrow"}, "start_date"),
    ],
)
async def test_a_wrong_body_is_refused_by_name_and_changes_nothing(harness, changes, prop):
    reply = await harness.command("p1", campaign(**{"name": "Autumn", **changes}))
    assert reply.status == 400
    assert prop in reply.error.details
    assert harness.appended == []
    assert await harness.rows("campaign_names") == []


async def test_the_generator_keeps_its_pace(harness):
    await harness.command("p1", campaign(count=2 * limits.GENERATION_SLICE_CODES))
    slow = asyncio.create_task(generator(limits.GENERATION_SLICE_CODES)(harness.service))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(slow), 0.5)
    assert {row["done"] for row in await harness.rows("generation_jobs")} == {2000}
    slow.cancel()
    fast = asyncio.create_task(generator(0)(harness.service))
    async with asyncio.timeout(10):
        while {row["status"] for row in await harness.rows("generation_jobs")} != {"done"}:
            await asyncio.sleep(0.01)
    fast.cancel()
    await asyncio.gather(slow, fast, return_exceptions=True)
    await harness.refresh()
    assert len(set(codes_of(harness))) == 4000
