"""The catalog's wiring."""

from pathlib import Path

from catalog.bulk import BULK
from catalog.handlers import COMMANDS, INTAKE
from contracts.catalog import ChangeProductsInBulk
from runtime.consumer import CommandConsumer, IntakeConsumer
from runtime.projects import Projects
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service."""
    projects = Projects()
    return Service(
        "catalog",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer({**COMMANDS, ChangeProductsInBulk: BULK.handler}),
            IntakeConsumer(INTAKE, refusals=projects.refusals),
            projects,
        ],
        background=[BULK.work],
    )
