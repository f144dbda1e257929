"""A project: who it is, how it counts money and time, how its codes stack."""

from datetime import datetime
from zoneinfo import available_timezones

from contracts.errors import JsonObject
from contracts.gateway import Project, ProjectCreated, ProjectUpdated
from contracts.payload import boolean, read, refuse, text

TIMEZONES = available_timezones()
TEXT = text(255)


def decide_create_project(
    state: Project | None, project_id: str, body: JsonObject, webhook_secret: str, now: datetime
) -> list[ProjectCreated]:
    """Create the project; nothing when a repeated request finds it made."""
    if state is not None:
        return []
    for name in ("name", "timezone", "currency"):
        if body.get(name) is None:
            raise refuse(name, "is required")
    fields = read(
        {name: value for name, value in body.items() if name in ("name", "timezone", "currency")},
        {
            "name": TEXT,
            "timezone": TEXT,
            "currency": text(3, pattern=r"[A-Z]{3}", meaning="an ISO 4217 code"),
        },
    )
    if fields["timezone"] not in TIMEZONES:
        raise refuse("timezone", "is not a time zone of the IANA database")
    case_sensitive = body.get("case_sensitive_codes", True)
    project = Project(
        id=project_id,
        name=fields["name"],
        timezone=fields["timezone"],
        currency=fields["currency"],
        case_sensitive_codes=boolean("case_sensitive_codes", case_sensitive),
        created_at=now,
        webhook_secret=webhook_secret,
        settings={name: value for name, value in body.items() if name in SETTINGS},
    )
    return [ProjectCreated(project=project)]


SETTINGS = {
    "description",
    "dial_code",
    "client_trusted_domains",
    "client_redeem_enabled",
    "rate_per_minute",
}


def evolve(state: Project | None, event: ProjectCreated | ProjectUpdated) -> Project:
    """Return the project after the event."""
    del state
    return event.project
