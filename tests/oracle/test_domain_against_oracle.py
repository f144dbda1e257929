"""The pure domain, in memory, answers as the oracle says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from hypothesis import settings

from contracts.errors import DomainError, Unavailable
from contracts.ledger import (
    AdjustBalance,
    HoldPlaced,
    HoldReleased,
    PlaceHold,
    Posting,
    Redeem,
    ReleaseHold,
    RollBack,
    RollbackFailed,
)
from contracts.messages import Command, Envelope, Event
from ledger.audit import fold_accounts, trial_balance
from ledger.domain.accounts import Account
from ledger.domain.balance import decide_adjust_balance
from ledger.domain.holds import (
    Reason,
    decide_place_hold,
    decide_release_hold,
    release,
    released_by_redemption,
)
from ledger.domain.redeem import HandBack, Redeemed, decide_redeem
from ledger.domain.rollback import Redemption, decide_roll_back
from ledger.limits import PLAN_ATTEMPTS_MAX
from tests.oracle.machine import PROJECTS, START, Answer, LedgerMachine, Row


@dataclass
class Project:
    """What a ledger keeps of one project."""

    accounts: dict[str, Account] = field(default_factory=dict)
    redemptions: dict[str, Redemption] = field(default_factory=dict)
    holds: dict[str, HoldPlaced] = field(default_factory=dict)
    orders: dict[str, str] = field(default_factory=dict)
    log: list[Event] = field(default_factory=list)

    def held(self, session: str | None) -> list[Posting]:
        """Return what the session holds."""
        return self.holds[session].held if session in self.holds else []

    def take_over(self, changed: Mapping[str, Account], event: Event) -> Answer:
        """Keep what was decided."""
        self.accounts.update(changed)
        self.log.append(event)
        if isinstance(event, HoldReleased) and event.remaining:
            held = self.holds[event.session_key]
            self.holds[event.session_key] = held.model_copy(update={"held": event.remaining})
        elif isinstance(event, HoldReleased):
            del self.holds[event.session_key]
        return Answer("ok", event)


class DomainDriver:
    """The decisions, with dictionaries around them."""

    def __init__(self) -> None:
        self.projects = {name: Project() for name in PROJECTS}
        self.now = START

    def send(self, commands: Sequence[tuple[str, Command]]) -> list[Answer]:
        """Decide one after the other."""
        return [self._send(self.projects[project], command) for project, command in commands]

    def _send(self, project: Project, command: Command) -> Answer:
        try:
            match command:
                case Redeem():
                    return self._redeem(project, command)
                case RollBack():
                    return self._roll_back(project, command)
                case AdjustBalance():
                    event, changed = decide_adjust_balance(command, project.accounts, START)
                    return project.take_over(changed, event)
                case PlaceHold():
                    return self._hold(project, command)
                case ReleaseHold():
                    return self._release(project, command)
        except Unavailable:
            return Answer("busy")
        except DomainError as refusal:
            error = refusal.body()
            names = {"too_little": error.message, "invalid_payload": "invalid"}
            return Answer(names.get(error.key, error.key))
        raise NotImplementedError(command)

    def _redeem(self, project: Project, command: Redeem) -> Answer:
        session = (command.plan.stack.session or {}).get("key")
        held = project.held(session)
        decision = decide_redeem(command.plan, project.accounts, held, START)
        if isinstance(decision, HandBack) and decision.is_order_changed:
            assert command.plan.order is not None
            order_id = command.plan.order["id"]
            facts = project.accounts[f"order/{order_id}"].used
            return Answer("again", order=(facts, order_id))
        if isinstance(decision, HandBack):
            if command.plan.attempt >= PLAN_ATTEMPTS_MAX:
                return Answer("busy")
            return Answer("again", available=decision.available)
        if not isinstance(decision, Redeemed):
            failed = decision.event
            assert failed.error.resource_id == failed.redemption_id
            project.redemptions[failed.redemption_id] = Redemption(None, is_failed=True)
            return Answer(failed.error.message)
        event = decision.event
        for item in event.items:
            project.redemptions[item.redemption_id] = Redemption(None, parent_id=event.parent_id)
        project.redemptions[event.parent_id or event.items[0].redemption_id] = Redemption(event)
        answer = project.take_over(decision.accounts, event)
        if session in project.holds:
            project.take_over({}, released_by_redemption(session, held, decision.accounts, START))
        return answer

    def _roll_back(self, project: Project, command: RollBack) -> Answer:
        known = project.redemptions.get(command.redemption_id, Redemption(None))
        decision = decide_roll_back(command, known, project.accounts, START)
        if isinstance(decision, RollbackFailed):
            return Answer(decision.error.key)
        project.redemptions[command.redemption_id] = known._replace(is_rolled_back=True)
        return project.take_over(decision.accounts, decision.event)

    def _hold(self, project: Project, command: PlaceHold) -> Answer:
        held = project.held(command.session_key)
        decision = decide_place_hold(command, held, project.accounts, self.now)
        if isinstance(decision, HandBack):
            if command.validation.attempt >= PLAN_ATTEMPTS_MAX:
                return Answer("busy")
            return Answer("again", available=decision.available)
        project.holds[command.session_key] = decision.event
        return project.take_over(decision.accounts, decision.event)

    def _release(self, project: Project, command: ReleaseHold) -> Answer:
        held = project.held(command.session_key)
        event, changed = decide_release_hold(command, held, project.accounts, START)
        return project.take_over(changed, event)

    def expire(self, now: datetime) -> None:
        """Release what is due."""
        self.now = now
        for project in self.projects.values():
            for session, held in list(project.holds.items()):
                if held.expires_at <= now:
                    self._let_go(project, session, "expired")

    def cancel(self, project_id: str, order_id: str) -> None:
        """Release what is held for the order."""
        project = self.projects[project_id]
        for session, held in list(project.holds.items()):
            if held.order_id == order_id:
                self._let_go(project, session, "canceled")

    def _let_go(self, project: Project, session: str, reason: Reason) -> None:
        held = project.holds[session].held
        event, changed = release(session, held, [], project.accounts, self.now, reason)
        project.take_over(changed, event)

    def accounts(self, project_id: str) -> Mapping[str, Row]:
        """Return the accounts."""
        return {
            name: Row(one.limit, one.adjusted, one.used, one.held)
            for name, one in self.projects[project_id].accounts.items()
        }

    def findings(self) -> list[str]:
        """Fold the events and compare the balances."""
        findings = []
        for name, project in self.projects.items():
            history = fold_accounts(
                (event, Envelope("id", event.TYPE, "ledger", START, name, stream=_stream(event)))
                for event in project.log
            )
            findings += history.findings + trial_balance(history)
            for account, row in self.accounts(name).items():
                told = history.balances[name, account]
                if (told.adjusted, told.used, told.held) != row[1:]:
                    findings.append(f"{account}: {told} is not {row}")
        return findings


def _stream(event: Event) -> str:
    return f"hold-{event.session_key}" if isinstance(event, HoldPlaced | HoldReleased) else "other"


class DomainMachine(LedgerMachine):
    """The pure domain against the oracle."""

    def __init__(self) -> None:
        super().__init__(DomainDriver())


TestDomain = DomainMachine.TestCase
TestDomain.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
