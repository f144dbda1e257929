"""supervisord, as it is, but awake ten times a second.

It starts a process that has died in the round after the one in which it noticed; a round without news lasts a
second, which is a third of what a service then takes until it is ready.
"""

import sys
from collections.abc import Callable
from typing import Any

from supervisor import poller  # type: ignore[import-untyped]
from supervisor.supervisord import main  # type: ignore[import-untyped]

LOOK_S = 0.1


def promptly(poll: Callable[[Any, float], Any]) -> Callable[[Any, float], Any]:
    """Return the poll that waits no longer than for the next look."""
    return lambda self, timeout: poll(self, min(timeout, LOOK_S))


if __name__ == "__main__":
    for kind in (poller.SelectPoller, poller.PollPoller, poller.KQueuePoller):
        kind.poll = promptly(kind.poll)
    sys.exit(main())
