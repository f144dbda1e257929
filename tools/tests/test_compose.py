"""docker-compose.yml runs what the local stack runs, and is valid where Compose is there to say so."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tessera_stack.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]


def test_every_service_is_run_by_the_same_command() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    dockerfile = (ROOT / "deploy/images/Dockerfile").read_text()
    assert 'ENTRYPOINT ["python", "-m"]' in dockerfile
    for service in SERVICES:
        assert compose["services"][service]["command"] == [service]
    assert compose["services"]["setup"]["command"] == ["runtime.admin", "setup"]


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not here")
def test_compose_itself_accepts_the_file() -> None:
    done = subprocess.run(
        ["docker-compose", "--env-file", "deploy/compose.env.example", "config", "--quiet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
