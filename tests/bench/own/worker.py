"""The process of a peer in its own environment: `python -m tests.bench.own.worker nautilus`. It knows nothing of rxfeed.

Requests and answers are pickles on stdin and stdout; whatever the peer prints goes to stderr.
"""

from __future__ import annotations

import os
import pickle
import platform
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

from tests.bench.measure import spent
from tests.bench.peers import Lane, nothing


def main(module: str) -> None:
    """Answer until stdin ends."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    peer = import_module(f"tests.bench.peers.{module}")
    lanes: dict[str, Lane] = {lane.name: lane for lane in peer.lanes()}
    prepared: dict[str, Any] = {}
    while True:
        try:
            request, name, given = pickle.load(requests)
        except EOFError:
            return
        if request == "lanes":
            versions = {package: version(package) for package in peer.PACKAGES}
            answer: Any = versions, platform.python_version(), [_told(lane) for lane in lanes.values()]
        elif request == "prepare":
            prepared[name] = lanes[name].prepare(given)
            answer = None
        elif request == "bars":
            answer = lanes[name].checks[given].bars(prepared[name])
        else:
            answer = spent(partial(lanes[name].run, prepared[name]), cpu=True)
        pickle.dump(answer, answers)
        answers.flush()


def _told(lane: Lane) -> Lane:
    """The lane without what cannot leave the process."""
    return replace(lane, prepare=nothing, run=nothing, checks=tuple(check._replace(bars=nothing) for check in lane.checks))


if __name__ == "__main__":
    main(sys.argv[1])
