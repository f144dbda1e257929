"""A distribution at work: a trigger happens, a code is published, a message is queued. Once."""

from datetime import timedelta
from typing import Any

from contracts import ids
from contracts.customers import CustomEventRecorded
from contracts.distribution import Distribution, MessageQueued, Publish
from contracts.errors import DomainError, JsonObject
from contracts.filters import matches
from distribution import limits, queries, templates
from distribution.domain import distribution as distributions
from distribution.domain import message as messages
from distribution.domain.distribution import ADDRESS
from distribution.domain.message import MessageState, decide_failed
from distribution.domain.publication import PublicationState, decide_fail
from distribution.publishing import PUBLICATION, publication_id_of, publish_codes
from distribution.queries import Waiting
from runtime.aggregate import Aggregate
from runtime.unit import Unit

DISTRIBUTION: Aggregate[Distribution] = Aggregate(
    "distribution", Distribution, distributions.evolve
)
MESSAGE: Aggregate[MessageState] = Aggregate("message", MessageState, messages.evolve)


async def pull(
    unit: Unit, distribution: Distribution, event: CustomEventRecorded, attempts: int = 1
) -> None:
    """Do what the distribution does on this event. Whatever is wrong is recorded, never raised."""
    message_id = message_id_of(unit.project_id, distribution.id, event.event_id)
    if await unit.load(MESSAGE, message_id) is not None or not _concerns(unit, distribution, event):
        return
    address = event.customer.email or ""
    if not _is_address(address):
        await _queue(unit, distribution, event, message_id, None)
        await _fail(unit, message_id, "the customer has no usable e-mail address")
        return
    published: PublicationState | None = None
    if distribution.campaign_id is not None:
        outcome = await _publish(unit, distribution, event, attempts)
        if outcome == "waiting":
            await _wait(unit, distribution, event, attempts)
            return
        assert isinstance(outcome, PublicationState), "what does not wait has ended"
        published = outcome
    publication_id = published.publication.id if published else None
    await _queue(unit, distribution, event, message_id, publication_id)
    if published is not None and published.error is not None:
        await _fail(unit, message_id, f"no code was published: {published.error.message}")
        return
    try:
        content = _content(distribution, event, published, address)
    except templates.BadTemplate as error:
        await _fail(unit, message_id, f"the template cannot be rendered: {error}")
        return
    await queries.queue_message(
        unit.connection,
        unit.project_id,
        message_id,
        distribution.id,
        event.customer.id,
        unit.envelope.correlation_id,
        content,
        unit.now,
    )


def message_id_of(project_id: str, distribution_id: str, trigger_id: str) -> str:
    """Return the id of the message that a trigger leads to: always the same."""
    return ids.derived_id("msg", project_id, distribution_id, trigger_id)


def _concerns(unit: Unit, distribution: Distribution, event: CustomEventRecorded) -> bool:
    if not distribution.active or distributions.event_name(distribution) != event.event:
        return False
    audience = distribution.trigger.get("filter")
    return audience is None or matches(audience, event.customer.model_dump(mode="json"), unit.now)


def _is_address(text: str) -> bool:
    try:
        ADDRESS("email", text)
    except DomainError:
        return False
    return True


async def _publish(
    unit: Unit, distribution: Distribution, event: CustomEventRecorded, attempts: int
) -> Any:
    customer = event.customer.model_dump(mode="json", exclude_none=True)
    command = Publish(
        publication_id=publication_id_of(unit.project_id, distribution.id, event.event_id),
        customer={
            name: customer[name]
            for name in ("id", "source_id", "name", "email", "metadata")
            if name in customer
        },
        campaign=distribution.campaign_id,
        join_once=True if distribution.join_once else None,
        channel="DISTRIBUTION",
    )
    try:
        outcome = await publish_codes(unit, command)
    except DomainError as error:
        refusal = error
    else:
        if outcome != "waiting" or attempts < limits.WAITING_ATTEMPTS_MAX:
            return outcome
        refusal = NoCodeCame(f"Campaign '{distribution.campaign_id}' made no code in time")
    failed = decide_fail(command, distribution.campaign_id, refusal, unit.now)
    return unit.append(PUBLICATION, command.publication_id, failed)


class NoCodeCame(DomainError):
    """The campaign was asked for a code and none came in time."""

    key = "no_voucher_suitable_for_publication"
    message = "Couldn't find any voucher suitable for publication"


async def _wait(
    unit: Unit, distribution: Distribution, event: CustomEventRecorded, attempts: int
) -> None:
    waiting = Waiting(
        unit.project_id,
        distribution.id,
        event.event_id,
        event.model_dump(mode="json"),
        unit.envelope.correlation_id or unit.envelope.id,
        attempts + 1,
    )
    due_at = unit.now + timedelta(seconds=limits.WAITING_POLL_S * min(attempts, 8))
    await queries.keep_waiting(unit.connection, waiting, due_at)


async def _queue(
    unit: Unit,
    distribution: Distribution,
    event: CustomEventRecorded,
    message_id: str,
    publication_id: str | None,
) -> None:
    queued = MessageQueued(
        message_id=message_id,
        distribution_id=distribution.id,
        customer_id=event.customer.id,
        publication_id=publication_id,
        queued_at=unit.now,
    )
    unit.append(MESSAGE, message_id, queued)


async def _fail(unit: Unit, message_id: str, reason: str) -> None:
    state = await unit.load(MESSAGE, message_id)
    assert state is not None, "only a queued message fails"
    unit.append(MESSAGE, message_id, *decide_failed(state, 0, reason, unit.now))


def _content(
    distribution: Distribution,
    event: CustomEventRecorded,
    published: PublicationState | None,
    address: str,
) -> JsonObject:
    """Return the message as it will be sent, whoever sends it and whenever."""
    template = distribution.message
    variables = _variables(distribution, event, published)
    content: JsonObject = {
        "to": address,
        "from": template.get("from"),
        "subject": templates.render_subject(template["subject"], variables),
    }
    if "text" in template:
        content["text"] = templates.render_text(template["text"], variables)
    if "html" in template:
        content["html"] = templates.render_html(template["html"], variables)
    return content


def _variables(
    distribution: Distribution, event: CustomEventRecorded, published: PublicationState | None
) -> JsonObject:
    vouchers = published.publication.vouchers if published else []
    return {
        "customer": event.customer.model_dump(mode="json"),
        "event": {"name": event.event, "metadata": event.metadata},
        "distribution": {"id": distribution.id, "name": distribution.name},
        "voucher": vouchers[0] if vouchers else {},
        "vouchers": vouchers,
    }
