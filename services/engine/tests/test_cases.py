"""Every case of ``cases/**/*.yaml``: ``given`` a world, ``when`` a request, ``then`` these values.

``then`` names what must be there; a path such as ``redeemables.0.result.gift.credits`` reaches into the
answer, and ``absent`` lists paths that must not be there. ``when.do`` is ``validate`` (default), ``plan``,
``hold`` or ``qualify`` (then ``when`` has a scenario and options, and everything given is on offer).
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.engine import ValidateStack
from contracts.errors import DomainError
from engine.domain.plan import plan
from engine.domain.sessions import place_hold
from engine.domain.validate import validate
from engine.testing import MISSING, NOW, drawn_ids, make_snapshot, qualify, reach

CASES = Path(__file__).parent / "cases"


def _load() -> list[Any]:
    found = []
    for path in sorted(CASES.rglob("*.yaml")):
        name = path.relative_to(CASES).with_suffix("")
        document = yaml.safe_load(path.read_text())
        for case in document["cases"]:
            merged = {
                "given": {**document.get("given", {}), **case.get("given", {})},
                **{key: value for key, value in case.items() if key != "given"},
            }
            found.append(pytest.param(merged, id=f"{name}: {case['it']}"))
    return found


def _answer(case: dict[str, Any]) -> Any:
    when = case["when"]
    snapshot = make_snapshot(case["given"], when)
    try:
        if when.get("do") == "plan":
            made = plan(snapshot, drawn_ids(), attempt=when.get("attempt", 1), planned_at=NOW)
            return made.model_dump(mode="json", exclude_none=True)
        if when.get("do") == "hold":
            request = ValidateStack(validation_id="valid_1", stack=snapshot.request, now=NOW)
            order_id = (snapshot.request.order or {}).get("id")
            hold = place_hold(snapshot, request, order_id)
            return hold.model_dump(mode="json", exclude_none=True)
        if when.get("do") == "qualify":
            return qualify(snapshot, when)
        return validate(snapshot, "valid_1")
    except DomainError as error:
        return {"refused": error.body().model_dump(exclude_none=True)}


@pytest.mark.parametrize("case", _load())
def test_case(case: dict[str, Any]) -> None:
    answer = _answer(case)
    then = dict(case["then"])
    absent = then.pop("absent", [])
    expected = {path: value for path, value in then.items()}
    found = {path: reach(answer, path) for path in expected}
    assert found == expected, answer
    assert [path for path in absent if reach(answer, path) is not MISSING] == [], answer
