"""What is drawn on a terminal: it fits, nothing is blank in between, and logs stand above it."""

from __future__ import annotations

import asyncio
import io
import re
import sys

import pytest
from loguru import logger
from rich.console import Console

from rxfeed.cli._screen import Screen
from rxfeed.clock import Clock
from rxfeed.testing import Simulation, simulate
from tests.cli.streams import Ended, Stage, chosen, ended, job, run, streamed, world

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(io.StringIO):
    """A terminal of a certain size that carries out what rxfeed writes to it."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.width, self.height = width, height
        self.lines: list[str] = [""]
        self.row = 0
        self.written: list[str] = []
        self.pictures: list[list[str]] = []
        self.cursor = True

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written.append(text)
        at = 0
        for found in (*ESCAPE.finditer(text), None):
            self._text(text[at : len(text) if found is None else found.start()])
            if found is None:
                break
            at = found.end()
            code = found.group()
            if code.endswith("F"):
                self.row -= int(code[2:-1])
                assert self.row >= max(0, len(self.lines) - self.height), "it goes up beyond the top"
            elif code == "\x1b[J":
                del self.lines[self.row + 1 :]
                self.lines[self.row] = ""
            elif code == "\x1b[2J":
                self.lines, self.row = [""], 0
            elif code in ("\x1b[?25l", "\x1b[?25h"):
                self.cursor = code.endswith("h")
            else:
                assert code in ("\x1b[K", "\x1b[H") or code.endswith("m"), code
        self.pictures.append(list(self.lines))
        return len(text)

    def _text(self, text: str) -> None:
        for n, line in enumerate(text.split("\n")):
            if n:
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append("")
                self._begun = False
            if line:
                assert len(line) <= self.width
                before = self.lines[self.row] if getattr(self, "_begun", False) else ""
                self.lines[self.row] = before + line
                assert len(self.lines[self.row]) <= self.width, self.lines[self.row]
                self._begun = True


def screen(clock: Clock, terminal: Terminal) -> Screen:
    console = Console(
        file=terminal,
        width=terminal.width,
        height=terminal.height,
        force_terminal=True,
        highlight=False,
        color_system="truecolor",
    )
    return Screen(clock, console)


def drawn(width: int, height: int, *symbols: str, seconds: float = 4.0, **options: object) -> tuple[Ended, Terminal]:
    terminal = Terminal(width, height)

    async def main(simulation: Simulation) -> Ended | None:
        there = world(simulation, {}, [])
        face = screen(simulation.clock, terminal)
        stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        wanted = job(*symbols, lasts=seconds, **options)  # type: ignore[arg-type]

        async def log() -> None:
            await asyncio.sleep(seconds / 2)
            logger.warning("a warning of somebody's")

        logging = asyncio.ensure_future(log())
        try:
            return await run(wanted, there, chosen({}), face, stop)
        finally:
            await logging

    result = simulate(main)
    assert result is not None
    return result, terminal


@pytest.fixture(autouse=True)
def stderr_is_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 50), (60, 12), (40, 10)])
def test_it_fits_and_shows_prices_bars_rates_and_what_is_simulated(width: int, height: int) -> None:
    end, terminal = drawn(width, height, "MNQ", "MES", "GC", t=("1s", "5s", "1m"), rate=200.0)
    picture = terminal.pictures[len(terminal.pictures) // 2]
    at = max(n for n, line in enumerate(picture) if "SIMULATED" in line)
    shown = picture[at:]
    assert len(shown) <= height
    text = "\n".join(shown)
    for wanted in ("connected", "24x7", "trades/s", "MNQH26", "MESH26", "GCH26"):
        assert wanted in text
    if height >= 24:
        assert re.search(r"MNQH26 1m .* open", text)
        assert re.search(r"MNQH26 1s .*\d\d:\d\d:\d\d .*215\d\d\.\d\d", text)
        assert "received to bar" in text
    assert end.totals.received > 500
    last = "\n".join(terminal.lines)
    assert "closed" in last
    assert "PARTIAL" in last or height <= 10
    assert terminal.cursor


def test_a_log_line_stands_above_and_tears_nothing() -> None:
    _, terminal = drawn(80, 24, "MNQ")
    at = terminal.lines.index("a warning of somebody's")
    assert any("SIMULATED  sim.test" in line for line in terminal.lines[at:])
    assert not any("SIMULATED  sim.test" in line for line in terminal.lines[:at])
    assert sum("symbol" in line for line in terminal.lines) == 1


def test_no_line_is_erased_before_it_is_written_anew() -> None:
    _, terminal = drawn(80, 24, "MNQ", seconds=3.0)
    assert len(terminal.written) > 10
    for text in terminal.written:
        assert "\x1b[2K" not in text
        assert "\x1b[2J" not in text
        assert text.count("\x1b[J") == text.endswith("\x1b[J")


def test_a_terminal_that_changes_its_size_is_drawn_from_the_top() -> None:
    terminal = Terminal(100, 30)

    async def shrink(stage: Stage) -> None:
        await asyncio.sleep(2)
        terminal.lines, terminal.row = [""], 0
        terminal.width = 70
        stage.face._console.width = 70

    async def main(simulation: Simulation) -> None:
        there = world(simulation, {}, [])
        face = screen(simulation.clock, terminal)
        stop: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        shrinking = asyncio.ensure_future(shrink(Stage(simulation, face, stop, [])))
        await run(job(lasts=4.0), there, chosen({}), face, stop)
        await shrinking

    simulate(main)
    assert sum("symbol" in line for line in terminal.lines) == 1
    assert max(map(len, terminal.lines)) <= 70


def test_a_feed_that_is_silent_or_closed_does_not_look_dead() -> None:
    _, terminal = drawn(80, 24, "MNQ", rate=0, seconds=4.0)
    assert any("waiting for the first trade" in line for line in terminal.lines)


def test_faces_without_a_terminal_have_no_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    from rxfeed.cli._faces import Json, Lines

    for face in (Lines(), Json()):
        end, _ = ended(streamed(job(lasts=3.0), face=face))
        out, err = capsys.readouterr()
        assert "\x1b" not in out + err
        assert len(out.splitlines()) == sum(end.totals.bars.values()) + isinstance(face, Lines)
