"""Mishaps that the contract plays, and the user's own Ctrl-C, which they leave alone."""

import os
import signal
import time
from pathlib import Path

import pytest

from lumina_core.testing.mishaps import interrupted, interrupted_at, lines_reached

HERE = Path(__file__)


def wait(then=None):
    try:
        time.sleep(5)
    except KeyboardInterrupt:
        if then is not None:
            raise then from None
        raise


def stop():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)


def test_a_call_is_interrupted():
    started = time.perf_counter()
    interrupted(wait, 0.01)
    interrupted(lambda: wait(KeyboardInterrupt()), 0.01)
    assert time.perf_counter() - started < 4


def test_the_users_own_interrupt_goes_through():
    with pytest.raises(KeyboardInterrupt):
        interrupted(stop, 9.0)
    place = str(HERE), 1
    with pytest.raises(KeyboardInterrupt), interrupted_at(place):
        stop()


def test_a_line_is_interrupted():
    found = []

    def call():
        found.append(1)
        found.append(2)

    *_, last = lines_reached(call, HERE.parent)
    found.clear()
    with interrupted_at(last):
        call()
    assert found == [1]
