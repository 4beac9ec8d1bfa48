"""Ctrl-C and SIGTERM end a run after the step it is in, with a state to go on from."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run that was asked to stop and has saved; the message says how to go on."""


class StopRequest:
    """Whether one of the signals has come; a second one ends the process at once."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt("interrupted twice: nothing was saved beyond the last state on disk")
        self.came = True


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Within it the signals are noted; outside the main thread they cannot be, and nothing changes."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = [(number, signal.signal(number, request)) for number in SIGNALS]
    try:
        yield request
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def leave_signals_to_the_parent(_: int) -> None:
    """For workers that read data: they end with the training process, not before its last step is saved."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
