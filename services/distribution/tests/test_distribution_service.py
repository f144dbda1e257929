"""Distribution on a real Postgres, with a real SMTP server."""

import asyncio
import email
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from aiosmtpd.smtp import SMTP

from contracts import ids
from contracts.campaigns import (
    Campaign,
    CampaignCreated,
    Voucher,
    VoucherCreated,
    VoucherDefinition,
    VoucherDisabled,
    VouchersGenerated,
)
from contracts.customers import Customer, CustomEventRecorded
from contracts.distribution import (
    CodeRequested,
    CreateDistribution,
    MessageFailed,
    MessageQueued,
    MessageSent,
    PublicationFailed,
    PublicationSucceeded,
    Publish,
    UpdateDistribution,
)
from distribution import limits, queries, sender, waiting
from distribution.app import build
from distribution.audit import audit
from distribution.settings import Settings
from runtime import clock
from runtime.settings import Settings as RuntimeSettings
from runtime.testing import Harness

pytestmark = pytest.mark.integration
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEN_OFF = VoucherDefinition(
    type="DISCOUNT_VOUCHER", discount={"type": "PERCENT", "percent_off": 10.0}
)


class Mailbox:
    """A real SMTP server that keeps what it gets, or answers as it is told."""

    def __init__(self) -> None:
        self.mails = []
        self.answers: list[str] = []
        self.rcpt_answers: list[str] = []
        self.hangs_up = False
        self.server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: SMTP(self), "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.rcpt_answers:
            return self.rcpt_answers.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(email.message_from_bytes(envelope.content))
        if self.hangs_up:
            server.transport.abort()
        return "250 OK"


@pytest_asyncio.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    box = Mailbox()
    await box.start()
    yield box
    await box.stop()


@pytest.fixture
def settings(leased_settings: RuntimeSettings, mailbox: Mailbox) -> Settings:
    return Settings(
        **{
            **leased_settings.model_dump(),
            "smtp_url": f"smtp://127.0.0.1:{mailbox.port}",
            "message_retry_schedule": "0,0,0",
        }
    )


@pytest_asyncio.fixture
async def harness(settings: Settings) -> AsyncIterator[Harness]:
    async with Harness(build(settings)) as running:
        yield running
        async with running.service.pool.acquire() as connection, connection.transaction():
            assert await audit(connection) == []


async def campaign(harness, project="p1", campaign_id="camp_1", codes=(), **changes):
    made = Campaign(
        **{
            "id": campaign_id,
            "name": f"Sale {campaign_id}",
            "campaign_type": "DISCOUNT_COUPONS",
            "type": "STATIC",
            "voucher": TEN_OFF,
            "created_at": NOON,
            **changes,
        }
    )
    await harness.event(project, CampaignCreated(campaign=made), source="campaigns")
    if codes:
        await generated(harness, project, campaign_id, codes)


async def generated(harness, project, campaign_id, codes):
    event = VouchersGenerated(
        campaign_id=campaign_id,
        action_id="aa_1",
        codes=list(codes),
        done=len(codes),
        total=len(codes),
        generated_at=NOON,
    )
    await harness.event(project, event, source="campaigns")


def publish(number: int, source_id="anna", project="p1", **changes) -> Publish:
    customer = {"id": ids.customer_id(project, source_id), "source_id": source_id}
    fields = {"publication_id": f"pub_{number}", "customer": customer, "campaign": "camp_1"}
    return Publish(**{**fields, **changes})


def codes_of(reply) -> list[str]:
    return [voucher["code"] for voucher in reply.body["publication"]["vouchers"]]


async def test_a_code_is_given_to_a_customer_with_its_snapshot(harness):
    await campaign(harness, codes=["A1", "A2"])
    await campaign(harness, "p2", codes=["B1"])
    reply = await harness.command("p1", publish(1, metadata={"k": "v"}))
    given = reply.body["publication"]
    assert given["customer"] == publish(1).customer
    assert given["campaign_id"] == "camp_1"
    assert given["metadata"] == {"k": "v"}
    (voucher,) = given["vouchers"]
    assert (voucher["id"], voucher["code"], voucher["campaign_id"], voucher["campaign"]) == (
        ids.voucher_id("p1", "A1"),
        "A1",
        "camp_1",
        "Sale camp_1",
    )
    assert voucher["discount"] == {"type": "PERCENT", "percent_off": 10.0}
    assert voucher["holder_id"] == publish(1).customer["id"]
    assert [type(event) for event in harness.appended] == [PublicationSucceeded]
    assert await harness.rows("free_codes") == [
        {"project_id": "p1", "campaign_id": "camp_1", "code": "A2"},
        {"project_id": "p2", "campaign_id": "camp_1", "code": "B1"},
    ]


