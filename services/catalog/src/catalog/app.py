"""The catalog's wiring."""

from catalog.handlers import COMMANDS, INTAKE
from runtime.consumer import CommandConsumer, IntakeConsumer
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        "catalog",
        settings,
        consumers=[CommandConsumer(COMMANDS), IntakeConsumer(INTAKE)],
    )
