"""The composition root of the gateway."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import gateway.operations  # noqa: F401 - registers all operations
from gateway import pages, queries
from gateway.auth import Keys, Rates
from gateway.http import Api, BulkBodies
from gateway.idempotency import Idempotency
from gateway.own_writes import OwnWrites
from gateway.read_models import PROJECTION, TOPICS
from runtime import clock, secrets
from runtime.consumer import ProjectionConsumer
from runtime.service import Service
from runtime.settings import Settings


class Gateway:
    """What operations share."""

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys(settings, getattr(settings, "key_cache_s", 0.8))
        self.rates = Rates(getattr(settings, "rate_per_minute", 600_000))
        self.writes = OwnWrites()
        self.idempotency = Idempotency()
        self.bulk_bodies = BulkBodies()
        self.pages = pages.PAGES
        self.service: Service

    def connection(self) -> AbstractAsyncContextManager[Any]:
        """Return a connection to the read models."""
        return self.service.pool.acquire()

    def encrypt(self, text: str) -> str:
        """Return a secret as it may be stored and published."""
        return secrets.encrypt(self.service.settings, text)

    def decrypt(self, ciphertext: str) -> str:
        """Return the text of a stored secret."""
        return secrets.decrypt(self.service.settings, ciphertext)

    def serve(self, service: Service) -> Api:
        """Return the ASGI application once the service has its pool."""
        self.service = service
        self.keys.pool = service.pool
        self.idempotency.pool = service.pool
        return Api(self)


async def forget_idempotency_keys(service: Service) -> None:
    """Drop keys whose time is over, once an hour."""
    while True:
        async with service.pool.acquire() as connection:
            kept = timedelta(hours=service.settings.idempotency_hours)
            await queries.forget_keys(connection, clock.now() - kept)
        await asyncio.sleep(3600)


def build(settings: Settings) -> Service:
    """Wire the service."""
    gateway = Gateway(settings)

    def http(service: Service) -> Api:
        return gateway.serve(service)

    return Service(
        "gateway",
        settings,
        migrations=Path(__file__).parent / "migrations",
        consumers=[ProjectionConsumer(PROJECTION, TOPICS)],
        background=[forget_idempotency_keys],
        http=http,
        with_rpc=True,
    )