async def test_the_campaign_may_be_named_and_the_same_publication_is_one(harness):
    await campaign(harness, codes=["A1", "A2"])
    first = await harness.command("p1", publish(1, campaign="Sale camp_1"))
    again = await harness.command("p1", publish(1, campaign="Sale camp_1"))
    assert again.body == first.body
    assert len(harness.appended) == 1


async def test_many_codes_or_none(harness):
    await campaign(harness, codes=["A1", "A2", "A3"])
    two = await harness.command("p1", publish(1, count=2))
    assert codes_of(two) == ["A1", "A2"]
    refused = await harness.command("p1", publish(2, "berta", count=2))
    assert (refused.status, refused.error.key) == (400, "no_voucher_suitable_for_publication")
    assert isinstance(harness.appended[-1], PublicationFailed)
    one = await harness.command("p1", publish(3, "berta"))
    assert codes_of(one) == ["A3"]


async def test_unknown_campaigns_codes_and_other_projects(harness):
    await campaign(harness, "p2", codes=["B1"])
    for changes in ({}, {"campaign": None, "voucher": "B1"}):
        reply = await harness.command("p1", publish(1, **changes))
        assert (reply.status, reply.error.key) == (404, "not_found")
    assert harness.appended == []
    assert await harness.rows("assigned_codes") == []


async def test_join_once_gives_the_same_publication_back(harness):
    await campaign(harness, codes=["A1", "A2", "A3"], join_once=True)
    first = await harness.command("p1", publish(1))
    again = await harness.command("p1", publish(2))
    other = await harness.command("p1", publish(3, "berta"))
    asked = await harness.command("p1", publish(4, join_once=False))
    assert again.body == first.body
    assert codes_of(other) == ["A2"]
    assert codes_of(asked) == ["A3"]


async def test_a_second_loyalty_card_is_refused(harness):
    await campaign(harness, codes=["A1", "A2"], campaign_type="LOYALTY_PROGRAM", join_once=True)
    await harness.command("p1", publish(1))
    reply = await harness.command("p1", publish(2))
    assert (reply.status, reply.error.key) == (400, "voucher_cannot_be_published")
    assert len(harness.appended) == 1


async def test_a_source_id_is_one_publication(harness):
    await campaign(harness, codes=["A1", "A2"])
    await campaign(harness, campaign_id="camp_2", codes=["C1"])
    first = await harness.command(
        "p1", publish(1, source_id="anna").model_copy(update={"source_id": "s1"})
    )
    again = await harness.command("p1", publish(2).model_copy(update={"source_id": "s1"}))
    assert again.body == first.body
    for other in (publish(3, "berta"), publish(4, campaign="camp_2")):
        reply = await harness.command("p1", other.model_copy(update={"source_id": "s1"}))
        assert (reply.status, reply.error.key) == (400, "duplicate_source_id")
    assert len(harness.appended) == 1


async def test_a_failed_publication_leaves_no_claim(harness):
    await campaign(harness, join_once=True)
    command = publish(1).model_copy(update={"source_id": "s1"})
    refused = await harness.command("p1", command)
    assert refused.error.key == "no_voucher_suitable_for_publication"
    assert await harness.rows("memberships") == []
    assert await harness.rows("publication_sources") == []
    await generated(harness, "p1", "camp_1", ["A1"])
    again = await harness.command("p1", command.model_copy(update={"publication_id": "pub_2"}))
    assert codes_of(again) == ["A1"]


async def test_a_named_code_is_given_once_and_a_generic_one_to_many(harness):
    await campaign(harness, codes=["A1", "A2"])
    standalone = Voucher(
        id=ids.voucher_id("p1", "WELCOME"), code="WELCOME", definition=TEN_OFF, created_at=NOON
    )
    await harness.event("p1", VoucherCreated(voucher=standalone), source="campaigns")
    named = {"campaign": None, "voucher": "A2"}
    first = await harness.command("p1", publish(1, **named))
    second = await harness.command("p1", publish(2, "berta", **named))
    assert codes_of(first) == ["A2"]
    assert (second.status, second.error.key) == (400, "voucher_already_published")
    by_id = {"campaign": None, "voucher": ids.voucher_id("p1", "A1")}
    assert codes_of(await harness.command("p1", publish(3, "berta", **by_id))) == ["A1"]
    for number, name in ((4, "anna"), (5, "berta")):
        generic = publish(number, name, campaign=None, voucher="WELCOME")
        assert codes_of(await harness.command("p1", generic)) == ["WELCOME"]
    assert [row["code"] for row in await harness.rows("assigned_codes")] == ["A1", "A2"]


