"""Golden files: what is in logs and topics stays readable, and nobody changes it unknowingly."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from contracts.messages import Event
from contracts.samples import message_types, sample, write_golden
from contracts.upcasting import UPCASTERS, newest, read

GOLDEN = Path(__file__).parent / "golden"
TYPES = message_types()


@pytest.mark.parametrize("name", TYPES)
def test_message_is_written_as_its_golden_file_says(name):
    path = GOLDEN / f"{name}.json"
    assert path.exists(), f"{name} has no golden file: run python -m contracts.samples"
    assert sample(TYPES[name]).to_json() + b"\n" == path.read_bytes()


@pytest.mark.parametrize("name", TYPES)
def test_golden_file_is_read_as_the_message(name):
    message = TYPES[name]
    data = (GOLDEN / f"{name}.json").read_bytes()
    assert message.from_json(data) == sample(message)
    assert message.from_json(data).to_json() + b"\n" == data


def test_no_golden_file_is_left_over_and_old_versions_keep_theirs():
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == sorted([*TYPES, *UPCASTERS])


@pytest.mark.parametrize("name", UPCASTERS)
def test_an_old_version_is_read_as_the_newest(name):
    assert newest(name) == read(name, (GOLDEN / f"{name}.json").read_bytes()).TYPE


def test_every_type_says_its_version():
    assert [name for name in TYPES if name.rpartition(".v")[2].isdigit() is False] == []


def test_events_say_when_and_refuse_what_they_do_not_know():
    for name, message in TYPES.items():
        if issubclass(message, Event):
            body = sample(message).model_dump(mode="json") | {"unknown": 1}
            with pytest.raises(ValidationError):
                message.model_validate(body)
            assert message.model_config.get("frozen") is True, name


def test_writing_says_what_it_wrote_and_refuses_to_lose_old_logs(tmp_path):
    assert write_golden(tmp_path) == list(TYPES)
    assert write_golden(tmp_path) == []
    shrunk = tmp_path / "catalog.product-created.v1.json"
    shrunk.write_text('{"product":{"id":"p","created_at":"2026-01-31T12:00:00Z"}}\n')
    assert write_golden(tmp_path) == ["catalog.product-created.v1"]
    shrunk.write_text('{"product":{"id":"p","created_at":"2026-01-31T12:00:00Z","colour":"red"}}\n')
    with pytest.raises(ValueError, match=r"catalog\.product-created\.v1: logged messages"):
        write_golden(tmp_path)
