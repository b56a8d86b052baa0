"""The demo's clock: two readers of one file agree, and time never goes back."""

import time
from pathlib import Path

from bot.demo.clock import NAME, DemoClock


def test_it_is_the_real_time_until_somebody_jumps(tmp_path: Path) -> None:
    clock = DemoClock(tmp_path / NAME)
    assert abs(clock.seconds() - time.time()) < 1
    assert clock.now().utcoffset() is not None
    clock.close()


def test_who_opens_the_same_file_sees_each_jump(tmp_path: Path) -> None:
    ours = DemoClock(tmp_path / NAME)
    theirs = DemoClock(tmp_path / NAME)
    ours.jump(86_400)
    ours.jump(0.5)
    assert abs(theirs.seconds() - time.time() - 86_400.5) < 1
    ours.close()
    theirs.close()


def test_it_never_goes_back(tmp_path: Path) -> None:
    clock = DemoClock(tmp_path / NAME)
    clock.jump(60)
    clock.jump(-3_600)
    assert clock.seconds() > time.time() + 59
    clock.close()
