"""The wiring of webhooks."""

from pathlib import Path

from contracts import topics
from runtime.consumer import CommandConsumer, ReactionConsumer
from runtime.service import Service
from webhooks.handlers import REACTIONS, commands, flush, prepare
from webhooks.sender import clean_up, send_webhooks
from webhooks.settings import Settings

SOURCES = ("gateway", "customers", "campaigns", "ledger", "distribution")


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        "webhooks",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer(commands(settings)),
            ReactionConsumer(
                REACTIONS, [topics.events(name) for name in SOURCES], prepare=prepare, flush=flush
            ),
        ],
        background=[send_webhooks, clean_up],
    )
