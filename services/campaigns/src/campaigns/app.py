"""The wiring of campaigns."""

from pathlib import Path

from campaigns.bulk import BULK
from campaigns.generation import generator
from campaigns.handlers import COMMANDS, REACTIONS
from campaigns.settings import Settings
from contracts import topics
from contracts.campaigns import ChangeVouchersInBulk
from runtime.consumer import CommandConsumer, ReactionConsumer
from runtime.service import Service


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        "campaigns",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer({**COMMANDS, ChangeVouchersInBulk: BULK.handler}),
            ReactionConsumer(REACTIONS, [topics.events("distribution")]),
        ],
        background=[generator(settings.generation_codes_per_s_max), BULK.work],
    )
