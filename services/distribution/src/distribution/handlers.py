"""Load, decide, append. The tables at the end are the table of contents."""

from collections.abc import Mapping, Sequence
from typing import Any

from contracts.customers import CustomEventRecorded
from contracts.distribution import CreateDistribution, Distribution, Publish, UpdateDistribution
from contracts.errors import ErrorBody, JsonObject, NotFound
from contracts.messages import Command, Envelope, Event, Reply
from contracts.payload import refuse
from distribution import limits, queries, templates
from distribution.domain.distribution import (
    decide_create_distribution,
    decide_update_distribution,
    event_name,
)
from distribution.publishing import PUBLICATION, publish_codes
from distribution.triggers import DISTRIBUTION, pull
from runtime.consumer import Handler
from runtime.database import Connection
from runtime.unit import Unit

RETRY_AFTER_S = 1


async def publish(unit: Unit, command: Publish) -> JsonObject | Reply:
    """Give codes to a customer. A failure is part of the customer's history, so it is kept."""
    outcome = await publish_codes(unit, command)
    if outcome == "waiting":
        error = ErrorBody(
            code=503,
            key="service_unavailable",
            message="Service unavailable",
            details="The campaign is making a code; repeat the request.",
        )
        return Reply(status=503, error=error, retry_after_s=RETRY_AFTER_S)
    if outcome.error is not None:
        return Reply(status=outcome.error.code, error=outcome.error)
    return {"publication": outcome.publication.model_dump(mode="json")}


async def create_distribution(unit: Unit, command: CreateDistribution) -> JsonObject:
    """Create a distribution."""
    state = await unit.load(DISTRIBUTION, command.distribution_id)
    events = decide_create_distribution(state, command, unit.now, templates.check)
    return await _append(unit, command.distribution_id, events)


async def update_distribution(unit: Unit, command: UpdateDistribution) -> JsonObject:
    """Change, start or stop a distribution."""
    state = await unit.load(DISTRIBUTION, command.distribution_id)
    events = decide_update_distribution(state, command, unit.now, templates.check)
    return await _append(unit, command.distribution_id, events)


async def _append(unit: Unit, distribution_id: str, events: Sequence[Any]) -> JsonObject:
    for event in events:
        await _check_neighbours(unit, event.distribution)
    distribution = unit.append(DISTRIBUTION, distribution_id, *events)
    if events:
        name = event_name(distribution)
        await queries.keep_trigger(unit.connection, unit.project_id, distribution, name)
    return {"distribution": distribution.model_dump(mode="json")}


async def _check_neighbours(unit: Unit, distribution: Distribution) -> None:
    """Refuse a campaign that is not there, and the one distribution too many."""
    if distribution.campaign_id is not None:
        campaign = await queries.find_campaign(
            unit.connection, unit.project_id, distribution.campaign_id
        )
        if campaign is None or campaign.id != distribution.campaign_id:
            raise NotFound.of("campaign", distribution.campaign_id)
        if campaign.voucher is None:
            raise refuse("campaign_id", "must be a campaign with codes")
    if distribution.active:
        others = await queries.count_triggers(
            unit.connection, unit.project_id, event_name(distribution), distribution.id
        )
        if others >= limits.DISTRIBUTIONS_PER_TRIGGER_MAX:
            most = limits.DISTRIBUTIONS_PER_TRIGGER_MAX
            raise refuse("trigger", f"must not start more than {most} live distributions")


# -- reactions ----------------------------------------------------------------------------------


async def prepare(
    connection: Connection, messages: Sequence[tuple[Envelope, Any]]
) -> dict[tuple[str, str], list[str]]:
    """Find the live distributions of a batch's custom events: one query."""
    names = {
        (envelope.project_id, event.event)
        for envelope, event in messages
        if isinstance(event, CustomEventRecorded)
    }
    return await queries.triggered(connection, sorted(names))


async def on_custom_event_recorded(unit: Unit, event: CustomEventRecorded) -> None:
    """Start the distributions that wait for this event."""
    for distribution_id in unit.context.get((unit.project_id, event.event), ()):
        distribution = await unit.load(DISTRIBUTION, distribution_id)
        assert distribution is not None, f"{distribution_id} is live and has no events"
        await pull(unit, distribution, event)


COMMANDS: Mapping[type[Command], Handler] = {
    Publish: Handler(publish, streams=lambda c: [(PUBLICATION, c.publication_id)]),
    CreateDistribution: Handler(
        create_distribution, streams=lambda c: [(DISTRIBUTION, c.distribution_id)]
    ),
    UpdateDistribution: Handler(
        update_distribution, streams=lambda c: [(DISTRIBUTION, c.distribution_id)]
    ),
}
REACTIONS: Mapping[type[Event], Handler] = {
    CustomEventRecorded: Handler(on_custom_event_recorded),
}
