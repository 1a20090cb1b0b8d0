"""What the contract's checks are made of: refusals that they wait for, a clock that is ahead."""

import datetime
import gzip
import time

import pytest

from lumina_core.errors import LuminaError
from lumina_core.testing.clock import AHEAD, clock_ahead
from lumina_core.testing.refusal import refusal
from lumina_core.testing.verdicts import BrokenRuleError

HOUR = 3600


def raising(error):
    def call():
        raise error

    return call


def test_a_refusal_in_one_line_is_its_message():
    assert refusal(raising(LuminaError("use 8")), "samples=7", "refuse it") == "use 8"


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (raising(LuminaError("use\n8")), "samples=7 is refused in several lines; use one"),
        (raising(KeyError("nowhere")), "samples=7 raises KeyError: 'nowhere'; refuse it"),
        (lambda: "halves", "samples=7 is accepted as 'halves'; refuse it"),
        (lambda: None, "samples=7 is accepted; refuse it"),
    ],
    ids=["two lines", "another error", "a text", "nothing"],
)
def test_whatever_else_happens_breaks_the_rule_with_what_to_do(call, told):
    with pytest.raises(BrokenRuleError) as caught:
        refusal(call, "samples=7", "refuse it")
    assert str(caught.value) == told


def test_every_clock_of_python_is_ahead():
    now, today, packed = time.time(), datetime.date.today(), gzip.compress(b"")
    with clock_ahead():
        found = (
            time.time() - now,
            time.time_ns() / 1e9 - now,
            time.mktime(time.localtime()) - now,
            datetime.datetime.now().timestamp() - now,
            datetime.datetime.now(datetime.UTC).timestamp() - now,
        )
        assert all(abs(ahead - AHEAD.total_seconds()) <= 1.5 * HOUR for ahead in found)
        assert (datetime.date.today() - today).days in (AHEAD.days, AHEAD.days + 1)
        assert time.strftime("%Y") != str(today.year)
        assert gzip.compress(b"") != packed
        assert time.localtime(0).tm_year in (1969, 1970)


def test_the_clock_is_put_back():
    kept = time.time, time.strftime, datetime.datetime, datetime.date
    with pytest.raises(OSError, match="full"), clock_ahead():
        raise OSError("full")
    assert (time.time, time.strftime, datetime.datetime, datetime.date) == kept
