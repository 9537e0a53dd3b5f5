"""Property tests take as long as they take and leave nothing in the tree; on CI they try the same examples every time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "rxfeed-hypothesis")
settings.register_profile("local", deadline=None, database=None)
settings.register_profile("ci", deadline=None, database=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

pytest_plugins = ["tests.leakwatch"]
