"""What a shop would keep beside Tessera: its own books of uses, credits and sessions, from the log in order.

Written without looking at the ledger's domain or its tables. The books say what was left of everything at
every moment, so they can tell whether an answer was one that somebody could have been given meanwhile.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

SLACK_S = 5.0
"""An event bears the time at which its transaction began: a process may have been stopped inside it."""


class Books:
    """``limits`` are the accounts that were opened, with what they began with."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._used: Counter[str] = Counter()
        self._added: Counter[str] = Counter()
        self._sessions: dict[str, Counter[str]] = {}
        self._history = {name: [(0.0, limit)] for name, limit in limits.items()}
        self._held: dict[str, list[tuple[float, bool]]] = defaultdict(lambda: [(0.0, False)])
        self.redeemed: dict[str, Counter[str]] = {}
        """What each redemption took, by the name that the caller was told."""
        self.given_back: dict[str, float] = {}
        self.adjusted: list[int] = []
        self.findings: list[str] = []

    def read(self, log: Iterable[Any]) -> None:
        """Enter all events, in order; ``findings`` has each moment at which something was over."""
        for row in log:
            event, at = json.loads(row["data"]), row["occurred_at"].timestamp()
            touched = self._enter(row["type"].split(".")[1], event, at)
            for account in touched & self._limits.keys():
                left = self.left(account)
                self._history[account].append((at, left))
                if left < 0:
                    self.findings.append(f"{account} is at {left} after position {row['position']}")

    def left(self, account: str) -> int:
        """Return what is left now."""
        held = sum(one[account] for one in self._sessions.values())
        return self._limits[account] + self._added[account] - self._used[account] - held

    def _enter(self, kind: str, event: dict[str, Any], at: float) -> set[str]:
        if kind == "redemption-succeeded":
            return self._redeem(event, at)
        if kind == "redemption-rolled-back":
            return self._give_back(event, at)
        if kind == "balance-adjusted":
            self._added[event["account"]] += event["amount"]
            self.adjusted.append(event["amount"])
            return {event["account"]}
        if kind in {"hold-placed", "hold-released"}:
            return self._hold(event["session_key"], event.get("held", event.get("remaining")), at)
        return set()

    def _redeem(self, event: dict[str, Any], at: float) -> set[str]:
        name = event.get("parent_id") or event["items"][0]["redemption_id"]
        took: Counter[str] = Counter()
        for item in event["items"]:
            for posted in item["posted"]:
                took[posted["account"]] += posted["amount"]
        if name in self.redeemed:
            self.findings.append(f"{name} was redeemed twice")
        self.redeemed[name] = took
        self._used.update(took)
        key = event.get("session_key")
        return set(took) | (self._hold(key, [], at) if key else set())

    def _give_back(self, event: dict[str, Any], at: float) -> set[str]:
        name = event["redemption_id"]
        gave: Counter[str] = Counter()
        for item in event["items"]:
            for posted in item["posted"]:
                gave[posted["account"]] -= posted["amount"]
        if name in self.given_back or gave != self.redeemed.get(name):
            self.findings.append(f"{name} gave back {gave}, it took {self.redeemed.get(name)}")
        self.given_back[name] = at
        self._used.subtract(gave)
        return set(gave)

    def _hold(self, key: str, postings: list[dict[str, Any]] | None, at: float) -> set[str]:
        before = self._sessions.pop(key, Counter())
        now: Counter[str] = Counter()
        for posting in postings or []:
            now[posting["account"]] += posting["amount"]
        if now:
            self._sessions[key] = now
        self._held[key].append((at, bool(now)))
        return set(before) | set(now)

    # -- what may have been so ---------------------------------------------------------------------

    def least(self, account: str, began: float, ended: float) -> int:
        """Return the least that was left of an account at any moment between the two."""
        return min(_between(self._history[account], began, ended))

    def most(self, account: str, began: float, ended: float) -> int:
        """Return the most."""
        return max(_between(self._history[account], began, ended))

    def was_free(self, key: str, began: float, ended: float) -> bool:
        """Whether a session held nothing at some moment between the two."""
        return not all(_between(self._held[key], began, ended))

    def was_held(self, key: str) -> bool:
        """Whether a session ever held anything."""
        return any(is_held for _, is_held in self._held[key])


def _between(history: list[tuple[float, Any]], began: float, ended: float) -> list[Any]:
    """Return the values that stood at some moment from ``began`` to ``ended``."""
    ends = [at for at, _ in history[1:]] + [float("inf")]
    return [
        value
        for (at, value), until in zip(history, ends, strict=True)
        if at <= ended + SLACK_S and until >= began - SLACK_S
    ]
