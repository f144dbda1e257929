"""The real ledger on a real Postgres answers as the oracle says."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from contracts.customers import Order, OrderUpdated
from contracts.engine import PlanRedemption, ValidateStack
from contracts.ledger import (
    AdjustBalance,
    BalanceAdjusted,
    HoldReleased,
    PlaceHold,
    Redeem,
    RedemptionRolledBack,
    RedemptionSucceeded,
    ReleaseHold,
    RollBack,
)
from contracts.messages import Command, Event, Reply
from ledger.app import build
from ledger.audit import audit
from ledger.timers import expire_due_holds
from runtime import clock
from runtime.audit import check_log
from runtime.bus import Outgoing
from runtime.settings import Settings
from runtime.testing import Harness
from tests.oracle.machine import START, Answer, LedgerMachine, Row

pytestmark = pytest.mark.integration
REPLIES: dict[type[Command], tuple[str, type[Event]]] = {
    Redeem: ("redemption", RedemptionSucceeded),
    RollBack: ("rollback", RedemptionRolledBack),
    AdjustBalance: ("adjustment", BalanceAdjusted),
    ReleaseHold: ("hold", HoldReleased),
}


class ServiceDriver:
    """The service's own handlers; each example has projects of its own."""

    def __init__(self, runner: asyncio.Runner, harness: Harness, number: int) -> None:
        self.runner = runner
        self.harness = harness
        self.suffix = f"-{number}"
        self.now = START

    def send(self, commands: Sequence[tuple[str, Command]]) -> list[Answer]:
        """Handle the commands as one batch."""
        named = [(project + self.suffix, command) for project, command in commands]
        before, said = len(self.harness.sent), len(self.harness.appended)
        clock.now = lambda: self.now
        replies = self.runner.run(self.harness.commands(named))
        passed_on = iter(self.harness.sent[before:])
        placed = self.harness.appended[said:]
        answers = []
        for (_, command), reply in zip(commands, replies, strict=True):
            if reply is None:
                answers.append(_handed_back(command, next(passed_on)))
            elif isinstance(command, PlaceHold) and reply.error is None:
                assert reply.body == command.answer
                answers.append(Answer("ok", placed[0]))
            else:
                answers.append(_answer(command, reply))
        return answers

    def expire(self, now: datetime) -> None:
        """Let the timer turn once."""
        self.now = now
        self.runner.run(expire_due_holds(self.harness.service, now))
        self.runner.run(self.harness.refresh())

    def cancel(self, project_id: str, order_id: str) -> None:
        """Deliver the event of the order's owner."""
        order = Order(id=order_id, status="CANCELED", created_at=START)
        event = OrderUpdated(order=order, previous_status="CREATED")
        stream = f"order-{order_id}"
        deliver = self.harness.event(
            project_id + self.suffix, event, source="customers", stream=stream
        )
        self.runner.run(deliver)

    def accounts(self, project_id: str) -> Mapping[str, Row]:
        """Read the table."""
        return {
            row["account"]: Row(row["limit_amount"], row["adjusted"], row["used"], row["held"])
            for row in self.runner.run(self.harness.rows("accounts"))
            if row["project_id"] == project_id + self.suffix
        }

    def findings(self) -> list[str]:
        """Run the audit over everything so far."""

        async def run() -> list[str]:
            pool = self.harness.service.pool
            async with pool.acquire() as connection, connection.transaction():
                return await audit(connection) + await check_log(connection, "ledger")

        return self.runner.run(run())


def _handed_back(command: Command, sent: Outgoing) -> Answer:
    if isinstance(command, PlaceHold):
        validation = ValidateStack.from_json(sent.value)
        assert validation.attempt == command.validation.attempt + 1
        return Answer("again", available=validation.available)
    assert isinstance(command, Redeem)
    request = PlanRedemption.from_json(sent.value)
    if request.turn > command.plan.turn:
        assert request.known_order is not None
        assert (request.turn, request.attempt) == (command.plan.turn + 1, command.plan.attempt)
        return Answer("again", order=(request.order_version, request.known_order["id"]))
    assert request.attempt == command.plan.attempt + 1
    return Answer("again", available=request.available)


def _answer(command: Command, reply: Reply) -> Answer:
    if reply.retry_after_s is not None:
        assert reply.status == 503
        return Answer("busy")
    if reply.error is not None:
        assert reply.status == reply.error.code
        names = {"too_little": reply.error.message, "invalid_payload": "invalid"}
        return Answer(names.get(reply.error.key, reply.error.key))
    name, event_type = REPLIES[type(command)]
    assert reply.body is not None
    return Answer("ok", event_type.model_validate(reply.body[name]))


def test_the_running_ledger_answers_as_the_oracle(
    leased_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now", clock.now)  # put back at the end
    numbers = itertools.count()
    with asyncio.Runner() as runner:
        harness = Harness(build(leased_settings))
        runner.run(harness.__aenter__())
        run_state_machine_as_test(
            lambda: LedgerMachine(ServiceDriver(runner, harness, next(numbers))),
            settings=settings(
                max_examples=12,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        runner.run(harness.__aexit__())
