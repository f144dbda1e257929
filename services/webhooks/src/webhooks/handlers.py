"""Load, decide, append; and what becomes of everybody's events. Tables at the end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from contracts import ids
from contracts.campaigns import (
    Campaign,
    CampaignCreated,
    CampaignDisabled,
    CampaignEnabled,
    CampaignUpdated,
    ValidationRule,
    ValidationRuleCreated,
    ValidationRuleUpdated,
)
from contracts.errors import DomainError, JsonObject, NotFound
from contracts.gateway import ProjectCreated, ProjectUpdated
from contracts.messages import Command, Envelope, Event
from contracts.webhooks import (
    CreateEndpoint,
    DeleteEndpoint,
    DeliveryAttempted,
    ResendDelivery,
    RotateEndpointSecret,
    UpdateEndpoint,
)
from runtime.aggregate import Aggregate
from runtime.consumer import Handler
from runtime.database import Connection
from runtime.unit import Unit
from webhooks import queries
from webhooks.domain import delivery as deliveries
from webhooks.domain import endpoint as endpoints
from webhooks.domain import mapping
from webhooks.domain.address import read_target_url
from webhooks.domain.delivery import DeliveryState
from webhooks.domain.endpoint import (
    EndpointState,
    decide_create_endpoint,
    decide_delete_endpoint,
    decide_rotate_secret,
    decide_update_endpoint,
)
from webhooks.domain.names import covered
from webhooks.queries import NewDelivery, NewHook
from webhooks.settings import Settings

ENDPOINT: Aggregate[EndpointState] = Aggregate("endpoint", EndpointState, endpoints.evolve)
DELIVERY: Aggregate[DeliveryState] = Aggregate("delivery", DeliveryState, deliveries.evolve)


class EndpointIsInactive(DomainError):
    """What is sent again needs somebody who takes it."""

    key = "webhook_not_active"
    message = "Webhook is not active"


# -- commands -----------------------------------------------------------------------------------


def commands(settings: Settings) -> Mapping[type[Command], Handler]:
    """Return the table of commands: what URLs are allowed is the operator's choice."""

    def read_url(path: str, value: Any) -> str:
        return read_target_url(
            path,
            value,
            is_private_allowed=settings.tessera_allow_private_webhooks,
            ports=settings.ports,
        )

    async def create_endpoint(unit: Unit, command: CreateEndpoint) -> JsonObject:
        state = await unit.load(ENDPOINT, command.endpoint_id)
        others = await queries.count_endpoints(unit.connection, unit.project_id)
        events = decide_create_endpoint(state, command, unit.now, read_url, others)
        return await _keep(unit, command.endpoint_id, events)

    async def update_endpoint(unit: Unit, command: UpdateEndpoint) -> JsonObject:
        state = await unit.load(ENDPOINT, command.endpoint_id)
        events = decide_update_endpoint(state, command, unit.now, read_url)
        return await _keep(unit, command.endpoint_id, events)

    return {
        CreateEndpoint: Handler(create_endpoint, streams=_stream_of_endpoint),
        UpdateEndpoint: Handler(update_endpoint, streams=_stream_of_endpoint),
        RotateEndpointSecret: Handler(rotate_secret, streams=_stream_of_endpoint),
        DeleteEndpoint: Handler(delete_endpoint, streams=_stream_of_endpoint),
        ResendDelivery: Handler(resend_delivery),
    }


def _stream_of_endpoint(command: Any) -> Iterable[tuple[Aggregate[Any], str]]:
    yield ENDPOINT, command.endpoint_id


async def _keep(unit: Unit, endpoint_id: str, events: Sequence[Any]) -> JsonObject:
    state = unit.append(ENDPOINT, endpoint_id, *events)
    if events:
        await queries.keep_endpoint(unit.connection, unit.project_id, state)
    return {"endpoint": state.endpoint.model_dump(mode="json")}


async def rotate_secret(unit: Unit, command: RotateEndpointSecret) -> JsonObject:
    """Sign what the endpoint gets by another secret."""
    state = await unit.load(ENDPOINT, command.endpoint_id)
    return await _keep(unit, command.endpoint_id, decide_rotate_secret(state, command, unit.now))


async def delete_endpoint(unit: Unit, command: DeleteEndpoint) -> JsonObject:
    """Delete an endpoint; what it has not got, it will not get."""
    state = await unit.load(ENDPOINT, command.endpoint_id)
    unit.append(ENDPOINT, command.endpoint_id, *decide_delete_endpoint(state, command, unit.now))
    await queries.remove_endpoint(unit.connection, unit.project_id, command.endpoint_id)
    return {}


async def resend_delivery(unit: Unit, command: ResendDelivery) -> JsonObject:
    """Send a delivery again, now, under its old id."""
    endpoint_id = await queries.resend(
        unit.connection, unit.project_id, command.delivery_id, unit.now
    )
    if endpoint_id is None:
        raise NotFound.of("webhook delivery", command.delivery_id)
    state = await unit.load(ENDPOINT, endpoint_id)
    if state is None or state.is_deleted or not state.endpoint.active:
        raise EndpointIsInactive(f"Webhook {endpoint_id} is not active")
    return {
        "delivery": {
            "id": command.delivery_id,
            "endpoint_id": endpoint_id,
            "status": "pending",
        }
    }


