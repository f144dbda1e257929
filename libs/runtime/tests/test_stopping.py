"""A service that is stopped publishes what it has committed, without being woken for it."""

import pytest
from counter_service import Counted

from runtime import admin
from runtime.database import connect
from runtime.service import Service
from runtime.settings import Settings

pytestmark = pytest.mark.integration


async def test_what_was_committed_is_published_before_the_end(
    kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = kafka_settings.model_copy(update={"relay_poll_s": 3600.0})
    service = Service("catalog", settings)
    await admin.migrate_service(service)
    await service.start()
    connection = await connect(settings, "catalog")
    try:
        monkeypatch.setattr(service, "wake_relay", lambda: None)
        for number in range(3):
            async with service.unit("p1") as unit:
                unit.publish_event(f"counter-{number}", Counted(name="a", by=1))
        published = await connection.fetchval("SELECT position FROM relay_cursor")
        assert published == 0, "the relay sleeps for an hour, or this test shows nothing"
        await service.stop()
        assert await connection.fetchval("SELECT position FROM relay_cursor") == 3
    finally:
        await connection.close()
