"""Distributions: when something happens to a customer, publish a code and send a message."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from contracts.distribution import (
    CreateDistribution,
    Distribution,
    DistributionCreated,
    DistributionUpdated,
    UpdateDistribution,
)
from contracts.errors import DuplicateFound, JsonObject, NotFound
from contracts.filters import check_filter
from contracts.payload import (
    boolean,
    join,
    json_object,
    one_of,
    optional,
    read,
    refuse,
    required,
    text,
)
from distribution import limits

DistributionEvent = DistributionCreated | DistributionUpdated
CUSTOM_EVENT = "customer.custom_event"
ADDRESS = text(
    limits.ADDRESS_LENGTH_MAX,
    pattern=r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*",
    meaning="an e-mail address",
)
CheckTemplate = Callable[[str, str], None]
"""Refuses a template, by the property's path, that the language's parser refuses."""


def decide_create_distribution(
    state: Distribution | None,
    command: CreateDistribution,
    now: datetime,
    check_template: CheckTemplate,
) -> list[DistributionEvent]:
    """Create a distribution; live at once unless ``active`` is false."""
    if state is not None:
        raise DuplicateFound(f"Distribution with id {command.distribution_id} already exists")
    body = command.definition
    fields = {
        "name": required(_name, body, "name"),
        "trigger": required(_trigger, body, "trigger"),
        "message": required(_message(check_template), body, "message"),
        **read(body, _common()),
    }
    made = Distribution(id=command.distribution_id, created_at=now, **fields)
    return [DistributionCreated(distribution=made)]


def decide_update_distribution(
    state: Distribution | None,
    command: UpdateDistribution,
    now: datetime,
    check_template: CheckTemplate,
) -> list[DistributionEvent]:
    """Change the fields that were sent; ``active`` starts and stops it."""
    if state is None:
        raise NotFound.of("distribution", command.distribution_id)
    readers = {
        "name": _name,
        "trigger": _trigger,
        "message": _message(check_template),
        **_common(),
    }
    changes = read(command.changes, readers)
    changed = {name: value for name, value in changes.items() if getattr(state, name) != value}
    if not changed:
        return []
    updated = state.model_copy(update={**changed, "updated_at": now})
    return [DistributionUpdated(distribution=updated)]


def evolve(state: Distribution | None, event: DistributionEvent) -> Distribution:
    """Return the distribution after the event."""
    del state
    return event.distribution


def event_name(distribution: Distribution) -> str:
    """Return the custom event that starts it."""
    name: str = distribution.trigger["custom_event"]["name"]
    return name


def _common() -> dict[str, Any]:
    return {
        "campaign_id": optional(text(limits.ID_LENGTH_MAX)),
        "join_once": boolean,
        "active": boolean,
    }


def _name(path: str, value: Any) -> str:
    return _filled(path, text(limits.NAME_LENGTH_MAX)(path, value))


def _filled(path: str, value: str) -> str:
    if not value.strip():
        raise refuse(path, "must not be empty")
    return value


def _trigger(path: str, value: Any) -> JsonObject:
    body = json_object(path, value)
    kind = required(one_of(CUSTOM_EVENT), body, "type", path)
    inner = required(json_object, body, "custom_event", path)
    inner_path = join(path, "custom_event")
    name = required(text(limits.EVENT_NAME_LENGTH_MAX), inner, "name", inner_path)
    kept: JsonObject = {
        "type": kind,
        "custom_event": {"name": _filled(join(inner_path, "name"), name)},
    }
    if body.get("filter") is not None:
        check_filter(body["filter"], join(path, "filter"))
        kept["filter"] = body["filter"]
    return kept


def _message(check_template: CheckTemplate) -> Callable[[str, Any], JsonObject]:
    def reader(path: str, value: Any) -> JsonObject:
        body = json_object(path, value)
        kept: JsonObject = {"channel": required(one_of("email"), body, "channel", path)}
        lengths = {
            "subject": limits.SUBJECT_TEMPLATE_LENGTH_MAX,
            "text": limits.TEXT_TEMPLATE_LENGTH_MAX,
            "html": limits.TEXT_TEMPLATE_LENGTH_MAX,
        }
        required(text(limits.SUBJECT_TEMPLATE_LENGTH_MAX), body, "subject", path)
        for name, length in lengths.items():
            if body.get(name) is not None:
                kept[name] = _filled(join(path, name), text(length)(join(path, name), body[name]))
                check_template(join(path, name), kept[name])
        if "\n" in kept["subject"] or "\r" in kept["subject"]:
            raise refuse(join(path, "subject"), "must be one line")
        if "text" not in kept and "html" not in kept:
            raise refuse(join(path, "text"), "must be set, or html")
        if body.get("from") is not None:
            kept["from"] = ADDRESS(join(path, "from"), body["from"])
        return kept

    return reader
