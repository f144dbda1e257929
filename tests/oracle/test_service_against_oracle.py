"""The real ledger on a real Postgres answers as the oracle says."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from datetime import datetime

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from contracts.engine import PlanRedemption
from contracts.ledger import (
    AdjustBalance,
    BalanceAdjusted,
    HoldPlaced,
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
from runtime.audit import check_log
from runtime.settings import Settings
from runtime.testing import Harness
from tests.oracle.machine import Answer, LedgerMachine, Row

pytestmark = pytest.mark.integration
REPLIES: dict[type[Command], tuple[str, type[Event]]] = {
    Redeem: ("redemption", RedemptionSucceeded),
    RollBack: ("rollback", RedemptionRolledBack),
    AdjustBalance: ("adjustment", BalanceAdjusted),
    PlaceHold: ("hold", HoldPlaced),
    ReleaseHold: ("hold", HoldReleased),
}


class ServiceDriver:
    """The service's own handlers; each example has projects of its own."""

    def __init__(self, runner: asyncio.Runner, harness: Harness, number: int) -> None:
        self.runner = runner
        self.harness = harness
        self.suffix = f"-{number}"

    def send(self, commands: Sequence[tuple[str, Command]]) -> list[Answer]:
        """Handle the commands as one batch."""
        named = [(project + self.suffix, command) for project, command in commands]
        before = len(self.harness.sent)
        replies = self.runner.run(self.harness.commands(named))
        passed_on = iter(self.harness.sent[before:])
        answers = []
        for (_, command), reply in zip(commands, replies, strict=True):
            if reply is None:
                request = PlanRedemption.from_json(next(passed_on).value)
                assert isinstance(command, Redeem)
                assert request.attempt == command.plan.attempt + 1
                answers.append(Answer("again", available=request.available))
            else:
                answers.append(_answer(command, reply))
        return answers

    def expire(self, now: datetime) -> None:
        """Let the timer turn once."""
        self.runner.run(expire_due_holds(self.harness.service, now))

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


def test_the_running_ledger_answers_as_the_oracle(leased_settings: Settings) -> None:
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
