"""The wiring of customers."""

from pathlib import Path

from contracts import topics
from customers.handlers import COMMANDS, INTAKE, REACTIONS, prepare
from customers.projections import PROJECTION
from customers.sweeps import sweep_segments
from runtime.consumer import CommandConsumer, IntakeConsumer, ProjectionConsumer, ReactionConsumer
from runtime.service import Service
from runtime.settings import Settings


def build(settings: Settings) -> Service:
    """Return the service."""
    return Service(
        "customers",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            CommandConsumer(COMMANDS, prepare=prepare),
            IntakeConsumer(INTAKE, prepare=prepare),
            ReactionConsumer(
                REACTIONS, [topics.events("ledger"), topics.events("distribution")], prepare=prepare
            ),
            ProjectionConsumer(PROJECTION, [topics.events("catalog")]),
        ],
        background=[sweep_segments],
    )
