"""``python -m gateway.bootstrap``: the demo project with its keys, once, into ``TESSERA_ENV_FILE``."""

import asyncio
import os
import shlex
from pathlib import Path

from gateway import projects
from gateway.auth import Keys, Unauthorized
from gateway.settings import Settings
from runtime.database import open_pool
from runtime.service import Service

DEMO_RATE_PER_MINUTE = 6_000_000
"""More than any benchmark reaches."""


async def main() -> None:
    """Make what is missing; a file whose keys still work stays as it is."""
    settings = Settings()
    path = Path(os.environ["TESSERA_ENV_FILE"])
    known = read(path)
    service = Service("gateway", settings)
    service.pool = await open_pool(settings, "gateway")
    try:
        values = {} if await works(service, known) else await _make(service)
    finally:
        await service.pool.close()
    address = os.environ.get("TESSERA_URL")
    if address and known.get("TESSERA_URL") != address:
        values["TESSERA_URL"] = address
    if values:
        write(path, values)


async def works(service: Service, known: dict[str, str]) -> bool:
    """Whether all keys of the file are there and prove themselves, for the project it names."""
    keys = Keys(service.settings, 0)
    keys.pool = service.pool
    try:
        server = await keys.prove("server", known["TESSERA_APP_ID"], known["TESSERA_APP_TOKEN"])
        await keys.prove(
            "management", known["TESSERA_MANAGEMENT_ID"], known["TESSERA_MANAGEMENT_TOKEN"]
        )
        client = await keys.prove(
            "client", known["TESSERA_CLIENT_APP_ID"], known["TESSERA_CLIENT_TOKEN"], origin="*"
        )
    except (KeyError, Unauthorized):
        return False
    return server.project_id == client.project_id == known.get("TESSERA_PROJECT_ID")


async def _make(service: Service) -> dict[str, str]:
    body = {
        "name": "Demo",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "rate_per_minute": DEMO_RATE_PER_MINUTE,
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
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        name, separator, value = line.removeprefix("export ").partition("=")
        if separator and name.isidentifier():
            found[name] = value.strip("'\"")
    return found


def write(path: Path, values: dict[str, str]) -> None:
    """Set variables in the file; other lines stay. Only its owner can read it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [line for line in lines if line.removeprefix("export ").partition("=")[0] not in values]
    path.touch(mode=0o600)
    path.chmod(0o600)
    told = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    path.write_text("\n".join([*kept, *told]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
