"""Ctrl-C and SIGTERM end a run after the step it is in, with a state to go on from."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ECHO_SECONDS = 2.0  # clusters signal every process, and torchrun passes its own on: one wish, told twice
ORPHANED_SECONDS = 2.0  # between two looks of a worker whether its training process is still there


class Stopped(KeyboardInterrupt):
    """A run that was asked to stop and has saved; the message says how to go on."""


class StopRequest:
    """Whether one of the signals has come; another one, later, ends the process at once.

    speaks: says so on stderr when the first one comes.
    """

    def __init__(self, speaks: bool = True) -> None:
        self.speaks = speaks
        self._first: float | None = None

    @property
    def came(self) -> bool:
        return self._first is not None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now
            if self.speaks:  # not by print, which the signal may have come in the middle of
                os.write(2, b"\nfinishing this step, then saving; interrupt again to end at once\n")
        elif now - self._first > ECHO_SECONDS:
            raise KeyboardInterrupt("interrupted twice: nothing was saved beyond the last state on disk")


@contextmanager
def stop_requests(speaks: bool = True) -> Iterator[StopRequest]:
    """Within it the signals are noted; outside the main thread they cannot be, and nothing changes."""
    request = StopRequest(speaks)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = [(number, signal.signal(number, request)) for number in SIGNALS]
    try:
        yield request
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def end_with_the_parent(_: int) -> None:
    """For workers that read data: they end with the training process, not before its last step is saved.

    They end also where it was killed: PyTorch's own watch does not get to it while a worker waits for
    somebody to take the samples that it has read.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_when_orphaned, args=(os.getppid(),), daemon=True).start()


def _end_when_orphaned(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHANED_SECONDS)
    os._exit(1)
