"""``python -m gateway.bootstrap``: the demo project with its keys, once, into ``TESSERA_ENV_FILE``."""

import asyncio
import os
from pathlib import Path

from gateway import projects, queries
from gateway.settings import Settings
from runtime.database import open_pool
from runtime.service import Service

NAMES = ("TESSERA_PROJECT_ID", "TESSERA_APP_ID", "TESSERA_APP_TOKEN", "TESSERA_MANAGEMENT_ID")


async def main() -> None:
    """Make what is missing; a file whose keys still work stays as it is."""
    settings = Settings()
    path = Path(os.environ["TESSERA_ENV_FILE"])
    known = read(path)
    service = Service("gateway", settings)
    service.pool = await open_pool(settings, "gateway")
    try:
        if all(name in known for name in NAMES) and await _is_known(service, known):
            return
        write(path, await _make(service))
    finally:
        await service.pool.close()


async def _is_known(service: Service, known: dict[str, str]) -> bool:
    async with service.pool.acquire() as connection:
        return await queries.find_key(connection, known["TESSERA_APP_ID"]) is not None


async def _make(service: Service) -> dict[str, str]:
    body = {
        "name": "Demo",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "rate_per_minute": 6_000_000,
    }
    made = await projects.create(service, body)
    management = await projects.create_management_key(service)
    return {
        "TESSERA_PROJECT_ID": made.project["id"],
        "TESSERA_APP_ID": made.server.app_id,
        "TESSERA_APP_TOKEN": made.server.token,
        "TESSERA_CLIENT_APP_ID": made.client.app_id,
        "TESSERA_CLIENT_TOKEN": made.client.token,
        "TESSERA_MANAGEMENT_ID": management.app_id,
        "TESSERA_MANAGEMENT_TOKEN": management.token,
    }


def read(path: Path) -> dict[str, str]:
    """Return the variables of a file of shell syntax."""
    if not path.exists():
        return {}
    lines = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: value for name, separator, value in lines if separator}


def write(path: Path, values: dict[str, str]) -> None:
    """Set variables in the file; others stay. Only its owner can read it."""
    merged = {**read(path), **values}
    path.touch(mode=0o600)
    path.chmod(0o600)
    text = "".join(f"{name}={value}\n" for name, value in merged.items())
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
