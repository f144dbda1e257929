"""The composition root of the ledger."""

from pathlib import Path

from ledger import book
from ledger.handlers import COMMANDS
from ledger.timers import expire_holds
from runtime.consumer import CommandConsumer
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Wire the service."""
    return Service(
        "ledger",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[CommandConsumer(COMMANDS, prepare=book.prepare, flush=book.flush)],
        background=[expire_holds],
    )
