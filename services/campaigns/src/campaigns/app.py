"""The wiring of campaigns."""

from pathlib import Path

from campaigns.generation import generate_codes
from campaigns.handlers import COMMANDS, REACTIONS
from contracts import topics
from runtime.consumer import CommandConsumer, ReactionConsumer
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        "campaigns",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer(COMMANDS),
            ReactionConsumer(REACTIONS, [topics.events("distribution")]),
        ],
        background=[generate_codes],
    )