# -- everybody's events -------------------------------------------------------------------------


@dataclass
class Context:
    """What a batch of events has read, and what it will write at once."""

    endpoints: dict[str, list[tuple[str, set[str]]]]
    """Each project's active endpoints, and the names that they want."""
    known: dict[tuple[str, str], JsonObject]
    learned: dict[tuple[str, str], JsonObject] = field(default_factory=dict)
    hooks: list[NewHook] = field(default_factory=list)
    deliveries: list[NewDelivery] = field(default_factory=list)
    now: Any = None


async def prepare(connection: Connection, messages: Sequence[tuple[Envelope, Any]]) -> Context:
    """Read who wants what, and what rendering the batch needs: two queries."""
    found: dict[str, list[tuple[str, set[str]]]] = {}
    for target in await queries.active_endpoints(
        connection, sorted({envelope.project_id for envelope, _ in messages})
    ):
        wanted = (target.endpoint_id, covered(target.events))
        found.setdefault(target.project_id, []).append(wanted)
    needed = {
        (envelope.project_id, one)
        for envelope, event in messages
        if envelope.project_id in found
        for one in mapping.references(event)
    }
    known = await queries.known(connection, sorted(needed)) if needed else {}
    return Context(found, known)


async def flush(connection: Connection, context: Context) -> None:
    """Write what the batch has learned and what is to be delivered."""
    if context.learned:
        await queries.keep_known(connection, sorted(context.learned.items(), key=_by_key))
    if context.deliveries:
        await queries.keep_hooks(connection, context.hooks, context.now)
        await queries.keep_deliveries(connection, context.deliveries, context.now)


def _by_key(item: tuple[tuple[str, str], JsonObject]) -> tuple[str, str]:
    return item[0]


async def on_event(unit: Unit, event: Event) -> None:
    """Turn an event into webhook events for those endpoints that want them."""
    context: Context = unit.context
    _learn(context, unit.project_id, event)
    wanting = context.endpoints.get(unit.project_id, [])
    wanted = {name for _, names in wanting for name in names} & mapping.names(event)
    if not wanted:
        return
    context.now = unit.now
    known = _known(context, unit.project_id, event)
    for hook in mapping.hooks(event, known, wanted):
        _deliver(context, unit.project_id, unit.envelope, hook, wanting)


def _learn(context: Context, project_id: str, event: Event) -> None:
    """Remember what later events refer to."""
    if isinstance(event, CampaignCreated | CampaignUpdated | CampaignEnabled | CampaignDisabled):
        state: Any = event.campaign
        key = (project_id, state.id)
        doc = state.model_dump(mode="json")
    elif isinstance(event, ValidationRuleCreated | ValidationRuleUpdated):
        key = (project_id, event.rule.id)
        doc = event.rule.model_dump(mode="json")
    elif isinstance(event, ProjectCreated | ProjectUpdated):
        key = (project_id, project_id)
        doc = {"webhook_secret": event.project.webhook_secret}
    else:
        return
    context.known[key] = doc
    context.learned[key] = doc


def _known(context: Context, project_id: str, event: Event) -> mapping.Known:
    campaigns: dict[str, Campaign] = {}
    rules: dict[str, ValidationRule] = {}
    for one in mapping.references(event):
        doc = context.known.get((project_id, one))
        if doc is None:
            continue
        if "rules" in doc:
            rules[one] = ValidationRule.model_validate(doc)
        else:
            campaigns[one] = Campaign.model_validate(doc)
    return mapping.Known(project_id, campaigns, rules)


def _deliver(
    context: Context,
    project_id: str,
    envelope: Envelope,
    hook: mapping.Hook,
    wanting: Sequence[tuple[str, set[str]]],
) -> None:
    hook_id = ids.derived_id("hook", project_id, envelope.id, hook.name, hook.entity_id)
    group_id = envelope.correlation_id or envelope.id
    body = mapping.body(
        project_id, hook, event_id=envelope.id, group_id=group_id, occurred_at=envelope.time
    )
    text = orjson.dumps(body).decode()
    context.hooks.append(NewHook(project_id, hook_id, hook.name, envelope.id, text))
    for endpoint_id, names in wanting:
        if hook.name in names:
            delivery_id = ids.derived_id("whs", project_id, endpoint_id, hook_id)
            context.deliveries.append(
                NewDelivery(project_id, delivery_id, endpoint_id, hook_id, group_id)
            )


LEARNED: tuple[type[Event], ...] = (ProjectCreated, ProjectUpdated)
REACTIONS: Mapping[type[Event], Handler] = {
    event: Handler(on_event) for event in (*mapping.MAPPED, *LEARNED)
}
assert DeliveryAttempted not in REACTIONS, "webhooks about webhooks would never end"
