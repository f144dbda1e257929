"""Named points at which a test build kills itself, to prove that a crash there loses nothing.

Set ``CRASH_AT=<point>`` or ``CRASH_AT=<point>:<n>`` to die (SIGKILL) the n-th time the point is
passed. Unset, a point costs one comparison.
"""

import os
import signal
from itertools import count

_AT, _, _NTH = os.environ.get("CRASH_AT", "").partition(":")
_passed = count(1)


def crash_point(name: str) -> None:
    """Die here if the environment says so."""
    if name == _AT and next(_passed) == int(_NTH or "1"):
        os.kill(os.getpid(), signal.SIGKILL)
