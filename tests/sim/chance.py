"""The only source of chance: each fault and each delay follows from the seed and its own number.

The faults of one kind do not depend on those of another, so that a kind, or one fault, can be left out of a
run and the rest stays as similar as it can: that is what shrinking needs.
"""

import math
import random
from collections import defaultdict
from collections.abc import Collection

RATES = {
    "crash": 0.0015,
    "crash_point": 0.01,
    "session_ended": 0.003,
    "database_away": 0.0006,
    "stalled": 0.01,
    "message_lost": 0.05,
    "send_failed": 0.03,
    "fetched_again": 0.04,
    "reassigned": 0.04,
    "sent_elsewhere": 0.1,
}
"""How likely a fault is, each time it could happen."""
RATE_MAX = 0.4
NOT_FAULTS = {"send_arrived": 0.5, "batch_parted": 0.3}
SLOW_S = 0.05
SLOW_SHARES = (0.0, 0.3, 0.5)
"""How many kinds of steps (a statement, a commit, a send) are slow in a run."""
BATCHES = (2, 6, 20)
"""How many records of a partition are fetched at once, at most; in each run another number."""
KINDS = tuple(RATES)
Fault = tuple[str, int]
"""Its kind, and which chance of its kind it took."""


class Chance:
    """Decides for one run."""

    def __init__(self, seed: int, kinds: Collection[str], left_out: Collection[Fault] = ()) -> None:
        self._seed = seed
        self._kinds = set(kinds)
        self._left_out = set(left_out)
        self._counts: dict[str, int] = defaultdict(int)
        self._drawn = {kind: random.Random(f"{seed}/{kind}") for kind in (*RATES, *NOT_FAULTS)}
        """One series a kind: the number of a chance decides what is drawn, whatever else happens."""
        self._delays = random.Random(f"{seed}/delays")
        self._bytes = random.Random(f"{seed}/bytes")
        self.swarm = random.Random(f"{seed}/swarm").choice((0.3, 1.0, 2.0))
        self.batch = random.Random(f"{seed}/batch").choice(BATCHES)
        self._due = {kind: self._next_of(kind, 0) for kind in RATES}
        """The number of the chance of each kind that is taken next: drawn once a fault, not once a chance."""
        self.is_calm = False
        self._slow: dict[str, bool] = {}
        self._slow_share = random.Random(f"{seed}/slow").choice(SLOW_SHARES)
        self.happened: list[Fault] = []

    def happens(self, kind: str) -> bool:
        """Whether a fault happens now."""
        if kind in NOT_FAULTS:
            return self._drawn[kind].random() < NOT_FAULTS[kind]
        number = self._counts[kind] = self._counts[kind] + 1
        if number < self._due[kind]:
            return False
        self._due[kind] = self._next_of(kind, number)
        if self.is_calm or kind not in self._kinds or (kind, number) in self._left_out:
            return False
        self.happened.append((kind, number))
        return True

    def _next_of(self, kind: str, number: int) -> int:
        """Return which chance is taken next, as if each were drawn by itself with the kind's rate."""
        rate = min(RATES[kind] * self.swarm, RATE_MAX)
        missed = math.log(1.0 - self._drawn[kind].random()) / math.log(1.0 - rate)
        return number + 1 + int(missed)

    def delay(self, what: str = "") -> float:
        """Return how long a step takes: mostly a millisecond, now and then much longer.

        Each run has steps of its own that are slow: what is waited for in the middle lets others in between.
        """
        drawn = self._delays.random()
        if self._is_slow(what):
            return SLOW_S * drawn
        return 10 * drawn if drawn < 0.03 else 0.004 * drawn

    def _is_slow(self, what: str) -> bool:
        if what not in self._slow:
            chance = random.Random(f"{self._seed}/slow/{what}")
            self._slow[what] = bool(what) and chance.random() < self._slow_share
        return self._slow[what]

    def number(self, below: int) -> int:
        """Return a number."""
        return int(self._delays.random() * below)

    def random_bytes(self, count: int) -> bytes:
        """Return what ids are made of."""
        return self._bytes.randbytes(count)
