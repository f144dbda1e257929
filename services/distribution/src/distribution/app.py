"""The wiring of distribution."""

from pathlib import Path

from contracts import topics
from distribution.handlers import COMMANDS, REACTIONS, prepare
from distribution.projections import PROJECTION
from distribution.sender import send_messages
from distribution.settings import Settings
from distribution.waiting import retry_waiting
from runtime.consumer import CommandConsumer, ProjectionConsumer, ReactionConsumer
from runtime.service import Service


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        "distribution",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer(COMMANDS),
            ReactionConsumer(REACTIONS, [topics.events("customers")], prepare=prepare),
            ProjectionConsumer(PROJECTION, [topics.events("campaigns")]),
        ],
        background=[send_messages, retry_waiting],
    )
