"""What clients asked and what they were told: one line before each call and one after.

*ok* is a 2xx, *fail* a refusal of the catalogue, *info* whatever leaves the outcome open (503, 429, a
lost connection, no answer in time). An open call is repeated with its key until it is ok or fail. What
else is answered, a 500 or a refusal without its shape, is *wrong* and a finding.
"""

import asyncio
import itertools
import json
import random
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx

from tests.chaos.kit import rows, say
from tests.system import DIRECTORY, Api, Json, System, cart, wait_until

CALL_S = 12.0
"""The gateway answers within ten seconds, whatever has failed."""
CONVERGE_S = 90.0
RATE = 25
"""Operations a second: the system is measured, not the clients."""


class Call(NamedTuple):
    """One operation, from its first attempt to its end."""

    kind: str
    key: str
    outcome: str
    status: int
    error: str
    body: Any
    attempts: int
    began: float
    ended: float


class Journal:
    """The lines, in memory and in a file that stays for whoever looks into a failure."""

    def __init__(self, name: str, seed: int) -> None:
        directory = DIRECTORY / "journal"
        directory.mkdir(parents=True, exist_ok=True)
        self.path: Path = directory / f"{name}-{seed}-{uuid.uuid4().hex[:6]}.jsonl"
        self.calls: list[Call] = []
        self.wrong: list[str] = []
        self.attempts: Counter[str] = Counter()
        self._file = self.path.open("w", encoding="utf-8")

    def line(self, **facts: Any) -> None:
        """Write a line."""
        self._file.write(json.dumps({"at": round(time.time(), 3), **facts}) + "\n")
        self._file.flush()

    def end(self, call: Call) -> None:
        """Write the outcome."""
        self.calls.append(call)
        told = {name: getattr(call, name) for name in ("kind", "key", "outcome", "status", "error")}
        self.line(event="outcome", attempts=call.attempts, **told)

    def of(self, kind: str, outcome: str) -> list[Call]:
        """Return the calls of a kind that ended so."""
        return [one for one in self.calls if one.kind == kind and one.outcome == outcome]


