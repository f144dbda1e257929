"""The engine's composition root."""

from pathlib import Path

from contracts import topics
from engine.handlers import REQUESTS, Answers
from engine.projections import PROJECTION
from runtime.consumer import ProjectionConsumer
from runtime.requests import RequestConsumer
from runtime.service import Service
from runtime.settings import Settings

SOURCES = ("gateway", "campaigns", "catalog", "customers", "distribution", "ledger")


def build(settings: Settings) -> Service:
    """Wire the service: the replica, and the requests that are answered from it."""
    answers = Answers()
    service = Service(
        "engine",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[
            ProjectionConsumer(PROJECTION, [topics.events(name) for name in SOURCES]),
            RequestConsumer(answers, REQUESTS),
        ],
    )
    answers.service = service
    return service
