"""`rxfeed run` warns of nothing, whatever Python is asked to watch for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

WATCHED = [sys.executable, "-X", "dev", "-W", "error", "-m", "rxfeed", "run"]


def test_under_dev_mode_over_a_drop_and_changes_of_the_token(tmp_path: Path) -> None:
    options = ["MNQ", "-t", "1s", "--for", "6s", "--fault", "drop@1s", "--health-port", "0", "--token-life", "4s", "-o", "out"]
    ran = subprocess.run([*WATCHED, *options], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60)
    # What took longer than 100 ms is for the machine's load to say, not for this test.
    said = [line for line in ran.stderr.splitlines() if not re.match(r"Executing <.* took [\d.]+ seconds", line)]
    assert ran.returncode == 0, ran.stderr
    assert any("market lost (dropped)" in line for line in said)
    assert any("market rotated" in line for line in said)
    assert any("the simulator sent" in line for line in said)
    for word in ("Warning", "Traceback", "never retrieved", "was destroyed", "never awaited", "unclosed", "Exception"):
        assert not any(word in line for line in said), ran.stderr
