"""However and whenever a pipeline with async boundaries ends, nothing of it is left: no task, timer, generator or warning."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ends import CONSUMERS, ENDS, Scenario

ROOT = Path(__file__).parent.parent.parent


def test_nothing_is_left() -> None:
    done: list[Scenario] = []

    @settings(max_examples=100)
    @given(st.sampled_from(CONSUMERS), st.sampled_from(ENDS), st.integers(0, 40), st.integers(0, 3))
    def ended(consumer: str, end: str, moment: int, waits: int) -> None:
        done.append(Scenario(consumer, end, moment, waits).run())

    ended()
    gc.collect()  # what was never retrieved is told now, and costs too much to do for each
    for scenario in done:
        scenario.check()
    assert len(done) >= 100


def test_python_s_development_mode_has_nothing_to_say() -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "tests.ends"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
