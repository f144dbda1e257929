"""``make backup`` and ``make restore``: the database, the keys that it is read with, and the demo's."""

import json
import shutil
import time
from pathlib import Path

from tessera_stack import services
from tessera_stack.infra import Infra
from tessera_stack.state import ROOT, State, give_up, say

SHELF = ROOT / ".local" / "backups"
SETTINGS = "settings.json"
SECRETS = ("role_password", "pepper", "secret_key")
"""What the database cannot be read without: API keys' hashes and webhooks' secrets are made with them."""
ADDRESSES = {"TESSERA_URL", "TESSERA_SMTP_PORT", "KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL"}
"""Of the file of variables, these say where a system runs: they stay those of the restored one."""


def backup(state: State, infra: Infra, env_file: Path, target: str) -> None:
    """Save the system as it is now, while it goes on."""
    directory = Path(target) if target else SHELF / time.strftime("%Y%m%d-%H%M%S")
    if directory.exists():
        give_up(f"{directory} is there already.")
    services.run_module(state, infra, "runtime.backup", "save", str(directory))
    values = services.environment(state, infra)
    names = ("TESSERA_ROLE_PASSWORD", "TESSERA_PEPPER", "TESSERA_SECRET_KEY")
    secrets = dict(zip(SECRETS, (values[name] for name in names), strict=True))
    kept = directory / SETTINGS
    kept.touch(mode=0o600)
    kept.write_text(json.dumps(secrets, indent=1) + "\n")
    if env_file.exists():
        shutil.copy(env_file, directory / "env")
        (directory / "env").chmod(0o600)
    say(f"Backup: {directory} (it has all secrets; keep it as you keep those)")


def restore(state: State, infra: Infra, env_file: Path, source: str) -> None:
    """Put everything back to what the backup has, and start it."""
    directory = Path(source) if source else newest()
    if not (directory / SETTINGS).exists():
        give_up(f"{directory} is no backup: it has no {SETTINGS}.")
    say(f"Restoring {directory}")
    services.stop_services(state)
    secrets = json.loads((directory / SETTINGS).read_text())
    state.remember(secrets={**state.read().get("secrets", {}), **secrets})
    services.run_module(state, infra, "runtime.backup", "restore", str(directory))
    if (directory / "env").exists():
        services.merge_env_file(env_file, _keys(directory / "env"))
    services.start_services(state, infra)
    services.write_env_file(state, infra, env_file)


def newest() -> Path:
    """Return the newest backup of the shelf."""
    found = sorted(SHELF.glob(f"*/{SETTINGS}"))
    if not found:
        give_up(f"There is no backup in {SHELF}; say which one: make restore FROM=…")
    return found[-1].parent


def _keys(path: Path) -> dict[str, str]:
    pairs = (line.partition("=") for line in path.read_text().splitlines())
    return {name: value for name, sign, value in pairs if sign and name not in ADDRESSES}
