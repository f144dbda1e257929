"""Names, addresses, endpoints, verdicts, signatures, and what events mean. No I/O."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from contracts import campaigns, customers, distribution, ids, ledger, promotions
from contracts.campaigns import Campaign, ValidationRule, Voucher, VoucherDefinition
from contracts.errors import DomainError, ErrorBody, InvalidPayload
from contracts.messages import TYPES, Event
from contracts.webhooks import (
    CreateEndpoint,
    DeliveryAttempted,
    Endpoint,
    UpdateEndpoint,
)
from webhooks import limits
from webhooks.domain.address import is_public, read_target_url
from webhooks.domain.delivery import Answer, Attempt, Verdict, evolve, judge
from webhooks.domain.endpoint import (
    EndpointState,
    decide_create_endpoint,
    decide_update_endpoint,
)
from webhooks.domain.mapping import IGNORED, MAPPED, Known, NotYetKnown, body, hooks, references
from webhooks.domain.names import NAMES, covered, read_events
from webhooks.settings import Settings
from webhooks.signing import project_signature, signed_headers

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PORTS = frozenset({443, 8443})

# -- names --------------------------------------------------------------------------------------


def test_wildcards_stand_for_what_they_say():
    assert covered(["redemption.succeeded"]) == {"redemption.succeeded"}
    assert covered(["redemption.*"]) == {
        "redemption.succeeded",
        "redemption.failed",
        "redemption.rollback.succeeded",
        "redemption.rollback.failed",
    }
    assert covered(["*"]) == NAMES
    assert len(NAMES) == 61
    assert covered(["voucher.gift.balance_aded"]) == {"voucher.gift.balance_added"}


@pytest.mark.parametrize(
    ("events", "at_fault"),
    [
        ([], "events"),
        ("redemption.succeeded", "events"),
        (["redemption.succeeded", "nonsense"], "events[1]"),
        (["nonsense.*"], "events[0]"),
        ([7], "events[0]"),
        (["redemption.succeeded"] * (limits.EVENTS_PER_ENDPOINT_MAX + 1), "events"),
    ],
)
def test_unknown_events_are_refused(events, at_fault):
    with pytest.raises(InvalidPayload) as refused:
        read_events("events", events)
    assert refused.value.prop == at_fault


# -- addresses ----------------------------------------------------------------------------------

PRIVATE = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_in_any_wrapping_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        *(f"https://[{one}]/" if ":" in one else f"https://{one}/" for one in PRIVATE),
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://intranet/",
        "http://shop.example/hooks",
        "https://shop.example:80/hooks",
        "https://shop.example:99999/hooks",
        "https://user:password@shop.example/",
        "https://shop.example\\@10.0.0.1/",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "https://",
        "https://[::1/",
        "https://shop.example/\r\nHost: x",
        "no url",
        "",
        7,
        None,
        "https://shop.example/" + "x" * limits.URL_LENGTH_MAX,
    ],
)
def test_forbidden_urls_are_refused_by_name(url):
    with pytest.raises(DomainError) as refused:
        read_target_url("target_url", url, is_private_allowed=False, ports=PORTS)
    assert refused.value.status == 400
    assert refused.value.details.startswith("target_url: must ")


def test_public_urls_are_taken():
    for url in ("https://shop.example/hooks?a=b", "https://shop.example:8443/", "https://8.8.8.8/"):
        assert read_target_url("u", url, is_private_allowed=False, ports=PORTS) == url


def test_private_urls_are_taken_when_the_operator_says_so():
    for url in ("http://127.0.0.1:8080/hooks", "http://localhost/"):
        assert read_target_url("u", url, is_private_allowed=True, ports=PORTS) == url
    with pytest.raises(InvalidPayload):
        read_target_url("u", "file:///etc/passwd", is_private_allowed=True, ports=PORTS)


# -- endpoints ----------------------------------------------------------------------------------


def read_url(path: str, value: Any) -> str:
    return read_target_url(path, value, is_private_allowed=False, ports=PORTS)


def create(**changes):
    fields = {
        "endpoint_id": "wh_1",
        "target_url": "https://shop.example/",
        "events": ["*"],
        "secret": "sealed",
    }
    return CreateEndpoint(**{**fields, **changes})


ENDPOINT = Endpoint(
    id="wh_1", target_url="https://shop.example/", events=["*"], secret="sealed", created_at=NOON
)


@pytest.mark.parametrize(
    ("changes", "at_fault"),
    [
        ({"target_url": "http://shop.example"}, "target_url"),
        ({"events": ["nonsense"]}, "events[0]"),
    ],
)
def test_a_wrong_endpoint_is_refused_by_name(changes, at_fault):
    with pytest.raises(DomainError) as refused:
        decide_create_endpoint(None, create(**changes), NOON, read_url, 0)
    assert refused.value.prop == at_fault
    state = EndpointState(endpoint=ENDPOINT)
    for wrong in ({**changes}, {"active": "yes"}, {"events": None}):
        with pytest.raises(DomainError):
            decide_update_endpoint(
                state, UpdateEndpoint(endpoint_id="wh_1", changes=wrong), NOON, read_url
            )


def test_a_project_has_so_many_endpoints_and_no_more():
    with pytest.raises(InvalidPayload):
        decide_create_endpoint(None, create(), NOON, read_url, limits.ENDPOINTS_PER_PROJECT_MAX)


# -- verdicts -----------------------------------------------------------------------------------

OFFSETS = (5.0, 30.0, 60.0)


def attempt(number: int, status: int | None = 500, after_s: float = 0, **answer) -> Attempt:
    return Attempt(
        number, NOON, NOON + timedelta(seconds=after_s), Answer(status, None, 5, **answer)
    )


def test_retries_follow_the_schedule_from_the_first_attempt():
    assert judge(attempt(1), OFFSETS, 0) == Verdict("pending", NOON + timedelta(seconds=5))
    assert judge(attempt(2, after_s=6), OFFSETS, 0) == Verdict(
        "pending", NOON + timedelta(seconds=30)
    )
    assert judge(attempt(3, after_s=90), OFFSETS, 0) == Verdict(
        "pending", NOON + timedelta(seconds=90)
    )
    assert judge(attempt(4), OFFSETS, 0) == Verdict("exhausted", None)


def test_jitter_lengthens_a_pause_by_a_tenth_at_most():
    assert judge(attempt(1), OFFSETS, 1) == Verdict("pending", NOON + timedelta(seconds=5.5))


def test_only_2xx_is_success_and_410_ends():
    for status in (200, 201, 204, 299):
        assert judge(attempt(1, status), OFFSETS, 0).status == "delivered"
    for status in (None, 100, 301, 302, 304, 400, 404, 429, 500, 503):
        assert judge(attempt(1, status), OFFSETS, 0).status == "pending"
    assert judge(attempt(1, 410), OFFSETS, 0) == Verdict("exhausted", None)


def test_retry_after_is_kept_within_bounds():
    asked = judge(attempt(1, 429, retry_after_s=60.0), OFFSETS, 0)
    assert asked.next_attempt_at == NOON + timedelta(seconds=60)
    greedy = judge(attempt(1, 429, retry_after_s=10.0**8), OFFSETS, 0)
    assert greedy.next_attempt_at == NOON + timedelta(seconds=limits.RETRY_AFTER_S_MAX)


def test_attempts_are_counted():
    event = DeliveryAttempted(
        delivery_id="whs_1",
        endpoint_id="wh_1",
        event_id="ev_1",
        event_type="customer.created",
        attempt=1,
        status="pending",
        duration_ms=5,
        attempted_at=NOON,
    )
    state = evolve(None, event)
    assert (state.attempts, state.status) == (1, "pending")
    with pytest.raises(AssertionError):
        evolve(state, event)


def test_the_default_schedule_is_the_public_one():
    minutes = [offset / 60 for offset in Settings().retry_offsets_s]
    assert minutes == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1440]


# -- signatures ---------------------------------------------------------------------------------

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_public_test_vector():
    expected = "a17d2ac229d1ebbb5f10e839c7985c4818e5986eab297f7e5979196d4d7d3ed2"
    assert project_signature("secretKey", b'{"a":1}') == expected


def test_the_library_verifies_what_we_sign_and_nothing_else():
    raw = '{"name":"Zoë"}'.encode()
    at = datetime.now(UTC)
    headers = signed_headers(
        raw, message_id="whs_1", at=at, endpoint_secrets=[SECRET], project_secret="s"
    )
    assert Webhook(SECRET).verify(raw, headers) == {"name": "Zoë"}
    old = signed_headers(
        raw,
        message_id="whs_1",
        at=at - timedelta(minutes=6),
        endpoint_secrets=[SECRET],
        project_secret="s",
    )
    for wrong_body, wrong_headers in (
        (b'{"name":"Zoe"}', headers),
        (raw, {**headers, "webhook-id": "whs_2"}),
        (raw, old),
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(SECRET).verify(wrong_body, wrong_headers)


# -- what events mean ---------------------------------------------------------------------------

TEN_OFF = VoucherDefinition(
    type="DISCOUNT_VOUCHER", discount={"type": "PERCENT", "percent_off": 10.0}
)
CAMPAIGN = Campaign(
    id="camp_1",
    name="Sale",
    campaign_type="DISCOUNT_COUPONS",
    type="STATIC",
    voucher=TEN_OFF,
    created_at=NOON,
)
RULE = ValidationRule(id="val_1", name="Rule", created_at=NOON)
RENAMED = RULE.model_copy(update={"name": "Rule 2", "updated_at": NOON, "version": 2})
ASSIGNMENT = campaigns.Assignment(
    id="asgm_1",
    rule_id="val_1",
    related_object_type="campaign",
    related_object_id="camp_1",
    created_at=NOON,
)
KNOWN = Known("p1", {"camp_1": CAMPAIGN}, {"val_1": RULE})
CUSTOMER = customers.Customer(id="cust_1", source_id="anna", name="Anna", created_at=NOON)
REFERENCE = {"id": "cust_1", "source_id": "anna", "name": "Anna"}
ORDER = {"id": "ord_1", "source_id": "o1", "amount": 10000, "status": "PAID", "total_amount": 9000}
SNAPSHOT = {
    "id": "v_1",
    "code": "A1",
    "type": "GIFT_VOUCHER",
    "campaign_id": "camp_1",
    "object": "voucher",
    "gift": {"amount": 2500},
    "created_at": "2026-03-01T12:00:00.000Z",
    "assets": None,
}
ERROR = ErrorBody(code=400, key="quantity_exceeded", message="quantity exceeded")
CREDIT = ledger.Posted(
    account="credits/v_1", contra="order/ord_1", unit="credit", amount=2500, used=2500, available=0
)


def item(**changes):
    fields = {
        "redemption_id": "r_1",
        "redeemable": {"object": "voucher", "id": "A1"},
        "related_object_type": "voucher",
        "related_object_id": "v_1",
        "voucher": SNAPSHOT,
        "campaign_id": "camp_1",
        "amount": 2500,
        "posted": [CREDIT],
    }
    return ledger.RedeemedItem(**{**fields, **changes})


def back(**changes):
    fields = {
        "rollback_id": "rr_1",
        "redemption_id": "r_1",
        "related_object_type": "voucher",
        "related_object_id": "v_1",
        "voucher": SNAPSHOT,
        "campaign_id": "camp_1",
        "amount": -2500,
        "posted": [CREDIT.model_copy(update={"amount": -2500})],
    }
    return ledger.RolledBackItem(**{**fields, **changes})


def voucher(**changes):
    fields = {"id": "v_1", "code": "A1", "campaign_id": "camp_1", "created_at": NOON}
    return Voucher(**{**fields, **changes})


def generation(kind, at, **fields):
    return kind(campaign_id="camp_1", action_id="aa_1", **{at: NOON}, **fields)


TIER = promotions.PromotionTier(
    id="promo_1",
    campaign_id="camp_1",
    name="Ten off",
    banner="10 % off everything",
    action={"discount": {"type": "PERCENT", "percent_off": 10.0}},
    created_at=NOON,
)
STACK = promotions.PromotionStack(
    id="stack_1", campaign_id="camp_1", name="Both", tier_ids=["promo_1"], created_at=NOON
)


CASES: list[tuple[Event, list[tuple[str, str]]]] = [
    (campaigns.CampaignCreated(campaign=CAMPAIGN), [("campaign.created", "camp_1")]),
    (campaigns.CampaignUpdated(campaign=CAMPAIGN), [("campaign.updated", "camp_1")]),
    (campaigns.CampaignEnabled(campaign=CAMPAIGN), [("campaign.enabled", "camp_1")]),
    (campaigns.CampaignDisabled(campaign=CAMPAIGN), [("campaign.disabled", "camp_1")]),
    (
        promotions.PromotionTierCreated(tier=TIER),
        [("campaign.promotion_tier.created", "promo_1")],
    ),
    (
        promotions.PromotionTierUpdated(tier=TIER),
        [("campaign.promotion_tier.updated", "promo_1")],
    ),
    (
        promotions.PromotionTierEnabled(tier=TIER),
        [("campaign.promotion_tier.enabled", "promo_1")],
    ),
    (
        promotions.PromotionTierDisabled(tier=TIER),
        [("campaign.promotion_tier.disabled", "promo_1")],
    ),
    (
        promotions.PromotionTierDeleted(tier=TIER),
        [("campaign.promotion_tier.deleted", "promo_1")],
    ),
    (
        promotions.PromotionStackCreated(stack=STACK),
        [("campaign.promotion_stack.created", "stack_1")],
    ),
    (
        promotions.PromotionStackUpdated(stack=STACK),
        [("campaign.promotion_stack.updated", "stack_1")],
    ),
    (
        generation(campaigns.VouchersGenerationStarted, "started_at", total=2),
        [("campaign.vouchers.generation.started", "camp_1")],
    ),
    (
        generation(campaigns.VouchersGenerationCompleted, "completed_at", total=2),
        [("campaign.vouchers.generation.completed", "camp_1")],
    ),
    (
        generation(campaigns.VouchersGenerationFailed, "failed_at", done=1, total=2, error=ERROR),
        [("campaign.vouchers.generation.failed", "camp_1")],
    ),
    (
        generation(
            campaigns.VouchersGenerated, "generated_at", codes=["A1", "A2"], done=2, total=2
        ),
        [("voucher.created", ids.voucher_id("p1", code)) for code in ("A1", "A2")],
    ),
    (
        campaigns.VoucherCreated(voucher=voucher()),
        [("voucher.created", "v_1"), ("campaign.vouchers.added", "camp_1")],
    ),
    (
        campaigns.VoucherCreated(voucher=voucher(campaign_id=None, definition=TEN_OFF)),
        [("voucher.created", "v_1")],
    ),
    (campaigns.VoucherUpdated(voucher=voucher()), [("voucher.updated", "v_1")]),
    (campaigns.VoucherEnabled(voucher=voucher()), [("voucher.enabled", "v_1")]),
    (campaigns.VoucherDisabled(voucher=voucher()), [("voucher.disabled", "v_1")]),
    (
        campaigns.ValidationRuleCreated(rule=RULE),
        [("business_validation_rule.created", "val_1")],
    ),
    (
        campaigns.ValidationRuleAssigned(assignment=ASSIGNMENT),
        [("business_validation_rule.assignment.created", "asgm_1")],
    ),
    (customers.CustomerCreated(customer=CUSTOMER), [("customer.created", "cust_1")]),
    (customers.CustomerUpdated(customer=CUSTOMER), [("customer.updated", "cust_1")]),
    (
        ledger.RedemptionSucceeded(
            items=[item(posted=[])], customer=REFERENCE, order=ORDER, redeemed_at=NOON
        ),
        [("redemption.succeeded", "r_1")],
    ),
    (
        ledger.RedemptionSucceeded(
            parent_id="r_0",
            items=[item(), item(redemption_id="r_2", posted=[])],
            customer=REFERENCE,
            order=ORDER,
            redeemed_at=NOON,
        ),
        [
            ("redemption.succeeded", "r_0"),
            ("redemption.succeeded", "r_1"),
            ("voucher.gift.transaction.created", "vtx_1"),
            ("redemption.succeeded", "r_2"),
        ],
    ),
    (
        ledger.RedemptionFailed(
            redemption_id="rf_1",
            redeemables=[{"object": "voucher", "id": "A1"}],
            refused={"object": "voucher", "id": "A1", "voucher": SNAPSHOT},
            error=ERROR,
            failed_at=NOON,
        ),
        [("redemption.failed", "rf_1")],
    ),
    (
        ledger.RedemptionRolledBack(
            redemption_id="r_0",
            parent_rollback_id="rr_0",
            items=[back()],
            order=ORDER,
            rolled_back_at=NOON,
        ),
        [
            ("redemption.rollback.succeeded", "rr_0"),
            ("redemption.rollback.succeeded", "rr_1"),
            ("voucher.gift.transaction.created", "vtx_1b"),
        ],
    ),
    (
        ledger.RollbackFailed(
            rollback_id="rrf_1", redemption_id="r_1", error=ERROR, failed_at=NOON
        ),
        [("redemption.rollback.failed", "rrf_1")],
    ),
    (
        ledger.BalanceAdjusted(
            transaction_id="vtx_9",
            voucher=SNAPSHOT,
            account="credits/v_1",
            unit="credit",
            amount=500,
            limit=2500,
            limit_version=1,
            used=0,
            available=3000,
            adjusted_at=NOON,
        ),
        [("voucher.gift.balance_added", "v_1"), ("voucher.gift.transaction.created", "vtx_9")],
    ),
    (
        campaigns.ValidationRuleUpdated(rule=RENAMED),
        [("business_validation_rule.updated", "val_1")],
    ),
    (
        campaigns.ValidationRuleUnassigned(assignment=ASSIGNMENT),
        [("business_validation_rule.assignment.deleted", "asgm_1")],
    ),
    (
        campaigns.ValidationRuleDeleted(rule_id="val_1"),
        [("business_validation_rule.deleted", "val_1")],
    ),
    (
        distribution.PublicationSucceeded(
            publication=distribution.Publication(
                id="pub_1",
                customer=REFERENCE,
                campaign_id="camp_1",
                vouchers=[SNAPSHOT],
                created_at=NOON,
            )
        ),
        [("publication.succeeded", "pub_1"), ("voucher.published", "v_1")],
    ),
]


@pytest.mark.parametrize(
    ("event", "expected"), CASES, ids=[type(event).__name__ for event, _ in CASES]
)
def test_an_event_is_told_by_its_public_names(event, expected):
    found = list(hooks(event, KNOWN, NAMES))
    assert [(hook.name, hook.entity_id) for hook in found] == expected
    for hook in found:
        told = body("p1", hook, event_id="ev_1", group_id="req_1", occurred_at=NOON)
        assert json.loads(json.dumps(told)) == told
        assert told["type"] == hook.name
        assert told["project_id"] == "p1"
        assert told["created_at"] == "2026-03-01T12:00:00.000Z"
        assert told["event"]["entity_id"] == hook.entity_id
        assert told["event"]["group_id"] == "req_1"


def test_every_event_there_is_is_mapped_or_ignored_for_a_reason():
    import contracts.asyncapi  # noqa: F401 - imports every message

    events = {kind for kind in TYPES.values() if issubclass(kind, Event)}
    ours = {kind for kind in events if kind.__module__.startswith("contracts.")}
    assert ours == set(MAPPED) | set(IGNORED)
    assert not set(MAPPED) & set(IGNORED)
    assert all(IGNORED.values())
    assert {name for mapped in MAPPED.values() for name in mapped.names} <= NAMES
    assert {type(event) for event, _ in CASES} == set(MAPPED)


def test_nothing_is_made_that_nobody_wants():
    event = CASES[-1][0]
    assert [hook.name for hook in hooks(event, KNOWN, {"voucher.published"})] == [
        "voucher.published"
    ]
    assert list(hooks(event, KNOWN, {"campaign.created"})) == []


def test_what_an_event_refers_to_is_found():
    by_type = {type(event): references(event) for event, _ in CASES}
    assert by_type[ledger.RedemptionSucceeded] == {"camp_1"}
    assert by_type[ledger.RedemptionFailed] == {"camp_1"}
    assert by_type[ledger.BalanceAdjusted] == {"camp_1"}
    assert by_type[distribution.PublicationSucceeded] == {"camp_1"}
    assert by_type[campaigns.VoucherUpdated] == {"camp_1"}
    assert by_type[campaigns.VouchersGenerated] == {"camp_1"}
    assert by_type[campaigns.ValidationRuleAssigned] == {"camp_1", "val_1"}
    assert by_type[campaigns.ValidationRuleUnassigned] == {"camp_1", "val_1"}
    assert by_type[campaigns.ValidationRuleDeleted] == {"val_1"}
    assert by_type[customers.CustomerCreated] == set()


def test_a_tiers_redemption_names_the_tier_and_its_stack():
    tier = {
        "id": "promo_1",
        "name": "Ten off",
        "banner": "10 % off everything",
        "campaign": {"id": "camp_1", "active": True},
        "metadata": {},
        "object": "promotion_tier",
    }
    told = item(
        related_object_type="promotion_tier",
        related_object_id="promo_1",
        voucher=None,
        promotion_tier=tier,
        promotion_stack={"id": "stack_1", "name": "Both"},
        amount=None,
        posted=[],
    )
    event = ledger.RedemptionSucceeded(items=[told], order=ORDER, redeemed_at=NOON)
    [hook] = hooks(event, KNOWN, NAMES)
    assert hook.data["promotion_tier"] == {
        "id": "promo_1",
        "name": "Ten off",
        "banner": "10 % off everything",
        "campaign": {"id": "camp_1"},
        "metadata": {},
    }
    assert hook.data["promotion_stack"] == {"id": "stack_1", "name": "Both"}
    assert (hook.data["voucher"], hook.data["campaign"]["id"]) == (None, "camp_1")
    assert hook.data["redemption"]["promotion_tier"]["id"] == "promo_1"


def test_a_tiers_payload_shows_its_campaign_and_waits_for_it():
    [hook] = hooks(promotions.PromotionTierCreated(tier=TIER), KNOWN, NAMES)
    assert hook.data["campaign"]["name"] == "Sale"
    assert hook.data["promotion_tier"]["action"]["discount"]["percent_off"] == 10.0
    assert hook.data["promotion_tier"]["campaign"]["id"] == "camp_1"
    with pytest.raises(NotYetKnown):
        list(hooks(promotions.PromotionTierCreated(tier=TIER), Known("p1", {}, {}), NAMES))
    assert references(promotions.PromotionStackCreated(stack=STACK)) == {"camp_1"}


def test_a_redemptions_payload_has_the_public_shape():
    event = ledger.RedemptionSucceeded(
        parent_id="r_0", items=[item()], customer=REFERENCE, order=ORDER, redeemed_at=NOON
    )
    _, child, _ = list(hooks(event, KNOWN, NAMES))
    assert child.data["customer"] == {**REFERENCE, "metadata": {}, "object": "customer"}
    assert child.data["campaign"]["name"] == "Sale"
    assert child.data["voucher"]["code"] == "A1"
    assert "assets" not in child.data["voucher"]
    assert child.data["order"]["total_amount"] == 9000
    assert child.data["redemption"]["id"] == "r_1"
    assert child.data["redemption"]["redemption"] == "r_0"
    assert child.data["redemption"]["result"] == "SUCCESS"
    told = body("p1", child, event_id="ev_1", group_id="req_1", occurred_at=NOON)
    assert told["event"]["type"] == "customer.redemption.succeeded"


def test_a_changed_voucher_says_nothing_of_uses():
    (hook,) = hooks(campaigns.VoucherUpdated(voucher=voucher()), KNOWN, NAMES)
    assert hook.data["voucher"]["discount"] == {"type": "PERCENT", "percent_off": 10.0}
    assert "redeemed_quantity" not in hook.data["voucher"]["redemption"]


def test_a_voucher_waits_for_its_campaign():
    nothing = Known("p1", {}, {})
    with pytest.raises(NotYetKnown):
        list(hooks(campaigns.VoucherCreated(voucher=voucher()), nothing, NAMES))
    succeeded = ledger.RedemptionSucceeded(items=[item(posted=[])], order=ORDER, redeemed_at=NOON)
    (hook,) = hooks(succeeded, nothing, NAMES)
    assert hook.data["campaign"] == {"id": "camp_1", "object": "campaign"}
