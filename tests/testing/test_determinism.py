"""The same seed, the same run: to the byte, in another process and with other hashes too."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

from rxfeed.testing import simulate
from tests.testing.storm import storm

ROOT = Path(__file__).parents[2]


def elsewhere(seed: int, hashes: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hashes, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "testing" / "storm.py"), str(seed)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_the_same_seed_gives_the_same_log_in_any_process() -> None:
    here = simulate(storm, seed=1)
    assert len(here.splitlines()) > 500
    for word in ("cut", "black_hole", "half_open", "refuse", "split"):
        assert f"{word} at" in here
    assert "failed: " in here
    there = {elsewhere(1, hashes).replace("__main__", "tests.testing.storm") for hashes in ("1", "2")}
    assert there == {here}


def test_the_same_seed_gives_the_same_log_whatever_ran_before_and_whenever_garbage_is_collected() -> None:
    first = simulate(storm, seed=2)
    assert first != simulate(storm, seed=3)
    threshold = gc.get_threshold()
    gc.set_threshold(50, 2, 2)
    try:
        assert simulate(storm, seed=2) == first
    finally:
        gc.set_threshold(*threshold)
