"""Named points at which a test build kills itself, to prove that a crash there loses nothing.

``CRASH_AT=<point>`` or ``CRASH_AT=<point>:<n>`` dies (SIGKILL) the n-th time the point is passed.
``CRASH_DIRECTORY=<directory>``: a process dies whenever it passes a point for which there is a file
``<service>.<point>``, and takes the file with it, so that a running system is armed from outside.
With neither, a point costs two comparisons.
"""

import contextlib
import os
import signal
import sys
from itertools import count
from pathlib import Path

POINTS = (
    "before_tx",
    "inbox_after_apply",
    "before_commit",
    "after_commit",
    "before_reply",
    "relay_after_send",
    "webhook_after_send",
    "mid_rebuild",
)
"""Those of the runtime and of webhooks; distribution has its own around a message."""
_AT, _, _NTH = os.environ.get("CRASH_AT", "").partition(":")
_DIRECTORY = os.environ.get("CRASH_DIRECTORY", "")
_SERVICE = Path(sys.argv[0]).parent.name
_passed = count(1)


def crash_point(name: str) -> None:
    """Die here if the environment says so."""
    is_due = name == _AT and next(_passed) == int(_NTH or "1")
    if is_due or (_DIRECTORY and _is_armed(name)):
        os.kill(os.getpid(), signal.SIGKILL)


def _is_armed(name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        (Path(_DIRECTORY) / f"{_SERVICE}.{name}").unlink()
        return True
    return False
