"""An event loop whose clock jumps to the next timer: an hour of retries takes milliseconds, and two runs
of one seed do the same things in the same order.

Half of a run's time is the loop's, so it does without what only sockets, threads and debugging need.
"""

import asyncio
import selectors
from collections.abc import Callable, Generator
from contextvars import Context, copy_context
from heapq import heappop, heappush
from itertools import count
from typing import Any


class NothingLeftToDo(Exception):
    """Everybody waits for somebody else."""


class _Handle:
    """What is to be called; ``asyncio.Handle`` and ``TimerHandle`` in one, without their comparisons."""

    __slots__ = ("_args", "_callback", "_context", "_is_cancelled", "_when")

    def __init__(
        self, when: float, callback: Callable[..., Any], args: Any, context: Context | None
    ) -> None:
        self._when = when
        self._callback: Callable[..., Any] | None = callback
        self._args = args
        self._context = copy_context() if context is None else context
        self._is_cancelled = False

    def cancel(self) -> None:
        """Do not call."""
        self._is_cancelled = True
        self._callback = self._args = None

    def cancelled(self) -> bool:
        """Whether it is not called any more."""
        return self._is_cancelled

    def when(self) -> float:
        """Return the moment of the call."""
        return self._when


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing else can happen."""

    def __init__(self) -> None:
        self.moment = 0.0
        self._due: list[Any] = []
        self._timers: list[tuple[float, int, _Handle]] = []
        self._number = count()
        """What is due at the same moment is called in the order in which it was asked for."""
        super().__init__(selectors.SelectSelector())

    def time(self) -> float:
        """Return the seconds since the run began."""
        return self.moment

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        """Call at this moment, when those before have been called."""
        handle = _Handle(self.moment, callback, args, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_at(
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Call at a moment."""
        handle = _Handle(when, callback, args, context)
        heappush(self._timers, (when, next(self._number), handle))
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> Any:
        """Call in so many seconds."""
        return self.call_at(self.moment + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """Call everything, until the loop is to stop."""
        ready, timers = self._ready, self._timers  # type: ignore[attr-defined]
        while not self._stopping:  # type: ignore[attr-defined]
            if not ready:
                self._jump(ready, timers)
            while ready:
                handle = ready.popleft()
                if not handle._is_cancelled:
                    try:
                        handle._context.run(handle._callback, *handle._args)
                    except (SystemExit, KeyboardInterrupt):
                        raise
                    except BaseException as error:  # noqa: BLE001 - as asyncio's own does
                        told = {"message": f"failed: {handle._callback}", "exception": error}
                        self.call_exception_handler(told)

    def _jump(self, ready: Any, timers: list[tuple[float, int, _Handle]]) -> None:
        while timers and timers[0][2]._is_cancelled:
            heappop(timers)
        if not timers:
            raise NothingLeftToDo
        self.moment = max(self.moment, timers[0][0])
        while timers and timers[0][0] <= self.moment:
            ready.append(heappop(timers)[2])


class Pause:
    """``asyncio.sleep`` in half the calls: the timer wakes the task itself, without a future."""

    __slots__ = ("_asyncio_future_blocking", "_delay", "_handle", "_is_cancelled", "_loop")

    def __init__(self, loop: VirtualLoop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self._is_cancelled = False
        self._asyncio_future_blocking = False
        self._handle: _Handle | None = None

    def __await__(self) -> Generator[Any, None, None]:
        """Wait; for asyncio's task a pause is a future that is done when its time has come."""
        self._asyncio_future_blocking = True
        yield self

    def get_loop(self) -> VirtualLoop:
        """Return the loop."""
        return self._loop

    def add_done_callback(self, callback: Any, *, context: Context | None = None) -> None:
        """Begin the pause; the task does this."""
        when = self._loop.moment + self._delay
        self._handle = self._loop.call_at(when, callback, self, context=context)

    def cancel(self, msg: Any = None) -> bool:
        """Wake the task now, to tell it that it is cancelled."""
        del msg
        handle = self._handle
        if handle is None or self._is_cancelled:
            return False
        self._is_cancelled = True
        self._loop.call_soon(handle._callback, self, context=handle._context)
        handle.cancel()
        return True

    def result(self) -> None:
        """Return nothing, or raise that the task was cancelled meanwhile."""
        if self._is_cancelled:
            raise asyncio.CancelledError