async def test_an_inactive_code_is_not_given(harness):
    await campaign(harness, codes=["A1"])
    off = Voucher(
        id=ids.voucher_id("p1", "A1"),
        code="A1",
        campaign_id="camp_1",
        active=False,
        created_at=NOON,
        version=2,
    )
    await harness.event("p1", VoucherDisabled(voucher=off), source="campaigns")
    for changes in ({}, {"campaign": None, "voucher": "A1"}):
        reply = await harness.command("p1", publish(1, **changes, publication_id=f"pub_{changes}"))
        assert reply.error.key == "no_voucher_suitable_for_publication"
    assert await harness.rows("assigned_codes") == []


async def test_a_campaign_that_grows_is_asked_for_a_code(harness):
    await campaign(harness, type="AUTO_UPDATE")
    reply = await harness.command("p1", publish(1))
    assert (reply.status, reply.retry_after_s) == (503, 1)
    assert [type(event) for event in harness.appended] == [CodeRequested]
    assert harness.appended[0].campaign_id == "camp_1"
    await generated(harness, "p1", "camp_1", ["A1"])
    assert codes_of(await harness.command("p1", publish(1))) == ["A1"]


async def test_twenty_at_once_share_ten_codes_and_none_twice(harness, settings):
    """Two processes, twenty transactions at the same time."""
    await campaign(harness, codes=[f"A{n}" for n in range(10)])
    async with Harness(build(settings), is_new=False) as other:

        async def one(number: int):
            async with (harness, other)[number % 2].service.unit("p1") as unit:
                from distribution.publishing import publish_codes

                return await publish_codes(unit, publish(number, f"customer-{number}"))

        outcomes = await asyncio.gather(*(one(number) for number in range(20)))
    given = [outcome.publication.vouchers[0]["code"] for outcome in outcomes if not outcome.error]
    refused = [outcome.error.key for outcome in outcomes if outcome.error]
    assert sorted(given) == sorted(f"A{n}" for n in range(10))
    assert refused == ["no_voucher_suitable_for_publication"] * 10


async def test_who_gives_up_a_code_lets_the_next_one_have_it(harness):
    """A code that is only locked is waited for, not reported as missing."""
    await campaign(harness, codes=["A1"])
    from distribution.publishing import publish_codes

    taken = asyncio.Event()
    refuse = asyncio.Event()

    async def first() -> None:
        async with harness.service.unit("p1") as unit:
            await publish_codes(unit, publish(1))
            taken.set()
            await refuse.wait()
            raise GivenUp

    async def second():
        await taken.wait()
        async with harness.service.unit("p1") as unit:
            return await publish_codes(unit, publish(2, "berta"))

    task = asyncio.create_task(second())
    holder = asyncio.create_task(_swallow(first()))
    await _until_somebody_waits(harness)
    refuse.set()
    await holder
    outcome = await task
    assert outcome.publication.vouchers[0]["code"] == "A1"


class GivenUp(Exception):
    pass


async def _swallow(work) -> None:
    with pytest.raises(GivenUp):
        await work


async def _until_somebody_waits(harness) -> None:
    async with asyncio.timeout(10), harness.service.pool.acquire() as connection:
        while not await connection.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)


async def test_a_rebuilt_pool_knows_what_is_taken(harness):
    await campaign(harness, codes=["A1", "A2"])
    await harness.command("p1", publish(1))
    async with harness.service.pool.acquire() as connection:
        await connection.execute("DELETE FROM pool")
        await connection.execute("DELETE FROM campaigns")
    assert await harness.rows("free_codes") == []
    await campaign(harness, codes=["A1", "A2"])
    assert [row["code"] for row in await harness.rows("free_codes")] == ["A2"]


# -- distributions ------------------------------------------------------------------------------

MESSAGE = {
    "channel": "email",
    "subject": "{{ customer.name }}, your cart",
    "text": "Code: {{ voucher.code }}",
    "html": "<p>{{ customer.name }}: <b>{{ voucher.code }}</b> {{ event.metadata.note }}</p>",
}


async def distribute(harness, project="p1", distribution_id="dist_1", **changes):
    definition = {
        "name": "Carts",
        "trigger": {"type": "customer.custom_event", "custom_event": {"name": "cart.abandoned"}},
        "campaign_id": "camp_1",
        "message": MESSAGE,
        **changes,
    }
    return await harness.command(
        project, CreateDistribution(distribution_id=distribution_id, definition=definition)
    )


