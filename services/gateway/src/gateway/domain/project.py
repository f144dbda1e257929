"""A project: who it is, how it counts money and time, what its client-side key may do.

What Tessera does not do is refused when it is switched on, so that no setting is accepted for nothing.
"""

from datetime import datetime
from typing import Any
from zoneinfo import available_timezones

from contracts.errors import JsonObject
from contracts.gateway import (
    CLIENT_SETTINGS,
    SETTINGS_DEFAULTS,
    Project,
    ProjectCreated,
    ProjectDeleted,
    ProjectUpdated,
)
from contracts.payload import (
    Fields,
    boolean,
    join,
    json_object,
    list_of,
    object_of,
    one_of,
    optional,
    read,
    refuse,
    text,
    whole_number,
)
from gateway import limits

ProjectEvent = ProjectCreated | ProjectUpdated | ProjectDeleted
TIMEZONES = available_timezones()
TEXT = text(limits.PROJECT_TEXT_LENGTH_MAX)


def decide_create_project(
    state: Project | None, project_id: str, body: JsonObject, webhook_secret: str, now: datetime
) -> list[ProjectCreated]:
    """Create the project; nothing when a repeated request finds it made."""
    if state is not None:
        return []
    body = {name: value for name, value in body.items() if value is not None}
    for name in ("name", "timezone", "currency"):
        if body.get(name) is None:
            raise refuse(name, "is required")
    fields = read(body, FIELDS)
    read(body, FIXED)
    project = Project(
        id=project_id,
        name=fields["name"],
        timezone=fields["timezone"],
        currency=fields["currency"],
        case_sensitive_codes=fields.get("case_sensitive_codes", True),
        created_at=now,
        webhook_secret=webhook_secret,
        settings=read(body, SETTINGS),
    )
    return [ProjectCreated(project=project)]


def decide_update_project(state: Project, body: JsonObject, now: datetime) -> list[ProjectUpdated]:
    """Change what was sent; a null takes a setting back to its default. Nothing if all is as sent."""
    fields = read(body, FIELDS)
    if fields.pop("case_sensitive_codes", state.case_sensitive_codes) != state.case_sensitive_codes:
        raise refuse("case_sensitive_codes", "must not change, because codes have their ids by it")
    read({name: value for name, value in body.items() if value is not None}, FIXED)
    changed = {
        **state.settings,
        **read(body, {name: optional(SETTINGS[name]) for name in SETTINGS}),
    }
    settings = {name: value for name, value in changed.items() if value is not None}
    project = state.model_copy(update={**fields, "settings": settings})
    if project == state:
        return []
    return [ProjectUpdated(project=project.model_copy(update={"updated_at": now}))]


def decide_delete_project(state: Project, now: datetime) -> list[ProjectDeleted]:
    """Delete the project; nothing when it is deleted."""
    if state.deleted_at is not None:
        return []
    return [ProjectDeleted(project_id=state.id, deleted_at=now)]


def evolve(state: Project | None, event: ProjectEvent) -> Project:
    """Return the project after the event."""
    if isinstance(event, ProjectDeleted):
        assert state is not None, "a project is created first"
        return state.model_copy(update={"deleted_at": event.deleted_at})
    return event.project


# -- fields --------------------------------------------------------------------------------------


def _name(path: str, value: Any) -> str:
    name: str = TEXT(path, value)
    if not name.strip():
        raise refuse(path, "must not be empty")
    return name


def _timezone(path: str, value: Any) -> str:
    name: str = TEXT(path, value)
    if name not in TIMEZONES:
        raise refuse(path, "is not a time zone of the IANA database")
    return name


def _off(path: str, value: Any) -> bool:
    """Read a switch of what Tessera does not do."""
    if boolean(path, value):
        raise refuse(
            path, "must be false: Tessera tells by metrics and lists, not by notifications"
        )
    return False


def _notifications(default: JsonObject) -> Any:
    names = {name: object_of(_NOTIFICATION) for name in default}

    def reader(path: str, value: Any) -> JsonObject:
        sent = read(json_object(path, value), names, path)
        return {name: {**default[name], **sent.get(name, {})} for name in default}

    return reader


_NOTIFICATION: Fields = {
    "enabled": _off,
    "email": _off,
    "in_app": _off,
    "value": whole_number(0, 100),
    "emails": list_of(TEXT, limits.NOTIFIED_ADDRESSES_MAX),
}


def _nobody(path: str, value: Any) -> None:
    if not isinstance(value, list) or value:
        raise refuse(path, "must be empty: Tessera has keys, and no users")


def _no_charset(path: str, value: Any) -> None:
    if json_object(path, value).get("charset") is not None:
        reason = "must be null: name the charset in the code_config of a campaign or voucher"
        raise refuse(join(path, "charset"), reason)


FIELDS: Fields = {
    "name": _name,
    "timezone": _timezone,
    "currency": text(3, pattern=r"[A-Z]{3}", meaning="an ISO 4217 code"),
    "case_sensitive_codes": boolean,
}
SETTINGS: Fields = {
    "description": text(limits.PROJECT_DESCRIPTION_LENGTH_MAX),
    "dial_code": text(limits.DIAL_CODE_LENGTH_MAX),
    "first_day_of_week": one_of("MONDAY", "SATURDAY", "SUNDAY"),
    "client_trusted_domains": list_of(TEXT, limits.ORIGINS_MAX),
    **dict.fromkeys(CLIENT_SETTINGS, boolean),
    "rate_per_minute": whole_number(1, limits.RATE_PER_MINUTE_MAX),
    **{
        name: _notifications(SETTINGS_DEFAULTS[name])
        for name in ("webhooks_callout_notifications", "api_usage_notifications")
    },
}
FIXED: Fields = {
    "api_version": one_of("v2018-08-01"),
    "webhook_version": one_of("v2024-01-01"),
    "cluster_id": one_of("tessera"),
    "users": _nobody,
    "default_code_config": _no_charset,
}
"""What may be sent, but is as it is: another value is refused."""
