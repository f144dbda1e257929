"""The composition root of the ledger."""

from pathlib import Path

from contracts import topics
from ledger import book
from ledger.handlers import COMMANDS, REACTIONS
from ledger.timers import expire_holds
from runtime.consumer import CommandConsumer, ReactionConsumer
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Wire the service."""
    return Service(
        "ledger",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer(COMMANDS, prepare=book.prepare, flush=book.flush),
            ReactionConsumer(
                REACTIONS,
                [topics.events("customers")],
                prepare=book.prepare_canceled,
                flush=book.flush,
            ),
        ],
        background=[expire_holds],
    )