def abandoned(event_id="ev_1", name="Anna", email="anna@shop.example", **changes):
    customer = Customer(
        id=ids.customer_id("p1", name), source_id=name, name=name, email=email, created_at=NOON
    )
    return CustomEventRecorded(
        **{
            "event_id": event_id,
            "event": "cart.abandoned",
            "customer": customer,
            "metadata": {"note": "<i>&"},
            "occurred_at": NOON,
            **changes,
        }
    )


async def send(harness) -> None:
    while await sender.send_once(harness.service):
        pass
    await harness.refresh()


def kinds(harness) -> list[str]:
    return [type(event).__name__ for event in harness.appended]


async def test_an_abandoned_cart_gets_an_email_with_a_code_once(harness, mailbox):
    await campaign(harness, codes=["A1", "A2"])
    await distribute(harness)
    for _ in range(3):
        await harness.event("p1", abandoned(name="Anna <b>"), source="customers")
    await send(harness)
    await send(harness)
    (mail,) = mailbox.mails
    text, html = (part.get_payload(decode=True).decode() for part in mail.get_payload())
    assert mail["To"] == "anna@shop.example"
    assert mail["Subject"] == "Anna <b>, your cart"
    assert text.strip() == "Code: A1"
    assert html.strip() == "<p>Anna &lt;b&gt;: <b>A1</b> &lt;i&gt;&amp;</p>"
    queued = next(e for e in harness.appended if isinstance(e, MessageQueued))
    assert mail["Message-ID"] == f"<{queued.message_id}@tessera.localhost>"
    assert kinds(harness) == [
        "DistributionCreated",
        "PublicationSucceeded",
        "MessageQueued",
        "MessageSent",
    ]
    assert harness.appended[1].publication.channel == "DISTRIBUTION"
    assert harness.appended[1].publication.id == queued.publication_id


async def test_only_live_distributions_of_the_project_and_the_audience_answer(harness, mailbox):
    await campaign(harness, codes=["A1"])
    trigger = {
        "type": "customer.custom_event",
        "custom_event": {"name": "cart.abandoned"},
        "filter": {"junction": "and", "name": {"conditions": {"$is": ["Zoe"]}}},
    }
    await distribute(harness, trigger=trigger)
    await distribute(harness, distribution_id="dist_2", active=False)
    await harness.event("p1", abandoned(), source="customers")
    await harness.event("p2", abandoned(name="Zoe"), source="customers")
    await harness.event("p1", abandoned(event="other", name="Zoe"), source="customers")
    assert kinds(harness) == ["DistributionCreated"] * 2
    await harness.command(
        "p1", UpdateDistribution(distribution_id="dist_2", changes={"active": True})
    )
    await harness.event("p1", abandoned(event_id="ev_2"), source="customers")
    await send(harness)
    assert len(mailbox.mails) == 1


async def test_a_distribution_without_a_campaign_only_sends(harness, mailbox):
    await distribute(harness, campaign_id=None)
    await harness.event("p1", abandoned(), source="customers")
    await send(harness)
    assert kinds(harness) == ["DistributionCreated", "MessageQueued", "MessageSent"]
    assert len(mailbox.mails) == 1


async def test_an_unknown_campaign_is_refused(harness):
    await campaign(harness, "p2")
    reply = await distribute(harness)
    assert (reply.status, reply.error.details) == (404, "Cannot find campaign with id camp_1")
    assert harness.appended == []


@pytest.mark.parametrize("address", [None, "", "no address", "a@b, c@d", "a@b\r\nBcc: c@d"])
async def test_without_an_address_no_code_is_spent(harness, mailbox, address):
    await campaign(harness, codes=["A1"])
    await distribute(harness)
    await harness.event("p1", abandoned(email=address), source="customers")
    await send(harness)
    assert kinds(harness) == ["DistributionCreated", "MessageQueued", "MessageFailed"]
    assert mailbox.mails == []


async def test_no_code_left_is_recorded_and_nothing_sent(harness, mailbox):
    await campaign(harness)
    await distribute(harness)
    await harness.event("p1", abandoned(), source="customers")
    await harness.event("p1", abandoned(), source="customers")
    await send(harness)
    assert kinds(harness) == [
        "DistributionCreated",
        "PublicationFailed",
        "MessageQueued",
        "MessageFailed",
    ]
    assert mailbox.mails == []


async def test_a_broken_template_fails_its_message_alone(harness, mailbox):
    await campaign(harness, codes=["A1"])
    message = {**MESSAGE, "text": "{% for i in (1..1000000) %}x{% endfor %}"}
    await distribute(harness, message=message)
    await harness.event("p1", abandoned(), source="customers")
    assert kinds(harness)[-1] == "MessageFailed"
    assert "cannot be rendered" in harness.appended[-1].reason


