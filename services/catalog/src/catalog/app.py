"""The catalog's wiring."""

from runtime.consumer import CommandConsumer, IntakeConsumer
from runtime.service import Service
from runtime.settings import Settings

from catalog.handlers import COMMANDS, INTAKE


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        "catalog",
        settings,
        consumers=[CommandConsumer(COMMANDS), IntakeConsumer(INTAKE)],
    )