class Load:
    """``with Load(api, journal, seed) as load:`` works until the block ends, then converges."""

    def __init__(
        self,
        api: Api,
        journal: Journal,
        seed: int,
        *,
        workers: int = 8,
        urls: Sequence[str] = (),
        may_hang: bool = False,
    ) -> None:
        """With more than one of ``urls`` each attempt goes to the next of these gateways."""
        self.api, self.journal, self.seed = api, journal, seed
        self._urls = itertools.cycle(urls or (api.url,))
        self._may_hang = may_hang
        self.limited = {api.voucher(quantity=count): count for count in (5, 20, 60)}
        self.endless = [api.voucher(quantity=None) for _ in range(3)]
        self.cards = [self._card() for _ in range(2)]
        self.happened: Counter[str] = Counter()
        """What was done to the system meanwhile, for the report."""
        self._workers = workers
        self._redeemed: list[tuple[str, bool]] = []
        self._stopped = threading.Event()
        self._healed_at = 0.0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def _card(self) -> str:
        code = f"G-{uuid.uuid4().hex[:10]}"
        gift = {"type": "GIFT_VOUCHER", "gift": {"amount": 10_000, "effect": "APPLY_TO_ORDER"}}
        self.api.must("POST", f"/v1/vouchers/{code}", gift)
        return code

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._healed_at = time.monotonic()
        self._stopped.set()
        self._thread.join()

    def wait_for_calls(self, count: int, timeout_s: float = 60) -> None:
        """Return when so many more calls have ended."""
        wanted = len(self.journal.calls) + count
        deadline = time.monotonic() + timeout_s
        while len(self.journal.calls) < wanted and time.monotonic() < deadline:
            time.sleep(0.05)

    def until_served(self, timeout_s: float = 90) -> float:
        """Return the seconds until a redemption that began after now was done."""
        began = time.monotonic()
        wait_until(
            lambda: any(call.began > began for call in self.journal.of("redeem", "ok")),
            "a redemption goes through again",
            timeout_s,
        )
        return time.monotonic() - began

    async def _run(self) -> None:
        async with httpx.AsyncClient(
            base_url=self.api.url, headers=self.api.headers, timeout=CALL_S
        ) as client:
            await asyncio.gather(*(self._work(client, n) for n in range(self._workers)))

    async def _work(self, client: httpx.AsyncClient, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        while not self._stopped.is_set():
            await self._one(client, chance)
            await asyncio.sleep(chance.random() * 2 * self._workers / RATE)

    async def _one(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        roll = chance.random()
        if roll < 0.55:
            codes = self._draw(chance)
            is_stack = len(codes) > 1
            call = await self.perform(client, "redeem", "POST", "/v1/redemptions", cart(*codes))
            if call.outcome == "ok":
                told = call.body["parent_redemption" if is_stack else "redemptions"]
                self._redeemed.append((told["id"] if is_stack else told[0]["id"], is_stack))
        elif roll < 0.75 and self._redeemed:
            name, is_stack = chance.choice(self._redeemed)
            path = f"/v1/redemptions/{name}/rollback" + ("s" if is_stack else "")
            await self.perform(client, "rollback", "POST", path, {"reason": "chaos"})
        elif roll < 0.85:
            body = cart(*self._draw(chance))
            await self.perform(client, "validate", "POST", "/v1/validations", body)
        elif roll < 0.95:
            source_id = f"c{chance.randrange(20)}"
            customer = {"source_id": source_id, "metadata": {"n": chance.randrange(1000)}}
            await self.perform(client, "customer", "POST", "/v1/customers", customer)
        else:
            path = f"/v1/vouchers/{chance.choice(self.endless)}"
            await self.perform(client, "read", "GET", path, None)

    def _draw(self, chance: random.Random) -> list[str]:
        codes = [chance.choice([*self.limited, *self.endless])]
        if chance.random() < 0.3:
            codes.append(chance.choice(self.cards))
        return codes

    async def perform(
        self, client: httpx.AsyncClient, kind: str, method: str, path: str, body: Json | None
    ) -> Call:
        """Do one operation until its outcome is definite."""
        key, began, attempts = uuid.uuid4().hex, time.monotonic(), 0
        self.journal.line(event="intent", kind=kind, key=key, path=path, body=body)
        while True:
            attempts += 1
            outcome, status, error, told = await self._attempt(client, method, path, body, key)
            self.journal.attempts[f"{outcome} {status or 'lost'}"] += 1
            late = self._stopped.is_set() and time.monotonic() > self._healed_at + CONVERGE_S
            if outcome != "info" or late:
                call = Call(
                    kind, key, outcome, status, error, told, attempts, began, time.monotonic()
                )
                self.journal.end(call)
                return call
            await asyncio.sleep(0.3)

    async def _attempt(
        self, client: httpx.AsyncClient, method: str, path: str, body: Json | None, key: str
    ) -> tuple[str, int, str, Any]:
        headers = {"Idempotency-Key": key} if method != "GET" else {}
        try:
            url = next(self._urls) + path
            response = await client.request(method, url, json=body, headers=headers)
        except httpx.TransportError as error:
            if isinstance(error, httpx.ReadTimeout) and not self._may_hang:
                self.journal.wrong.append(f"{method} {path}: no answer in {CALL_S} s")
            return "info", 0, type(error).__name__, None
        told = response.json() if response.content else None
        if response.status_code in {429, 503}:
            if "retry-after" not in response.headers:
                self.journal.wrong.append(
                    f"{method} {path}: {response.status_code}, no Retry-After"
                )
            return "info", response.status_code, told["key"], told
        if response.status_code < 300:
            return "ok", response.status_code, "", told
        is_shaped = isinstance(told, dict) and re.fullmatch("[a-z0-9_]+", told.get("key", ""))
        if response.status_code >= 500 or not is_shaped or told["code"] != response.status_code:
            self.journal.wrong.append(f"{method} {path}: {response.status_code} {told}")
        return "fail", response.status_code, str((told or {}).get("key")), told


def definite(load: Load, check: str) -> Counter[str]:
    """Every call has an outcome of the catalogue; returns how many have which."""
    journal = load.journal
    assert not journal.wrong, f"{check}: {journal.wrong[:5]} (journal: {journal.path})"
    outcomes = Counter(call.outcome for call in journal.calls)
    assert not outcomes["info"], f"{check}: {outcomes['info']} calls never became definite"
    return outcomes


def judge(system: System, load: Load, check: str) -> dict[str, Any]:
    """Compare what clients were told with the ledger's log; returns the figures of the run."""
    journal = load.journal
    outcomes = definite(load, check)
    log = rows(
        system,
        "SELECT type, data FROM ledger.events WHERE project_id = $1 ORDER BY position",
        load.api.project_id,
    )
    _each_once(check, journal, log)
    _never_over(check, load, log)
    assert "audit: clean" in system.audit()
    after_heal = [c.ended - load._healed_at for c in journal.calls if c.ended > load._healed_at]
    facts = {
        "seed": load.seed,
        "calls": len(journal.calls),
        "ok": outcomes["ok"],
        "refused": outcomes["fail"],
        "open_attempts": sum(n for name, n in journal.attempts.items() if name.startswith("info")),
        "lost": 0,
        "converged_s": round(max(after_heal, default=0.0), 1),
        **load.happened,
    }
    say(f"{check}: {facts}")
    return facts


def _each_once(check: str, journal: Journal, log: list[Any]) -> None:
    """Everything that was acknowledged is in the log once, and nothing else is."""
    told: Counter[str] = Counter()
    for call in journal.of("redeem", "ok"):
        parent = call.body.get("parent_redemption")
        told[parent["id"] if parent else call.body["redemptions"][0]["id"]] += 1
    kept: Counter[str] = Counter()
    for row in log:
        if row["type"] == "ledger.redemption-succeeded.v1":
            event = json.loads(row["data"])
            kept[event.get("parent_id") or event["items"][0]["redemption_id"]] += 1
    assert told == kept, (
        f"{check}: told but not kept {told - kept}, kept but not told {kept - told}"
    )
    back = sum(row["type"] == "ledger.redemption-rolled-back.v1" for row in log)
    assert back == len(journal.of("rollback", "ok")), f"{check}: {back} rollbacks in the log"


def _never_over(check: str, load: Load, log: list[Any]) -> None:
    """At every prefix of the log each account holds what its postings sum to, and none is over."""
    used: Counter[str] = Counter()
    for number, row in enumerate(log):
        for item in json.loads(row["data"]).get("items", []):
            for posted in item["posted"]:
                account = posted["account"]
                used[account] += posted["amount"]
                where = f"{check}: event {number}, {account}"
                assert posted["used"] == used[account], f"{where}: an update was lost"
                assert posted.get("available") is None or posted["available"] >= 0, f"{where}: over"
    for code, quantity in load.limited.items():
        shown = load.api.must("GET", f"/v1/vouchers/{code}")["redemption"]["redeemed_quantity"]
        assert 0 <= shown <= quantity, f"{check}: {code} used {shown} of {quantity}"
    for code in load.cards:
        balance = load.api.must("GET", f"/v1/vouchers/{code}")["gift"]["balance"]
        assert balance >= 0, f"{check}: {code} is below zero"
