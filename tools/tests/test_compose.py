"""docker-compose.yml runs what the local stack runs, and is valid where Compose is there to say so."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tessera_stack.services import SERVICES

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = sorted(Path("/usr/lib/python3/dist-packages/compose").rglob("compose_spec.json"))
"""Debian's package has the specification's schema beside its program."""


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


@pytest.mark.skipif(not SCHEMAS, reason="the Compose schema is not here")
def test_the_published_schema_accepts_the_file() -> None:
    schema = json.loads(SCHEMAS[0].read_text())
    compose: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(compose)] == []
    assert list(validator.iter_errors({**compose, "services": {"kafka": {"imagine": "x"}}}))