async def test_a_distribution_waits_for_the_code_of_a_growing_campaign(harness, mailbox):
    await campaign(harness, type="AUTO_UPDATE")
    await distribute(harness)
    await harness.event("p1", abandoned(), source="customers")
    assert kinds(harness) == ["DistributionCreated", "CodeRequested"]
    await generated(harness, "p1", "camp_1", ["A1"])
    await make_due(harness)
    assert await waiting.retry_once(harness.service) == 1
    assert await waiting.retry_once(harness.service) == 0
    await send(harness)
    assert kinds(harness)[2:] == ["PublicationSucceeded", "MessageQueued", "MessageSent"]
    assert len(mailbox.mails) == 1


async def test_waiting_for_a_code_ends(harness):
    await campaign(harness, type="AUTO_UPDATE")
    await distribute(harness)
    await harness.event("p1", abandoned(), source="customers")
    async with harness.service.pool.acquire() as connection:
        await connection.execute(
            "UPDATE waiting_triggers SET attempts = $1", limits.WAITING_ATTEMPTS_MAX
        )
    await make_due(harness)
    assert await waiting.retry_once(harness.service) == 1
    await harness.refresh()
    assert kinds(harness)[-3:] == ["PublicationFailed", "MessageQueued", "MessageFailed"]
    assert await harness.rows("waiting_triggers") == []


async def make_due(harness) -> None:
    async with harness.service.pool.acquire() as connection:
        await connection.execute("UPDATE waiting_triggers SET due_at = $1", NOON)


# -- sending ------------------------------------------------------------------------------------


async def queued(harness) -> None:
    await distribute(harness, campaign_id=None)
    await harness.event("p1", abandoned(), source="customers")


async def test_a_temporary_refusal_is_tried_again(harness, mailbox):
    await queued(harness)
    mailbox.rcpt_answers = ["450 later"]
    mailbox.answers = ["451 later"]
    await send(harness)
    assert len(mailbox.mails) == 1
    assert [(type(e), e.attempts) for e in harness.appended[2:]] == [(MessageSent, 3)]


async def test_tries_are_bounded(harness, mailbox):
    await queued(harness)
    mailbox.answers = ["451 later"] * 10
    await send(harness)
    assert mailbox.mails == []
    assert len(mailbox.answers) == 6
    assert [(type(e), e.attempts) for e in harness.appended[2:]] == [(MessageFailed, 4)]


async def test_a_final_refusal_is_not_tried_again(harness, mailbox):
    await queued(harness)
    mailbox.rcpt_answers = ["550 no such user"]
    await send(harness)
    assert [(type(e), e.attempts) for e in harness.appended[2:]] == [(MessageFailed, 1)]
    assert "550" in harness.appended[-1].reason


async def test_no_server_is_tried_again(harness, mailbox):
    await queued(harness)
    await mailbox.stop()
    await send(harness)
    assert [(type(e), e.attempts) for e in harness.appended[2:]] == [(MessageFailed, 4)]
    await mailbox.start(mailbox.port)


async def test_a_lost_answer_is_not_sent_again(harness, mailbox):
    """The server took the message and the answer got lost: nobody knows, so nobody repeats it."""
    await queued(harness)
    mailbox.hangs_up = True
    await send(harness)
    await send(harness)
    assert len(mailbox.mails) == 1
    assert [type(e) for e in harness.appended[2:]] == [MessageFailed]
    assert (await harness.rows("messages"))[0]["status"] == "unknown"


async def test_a_process_that_died_while_sending_leaves_an_unknown_outcome(harness, mailbox):
    await queued(harness)
    now = clock.now()
    async with harness.service.pool.acquire() as connection:
        (message,) = await queries.take_messages(connection, now, now + timedelta(seconds=60), 8)
        assert await queries.mark_sending(connection, message, now)
        assert await queries.take_messages(connection, now, now, 8) == []
        later = now + timedelta(seconds=61)
        (found,) = await queries.take_messages(connection, later, now, 8)
    assert found.status == "sending"
    await send(harness)
    assert mailbox.mails == []
    assert [(type(e), e.attempts) for e in harness.appended[2:]] == [(MessageFailed, 1)]


async def test_a_process_that_lost_its_lease_does_not_send(harness, mailbox):
    await queued(harness)
    now = clock.now()
    async with harness.service.pool.acquire() as connection:
        (message,) = await queries.take_messages(connection, now, now, 8)
    await sender._send(harness.service, message)
    assert mailbox.mails == []
    await send(harness)
    assert len(mailbox.mails) == 1
