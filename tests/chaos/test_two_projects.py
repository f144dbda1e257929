"""R38: every operation, every kind of key, another project's ids: refused, nothing done, nothing seen.

The matrix is made from the registered operations, so a new one is in it the day it is written.
"""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import gateway.operations
from contracts import topics
from demo.outside import HookReceiver
from gateway.http import CLIENT, MANAGEMENT, OPERATIONS, SERVER, Operation
from tests.chaos.kit import report, rows, say
from tests.chaos.twins import HEADERS, PARAMETER, Twin
from tests.system import Answer, Api, System, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(300)]

assert gateway.operations
REFUSED = {401, 403, 404}


@pytest.fixture(scope="module")
def receiver() -> Iterator[HookReceiver]:
    running = HookReceiver()
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def twins(system: System, receiver: HookReceiver) -> tuple[Twin, Twin]:
    run = uuid.uuid4().hex[:6]
    return Twin(system, run, receiver), Twin(system, run, receiver)


def _operations() -> list[Operation]:
    return sorted(OPERATIONS, key=lambda one: (one.path, one.method))


def test_r38_without_the_right_key_nothing_is_told_and_nothing_done(
    system: System, twins: tuple[Twin, Twin]
) -> None:
    victim, _ = twins
    caller = Api(system.env["TESSERA_URL"], {}, "")
    before = _events(system, victim.api.project_id)
    outcome: Counter[tuple[str, int]] = Counter()
    for operation in _operations():
        for name, headers in _wrong_keys(system, operation, victim):
            answer = _send(caller, operation, victim.path(operation), victim, headers)
            where = f"{operation.name} with {name}: {answer.status} {answer.json}"
            assert answer.status == 401, where
            assert answer.key == "unauthorized", where
            _shows_nothing(answer, victim, where, sent="")
            outcome[name, answer.status] += 1
    assert _events(system, victim.api.project_id) == before
    report("R38", operations=len(OPERATIONS), wrong_keys=sum(outcome.values()), lost=0)
    say(f"R38: {sum(outcome.values())} calls without the right key: {dict(outcome)}")
    assert sum(outcome.values()) >= 5 * len(OPERATIONS)


def test_r38_by_the_names_both_have_each_gets_its_own(twins: tuple[Twin, Twin]) -> None:
    shown = 0
    for one, twin in (twins, twins[::-1]):
        for operation in _operations():
            if operation.method != "GET" or operation.auth != SERVER:
                continue
            answer = one.api.call("GET", one.named_path(operation))
            where = f"{operation.name}: {answer.status} {answer.json}"
            assert answer.status < 500, where
            _shows_nothing(answer, twin, where, sent="")
            shown += one.mark in json.dumps(answer.json)
    assert shown >= 30, "the twins' own things are shown, else this shows nothing"


def test_r38_another_project_s_key_opens_nothing(system: System, twins: tuple[Twin, Twin]) -> None:
    victim, other = twins
    before = _events(system, victim.api.project_id)
    outcome: Counter[int] = Counter()
    sent = ""
    for operation in _operations():
        if operation.path == "/management/v1/projects":
            continue
        caller, path = _foreign_call(operation, victim, other)
        answers = [_send(caller, operation, path, victim, {}, one) for one in ("full", "empty")]
        where = f"{operation.name} at {path}: {[(one.status, one.json) for one in answers]}"
        if PARAMETER.search(operation.path) and not _may_be_new(operation):
            # A body may be refused before anybody looks for what it is about: then one of them is.
            assert any(answer.status in REFUSED for answer in answers), where
            assert all(answer.status in REFUSED | {400} for answer in answers), where
        sent += path + json.dumps(victim.body(operation))
        for answer in answers:
            assert answer.status < 500, where
            _shows_nothing(answer, victim, where, sent)
            outcome[answer.status] += 1
    assert _events(system, victim.api.project_id) == before, "something of the victim was changed"
    answered = {str(status): count for status, count in sorted(outcome.items())}
    report("R38-foreign", calls=sum(outcome.values()), answers=answered, lost=0)
    say(f"R38: {sum(outcome.values())} calls with another project's key: {dict(outcome)}")


