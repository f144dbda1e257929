"""The wiring of customers."""

from pathlib import Path

from contracts import topics
from contracts.customers import ChangeCustomersInBulk
from customers.bulk import BULK
from customers.handlers import COMMANDS, INTAKE, REACTIONS, prepare
from customers.projections import PROJECTION
from customers.sweeps import sweep_segments
from runtime.consumer import (
    CommandConsumer,
    IntakeConsumer,
    ProjectionConsumer,
    ReactionConsumer,
)
from runtime.projects import Projects
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service."""
    projects = Projects()
    return Service(
        "customers",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer({**COMMANDS, ChangeCustomersInBulk: BULK.handler}, prepare=prepare),
            IntakeConsumer(INTAKE, prepare=prepare, refusals=projects.refusals),
            ReactionConsumer(
                REACTIONS, [topics.events("ledger"), topics.events("distribution")], prepare=prepare
            ),
            ProjectionConsumer(PROJECTION, [topics.events("catalog")]),
            projects,
        ],
        background=[sweep_segments, BULK.work],
    )
