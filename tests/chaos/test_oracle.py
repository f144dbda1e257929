"""R09: eight workers, every kind of command, every kind of fault, and books that judge each answer.

An answer is explained if the log has the effect it tells of, with the amounts that the books expect, or, for
a refusal, if at some moment while the call was open there was not enough left. Nothing may stay unexplained.
"""

import json
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest

from contracts import topics
from tests.chaos.books import Books
from tests.chaos.journal import Call, Journal, Load, definite
from tests.chaos.kit import any_backend, crash_postgres, is_ready, report, rows, say, send_signal
from tests.chaos.proxy import Links, proxied
from tests.system import Api, System, cart, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.full, pytest.mark.timeout(3000)]

SEED = int(os.environ.get("CHAOS_SEED", "9"))
CALLS = int(os.environ.get("CHAOS_R09_CALLS", "600"))
CARD = 10_000
GIFT = 1_900
"""What a stack of code and card takes from the card: the order's 20.00 less the code's 1.00."""
STALE_S = 30.0
"""A validation looks at what has come to the engine by events; it is advice, and may be as old as this."""


class Asked(NamedTuple):
    """What a call wanted, for the books."""

    codes: tuple[str, ...] = ()
    session: str = ""
    amount: int = 0
    of: str = ""


class Mixed(Load):
    """Everything at once: also sessions, top-ups, switches and publications."""

    def __init__(self, api: Api, journal: Journal, seed: int) -> None:
        super().__init__(api, journal, seed, may_hang=True)
        codes = [*self.limited, *self.endless, *self.cards]
        self.ids = {code: api.must("GET", f"/v1/vouchers/{code}")["id"] for code in codes}
        self.switched = api.voucher(quantity=None)
        self.campaign = _campaign(api)
        self.asked: dict[str, Asked] = {}
        self._open: list[Asked] = []

    async def _one(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        roll = chance.random()
        if roll < 0.35:
            await self._redeem(client, tuple(self._draw(chance)))
        elif roll < 0.50 and self._redeemed:
            await self._roll_back(client, chance)
        elif roll < 0.60:
            await self._lock(client, chance)
        elif roll < 0.68 and self._open:
            await self._end_session(client, chance)
        elif roll < 0.74:
            await self._top_up(client, chance)
        elif roll < 0.78:
            await self._switch(client, chance)
        elif roll < 0.83:
            await self._publish(client)
        elif roll < 0.90:
            asked = Asked(tuple(self._draw(chance)))
            await self._do(client, "validate", "POST", "/v1/validations", cart(*asked.codes), asked)
        elif roll < 0.95:
            body = {"source_id": f"c{chance.randrange(20)}", "metadata": {"n": chance.random()}}
            await self._do(client, "customer", "POST", "/v1/customers", body, Asked())
        else:
            path = f"/v1/vouchers/{chance.choice(self.endless)}"
            await self._do(client, "read", "GET", path, None, Asked())

    async def _do(
        self, client: httpx.AsyncClient, kind: str, method: str, path: str, body: Any, asked: Asked
    ) -> Call:
        call = await self.perform(client, kind, method, path, body)
        self.asked[call.key] = asked
        return call

    async def _redeem(
        self, client: httpx.AsyncClient, codes: tuple[str, ...], session: str = ""
    ) -> None:
        body = cart(*codes)
        if session:
            body["session"] = {"type": "LOCK", "key": session}
        asked = Asked(codes, session)
        call = await self._do(client, "redeem", "POST", "/v1/redemptions", body, asked)
        if call.outcome == "ok":
            self._redeemed.append((_name(call), len(codes) > 1))

    async def _roll_back(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        name, is_stack = chance.choice(self._redeemed)
        path = f"/v1/redemptions/{name}/rollback" + ("s" if is_stack else "")
        await self._do(client, "rollback", "POST", path, {"reason": "chaos"}, Asked(of=name))

    async def _lock(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        code, key = chance.choice(list(self.limited)), f"s-{uuid.uuid4().hex}"
        ttl = {"ttl": chance.randrange(3, 15), "ttl_unit": "SECONDS"}
        body = {**cart(code), "session": {"type": "LOCK", "key": key, **ttl}}
        asked = Asked((code,), key)
        call = await self._do(client, "lock", "POST", "/v1/validations", body, asked)
        if call.outcome == "ok" and call.body["valid"]:
            self._open.append(asked)

    async def _end_session(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        asked = self._open.pop(chance.randrange(len(self._open)))
        if chance.random() < 0.6:
            await self._redeem(client, asked.codes, asked.session)
            return
        path = f"/v1/vouchers/{asked.codes[0]}/sessions/{asked.session}"
        await self._do(client, "release", "DELETE", path, None, asked)

    async def _top_up(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        card, amount = chance.choice(self.cards), chance.choice((-3_000, 1_000, 2_500))
        path = f"/v1/vouchers/{card}/balance"
        asked = Asked((card,), amount=amount)
        await self._do(client, "top up", "POST", path, {"amount": amount}, asked)

    async def _switch(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        if chance.random() < 0.5:
            await self._redeem(client, (self.switched,))
            return
        path = f"/v1/vouchers/{self.switched}/{chance.choice(('enable', 'disable'))}"
        await self._do(client, "switch", "POST", path, {}, Asked())

    async def _publish(self, client: httpx.AsyncClient) -> None:
        body = {"campaign": {"name": self.campaign}, "customer": {"source_id": uuid.uuid4().hex}}
        await self._do(client, "publish", "POST", "/v1/publications", body, Asked())


def _campaign(api: Api) -> str:
    body = {
        "name": f"Given away {uuid.uuid4().hex[:8]}",
        "campaign_type": "DISCOUNT_COUPONS",
        "type": "STATIC",
        "vouchers_count": 100 + CALLS // 10,
        "voucher": {
            "type": "DISCOUNT_VOUCHER",
            "discount": {"type": "AMOUNT", "amount_off": 100, "effect": "APPLY_TO_ORDER"},
        },
    }
    made = api.must("POST", "/v1/campaigns", body)
    path = f"/v1/campaigns/{made['id']}"
    wait_until(lambda: api.must("GET", path)["vouchers_generation_status"] == "DONE", "codes", 90)
    return str(made["name"])


def _name(call: Call) -> str:
    parent = call.body.get("parent_redemption")
    return str(parent["id"] if parent else call.body["redemptions"][0]["id"])


# -- faults ---------------------------------------------------------------------------------------


class Faults:
    """Chooses one after the other, by a seed; each is healed before the next."""

    def __init__(self, system: System, links: Links, seed: int) -> None:
        self.happened: Counter[str] = Counter()
        self._system, self._links = system, links
        self._chance = random.Random(seed)
        self._kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "service killed": (6, self._kill),
            "service stopped": (3, self._stop),
            "Postgres backend killed": (2, self._kill_backend),
            "Postgres crashed": (1, lambda: crash_postgres(system)),
            "Kafka killed": (1, self._kill_kafka),
            "link reset": (3, lambda: self._link().reset()),
            "link swallows": (2, self._swallow),
            "link slow": (1, self._slow),
        }

    def one(self) -> None:
        """Let one happen, and heal it."""
        weights = [weight for weight, _ in self._kinds.values()]
        kind = self._chance.choices(list(self._kinds), weights)[0]
        self._kinds[kind][1]()
        self.happened[kind] += 1
        for name in topics.SERVICES:
            wait_until(lambda name=name: is_ready(self._system, name), f"{name} after {kind}", 90)

    def _kill(self) -> None:
        send_signal(self._system, self._chance.choice(topics.SERVICES), signal.SIGKILL)

    def _stop(self) -> None:
        service = self._chance.choice(("ledger", "engine", "gateway", "campaigns"))
        if send_signal(self._system, service, signal.SIGSTOP):
            time.sleep(self._chance.random() * 3)
            send_signal(self._system, service, signal.SIGCONT)

    def _kill_backend(self) -> None:
        os.kill(any_backend(self._system), signal.SIGKILL)

    def _kill_kafka(self) -> None:
        pid = self._system.state.process("kafka")
        assert pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: self._system.state.process("kafka") is None, "the broker is dead")
        assert self._system.infra, "started again"

    def _link(self) -> Any:
        return self._chance.choice(self._links)

    def _swallow(self) -> None:
        link = self._link()
        link.blackhole(up=self._chance.random() < 0.7, down=self._chance.random() < 0.7)
        time.sleep(self._chance.random() * 3)
        link.heal()

    def _slow(self) -> None:
        link = self._link()
        link.delay(0.05)
        time.sleep(2)
        link.heal()


# -- the check ------------------------------------------------------------------------------------


def test_r09_every_answer_is_explained_whatever_happens(system: System) -> None:
    journal = Journal("R09", SEED)
    say(f"R09: seed {SEED}, journal {journal.path}")
    offset = time.time() - time.monotonic()
    with proxied(system, "ledger") as links:
        faults = Faults(system, links, SEED)
        with Mixed(system.project(), journal, SEED) as load:
            while len(journal.calls) < CALLS:
                faults.one()
                load.wait_for_calls(CALLS // 20 if CALLS < 2_000 else 100, 60)
        outcomes = definite(load, "R09")
    unexplained = explain(system, load, offset)
    say(f"R09: {len(journal.calls)} calls, {dict(faults.happened)}, unexplained: {unexplained[:5]}")
    assert not unexplained, f"{len(unexplained)}: {unexplained[:10]} (journal: {journal.path})"
    assert "audit: clean" in system.audit()
    assert faults.happened.total() >= 3
    kinds = {call.kind for call in journal.calls}
    assert kinds >= {"redeem", "rollback", "lock", "top up", "publish", "switch", "validate"}
    report(
        "R09",
        seed=SEED,
        calls=len(journal.calls),
        ok=outcomes["ok"],
        refused=outcomes["fail"],
        unexplained=0,
        faults=dict(sorted(faults.happened.items())),
        lost=0,
    )


def explain(system: System, load: Mixed, offset: float) -> list[str]:
    """Return a sentence for each answer that the books cannot explain."""
    log = rows(
        system,
        "SELECT position, type, data, occurred_at FROM ledger.events WHERE project_id = $1"
        " ORDER BY position",
        load.api.project_id,
    )
    limits = {f"uses/{load.ids[code]}": count for code, count in load.limited.items()}
    limits |= {f"credits/{load.ids[card]}": CARD for card in load.cards}
    books = Books(limits)
    books.read(log)
    found = books.findings
    for call in load.journal.calls:
        asked = load.asked.get(call.key, Asked())
        window = (call.began + offset, call.ended + offset)
        if call.outcome == "fail":
            is_so = _may_refuse(call, asked, books, load, window)
        else:
            is_so = _is_told_rightly(call, asked, books, load, window)
        if not is_so:
            found.append(f"{call.kind} {asked}: {call.status} {call.error} {str(call.body)[:300]}")
    told = Counter(_name(call) for call in load.journal.of("redeem", "ok"))
    kept = Counter(books.redeemed.keys())
    if told != kept:
        found.append(
            f"redemptions told and not kept {told - kept}, kept and not told {kept - told}"
        )
    sums = Counter(load.asked[call.key].amount for call in load.journal.of("top up", "ok"))
    if sums != Counter(books.adjusted):
        found.append(f"top-ups told {sums}, kept {Counter(books.adjusted)}")
    return found + _given_twice(system, load)


def _may_refuse(
    call: Call, asked: Asked, books: Books, load: Mixed, window: tuple[float, float]
) -> bool:
    uses = [f"uses/{load.ids[code]}" for code in asked.codes if code in load.limited]
    credit = [f"credits/{load.ids[code]}" for code in asked.codes if code in load.cards]
    if call.error == "quantity_exceeded":
        return any(books.least(name, *window) < 1 for name in uses)
    if call.error == "gift_amount_exceeded":
        return any(books.least(name, *window) < 1 for name in credit)
    if call.error == "voucher_disabled":
        return asked.codes == (load.switched,)
    if call.kind == "rollback" and call.error == "already_rolled_back":
        return books.given_back.get(asked.of, float("inf")) <= window[1]
    if call.kind == "top up" and call.error == "invalid_payload":
        return books.least(credit[0], *window) + asked.amount < 0
    if call.kind == "release" and call.status == 404:
        return books.was_free(asked.session, *window)
    return False


def _is_told_rightly(
    call: Call, asked: Asked, books: Books, load: Mixed, window: tuple[float, float]
) -> bool:
    if call.kind == "redeem" and asked.codes:
        took = books.redeemed.get(_name(call), Counter())
        expected = {f"uses/{load.ids[code]}": 1 for code in asked.codes if code in load.limited}
        spent = sum(took[f"credits/{load.ids[card]}"] for card in load.cards)
        order = (call.body.get("parent_redemption") or call.body["redemptions"][0])["order"]
        is_priced = order["total_applied_discount_amount"] == 100 + spent
        is_gift = (0 < spent <= GIFT) == any(card in asked.codes for card in load.cards)
        return is_priced and is_gift and all(took[name] == n for name, n in expected.items())
    if call.kind == "rollback":
        return asked.of == "" or asked.of in books.given_back
    if call.kind == "lock" and call.body["valid"]:
        return books.was_held(asked.session)
    if call.kind in {"lock", "validate"} and asked.codes:
        return _is_advice(call, asked, books, load, window)
    return True


def _is_advice(
    call: Call, asked: Asked, books: Books, load: Mixed, window: tuple[float, float]
) -> bool:
    since = (window[0] - STALE_S, window[1])
    names = [f"uses/{load.ids[code]}" for code in asked.codes if code in load.limited]
    names += [f"credits/{load.ids[code]}" for code in asked.codes if code in load.cards]
    if call.body["valid"]:
        return all(books.most(name, *since) > 0 for name in names)
    return any(books.least(name, *since) < 1 for name in names)


def _given_twice(system: System, load: Mixed) -> list[str]:
    """No code of a campaign is published twice, and every publication that was told is in the log."""
    sql = "SELECT type, data FROM distribution.events WHERE project_id = $1"
    kept: Counter[str] = Counter()
    for row in rows(system, sql, load.api.project_id):
        if row["type"] == "distribution.publication-succeeded.v1":
            kept.update(one["code"] for one in json.loads(row["data"])["publication"]["vouchers"])
    told = Counter(call.body["voucher"]["code"] for call in load.journal.of("publish", "ok"))
    found = [f"{code} was given away {count} times" for code, count in kept.items() if count > 1]
    return found + [f"{code} was told and not kept" for code in told - kept]
