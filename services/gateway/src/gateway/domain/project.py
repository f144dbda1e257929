"""A project: who it is, how it counts money and time, how its codes stack."""

from datetime import datetime
from zoneinfo import available_timezones

from contracts.errors import JsonObject
from contracts.gateway import Project, ProjectCreated, ProjectUpdated
from contracts.payload import Fields, boolean, list_of, one_of, read, refuse, text, whole_number

TIMEZONES = available_timezones()
TEXT = text(255)
ORIGINS_MAX = 100
"""Origins from which a project's client-side key may be used."""
RATE_PER_MINUTE_MAX = 100_000_000


def decide_create_project(
    state: Project | None, project_id: str, body: JsonObject, webhook_secret: str, now: datetime
) -> list[ProjectCreated]:
    """Create the project; nothing when a repeated request finds it made."""
    if state is not None:
        return []
    for name in ("name", "timezone", "currency"):
        if body.get(name) is None:
            raise refuse(name, "is required")
    fields = read(body, FIELDS)
    if not fields["name"].strip():
        raise refuse("name", "must not be empty")
    if fields["timezone"] not in TIMEZONES:
        raise refuse("timezone", "is not a time zone of the IANA database")
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


FIELDS: Fields = {
    "name": TEXT,
    "timezone": TEXT,
    "currency": text(3, pattern=r"[A-Z]{3}", meaning="an ISO 4217 code"),
    "case_sensitive_codes": boolean,
}
SETTINGS: Fields = {
    "description": text(2000),
    "dial_code": text(10),
    "first_day_of_week": one_of("MONDAY", "SATURDAY", "SUNDAY"),
    "client_trusted_domains": list_of(TEXT, ORIGINS_MAX),
    "client_redeem_enabled": boolean,
    "rate_per_minute": whole_number(1, RATE_PER_MINUTE_MAX),
}


def evolve(state: Project | None, event: ProjectCreated | ProjectUpdated) -> Project:
    """Return the project after the event."""
    del state
    return event.project
