"""The catalog's wiring."""

from pathlib import Path

from catalog.bulk import ACTION, BULK
from catalog.handlers import COMMANDS, INTAKE
from contracts.catalog import ChangeProductsInBulk
from runtime.consumer import CommandConsumer, Handler, IntakeConsumer
from runtime.projects import Projects
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service."""
    projects = Projects()
    in_bulk = Handler(BULK.take_part, streams=lambda command: [(ACTION, command.action_id)])
    return Service(
        "catalog",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer({**COMMANDS, ChangeProductsInBulk: in_bulk}),
            IntakeConsumer(INTAKE, refusals=projects.refusals),
            projects,
        ],
        background=[BULK.work],
    )