def test_r38_webhooks_and_log_lines_are_the_project_s_own(
    system: System, twins: tuple[Twin, Twin], receiver: HookReceiver
) -> None:
    for twin in twins:
        twin.api.must("POST", "/v1/customers", {"source_id": "last", "name": twin.mark})
    for twin in twins:
        wait_until(lambda twin=twin: _hooks(system, twin), "webhooks of both")
    foreign = {twins[0].api.project_id: twins[1], twins[1].api.project_id: twins[0]}
    kept = rows(
        system, "SELECT project_id, delivery_id, hook_id, endpoint_id FROM webhooks.deliveries"
    )
    owner = {row[name]: row["project_id"] for row in kept for name in ("delivery_id", "hook_id")}
    endpoints = {twin.ids["webhookId"]: twin.api.project_id for twin in twins}
    assert all(endpoints.get(r["endpoint_id"], r["project_id"]) == r["project_id"] for r in kept)
    seen = 0
    for hook in receiver.hooks:
        project_id = owner.get(hook.headers.get("webhook-id", ""))
        if project_id in foreign:
            text = hook.body.decode() + json.dumps(hook.headers)
            assert not _marks(foreign[project_id]) & _words(text, foreign[project_id])
            seen += 1
    assert seen >= 4
    lines = 0
    for path in (system.state.directory / "log").glob("*.log"):
        for line in path.read_text(errors="replace").splitlines():
            for twin in twins:
                lines += twin.api.project_id in line
                assert twin.mark not in line, f"{path.name} tells what customers are called: {line}"
                assert twin.key(SERVER)[1] not in line, f"{path.name} tells a key"
    assert lines > 50, "the log tells of both projects"
    assert "audit: clean" in system.audit()


# -- keys -----------------------------------------------------------------------------------------


def _wrong_keys(
    system: System, operation: Operation, victim: Twin
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield headers that must not open the operation, in the places where it looks for keys."""
    names = HEADERS[operation.auth]
    management = (
        system.env["TESSERA_MANAGEMENT_ID"],
        system.env["TESSERA_MANAGEMENT_TOKEN"],
    )
    pairs = {SERVER: victim.key(SERVER), CLIENT: victim.key(CLIENT), MANAGEMENT: management}
    yield "no key", {}
    own = pairs[operation.auth]
    yield "a wrong token", dict(zip(names, (own[0], "x" * 48), strict=True))
    yield "an unknown id", dict(zip(names, ("unknown", own[1]), strict=True))
    for kind, pair in pairs.items():
        if kind != operation.auth:
            yield f"a {kind} key in its place", dict(zip(names, pair, strict=True))
            yield f"a {kind} key", dict(zip(HEADERS[kind], pair, strict=True))


def _foreign_call(operation: Operation, victim: Twin, other: Twin) -> tuple[Api, str]:
    """Return the other project's caller, and the path with the victim's ids in it."""
    path = victim.path(operation)
    if operation.auth == MANAGEMENT:
        # A management key may see all projects: here the project is the other one's.
        if operation.path.count("{") == 1:
            return other.management, path.replace(victim.api.project_id, "proj_unknown")
        return other.management, path.replace(victim.api.project_id, other.api.project_id)
    if operation.auth == CLIENT:
        headers = dict(zip(HEADERS[CLIENT], other.key(CLIENT), strict=True))
        return Api(other.api.url, {**headers, "Origin": "https://shop.example"}, ""), path
    return other.api, path


def _may_be_new(operation: Operation) -> bool:
    """Whether the path's last part names what is to be made: anybody may use any name for it."""
    return operation.method == "POST" and operation.path == "/v1/vouchers/{code}"


def _send(
    caller: Api,
    operation: Operation,
    path: str,
    victim: Twin,
    headers: dict[str, str],
    body: str = "full",
) -> Answer:
    content = None
    if operation.method in {"POST", "PUT"}:
        content = json.dumps(victim.body(operation) if body == "full" else {}).encode()
    response = caller._client.request(
        operation.method,
        path,
        content=content,
        headers={"Content-Type": "application/json", **headers},
    )
    told = response.json() if response.content else None
    return Answer(response.status_code, told, response.headers)


# -- what is shown and done -----------------------------------------------------------------------


def _marks(twin: Twin) -> set[str]:
    return {twin.mark, *twin.ids.values(), *twin.key(SERVER), *twin.key(CLIENT)}


def _words(text: str, twin: Twin) -> set[str]:
    return {mark for mark in _marks(twin) if mark in text}


def _shows_nothing(answer: Answer, victim: Twin, where: str, sent: str) -> None:
    """What the caller sent may be told back to it, nothing else of the victim's."""
    text = json.dumps(answer.json) + json.dumps(dict(answer.headers))
    found = {mark for mark in _words(text, victim) if mark not in sent}
    assert not found, f"{where} shows {found}"


def _events(system: System, project_id: str) -> dict[str, int]:
    """Return how many events, deliveries and stored replies each service has of a project."""
    found = {}
    for service in topics.SERVICES:
        for table in ("events", "aggregates", "idempotency_records"):
            sql = f"SELECT count(*) AS n FROM {service}.{table} WHERE project_id = $1"
            found[f"{service}.{table}"] = rows(system, sql, project_id)[0]["n"]
    return found


def _hooks(system: System, twin: Twin) -> Any:
    sql = "SELECT 1 FROM webhooks.deliveries WHERE project_id = $1 AND status = $2"
    return len(rows(system, sql, twin.api.project_id, "delivered")) >= 2
