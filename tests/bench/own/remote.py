"""This side of a peer in another process: its lanes, as if they were here."""

from __future__ import annotations

import os
import pickle
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from tests.bench.market import Market
from tests.bench.own.environment import ROOT
from tests.bench.peers import Check, Lane, Missing


class Remote:
    """A peer's process; it ends with `close`, or with ours. What it prints goes to `said`, as a pipe would fill up."""

    def __init__(self, module: str, python: Path, said: IO[bytes]) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        self._said = said
        self._process = subprocess.Popen(
            [str(python), "-m", "tests.bench.own.worker", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, cwd=ROOT, env=environ,
        )  # fmt: skip
        told: tuple[dict[str, str], str, list[Lane]] = self._ask("lanes")
        self.versions, self.python, lanes = told
        self.lanes = [self._here(lane) for lane in lanes]

    def close(self) -> None:
        """End the process, which ends with its input."""
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def _ask(self, request: str, name: str = "", given: object = None) -> Any:
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        try:
            pickle.dump((request, name, given), requests)
            requests.flush()
            return pickle.load(answers)
        except (BrokenPipeError, EOFError):
            self.close()
            self._said.seek(0)
            lines = self._said.read().decode(errors="replace").strip().splitlines()
            raise Missing(f"its process ended: {lines[-1] if lines else 'it said nothing'}") from None

    def _here(self, lane: Lane) -> Lane:
        name = lane.name

        def prepare(market: Market) -> None:
            self._ask("prepare", name, market.columns)

        def spent(_: object) -> float:
            return self._ask("spent", name)

        def check(number: int, told: Check) -> Check:
            return told._replace(bars=lambda _: self._ask("bars", name, number))

        checks = tuple(check(number, told) for number, told in enumerate(lane.checks))
        return replace(lane, prepare=prepare, checks=checks, spent=spent)
