"""Consumers of one's own in `rxfeed run`: which are refused, and what becomes of those that raise, dawdle or say otherwise."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import reactivex
from msgspec.structs import replace
from reactivex import Observable
from reactivex import operators as rx

from rxfeed import operators as ops
from rxfeed import overflow
from rxfeed.cli._consumers import Consumer
from rxfeed.cli._errors import Failed
from rxfeed.cli._live import SETTLING, Ended
from rxfeed.cli.run import finish
from rxfeed.composition import Feed
from rxfeed.model import Bar
from tests.cli.conftest import Cli
from tests.cli.streams import Shown, Stage, ended, job, streamed
from tests.cli.test_errors import refused

GOOD = "def good(feed):\n    return feed.bars\n"
REFUSED = {
    "good.py": "must look like FILE.py:NAME or package.module:NAME, got 'good.py'",
    ":good": "must look like FILE.py:NAME",
    "good.py:": "must look like FILE.py:NAME",
    "good.py:a b": "must look like FILE.py:NAME",
    "good.py:a.b": "must look like FILE.py:NAME",
    ".good:good": "must look like FILE.py:NAME",
    "a/good:good": "must look like FILE.py:NAME",
    "none.py:good": "there is no file none.py",
    "folder.py:good": "there is no file folder.py",
    "none_there:good": "there is no module none_there; a file is named with its .py",
    "rxfeed.none_there:good": "there is no module rxfeed.none_there",
    "good.py:bad": "good.py has no function 'bad', only good, wide, coming, going, both",
    "good.py:number": "good.py has no function 'number', only good",
    "empty.py:good": "empty.py has no function 'good', nor any other",
    "good.py:wide": "good.py:wide must take one argument, the feed, but takes (feed, more)",
    "good.py:coming": "must be a plain function that returns an Observable: no async def, no yield",
    "good.py:going": "must be a plain function",
    "good.py:both": "must be a plain function",
}
BROKEN = {
    "x = 1\ny = int('x')": "ValueError: invalid literal for int() with base 10: 'x' in {}, line 2",
    "def good(feed: return": "SyntaxError: invalid syntax in {}, line 1",
    "import not_there_at_all": "ModuleNotFoundError: No module named 'not_there_at_all' in {}, line 1",
    "raise SystemExit(3)": "SystemExit: 3 in {}, line 1",
    "raise AssertionError": "cannot be imported: AssertionError in {}, line 1",
    "import json\n\njson.loads('x')": "JSONDecodeError: ",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)


# Which one is meant


@pytest.mark.parametrize("given", REFUSED)
def test_what_is_no_consumer_is_refused(cli: Cli, given: str) -> None:
    more = (
        "number = 1\ndef wide(feed, more): ...\nasync def coming(feed): ...\n"
        "def going(feed):\n    yield\nasync def both(feed):\n    yield\n"
    )
    Path("good.py").write_text(GOOD + more)
    Path("empty.py").write_text("")
    Path("folder.py").mkdir()
    assert REFUSED[given] in refused(cli, 2, "run", "--consumer", given)


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("by", ["file", "module"])
def test_a_file_that_raises_is_told_with_the_line_that_did(cli: Cli, tmp_path: Path, text: str, by: str) -> None:
    name = f"broken_{list(BROKEN).index(text)}"
    Path(f"{name}.py").write_text(text)
    given = f"{name}.py:good" if by == "file" else f"{name}:good"
    line = refused(cli, 1, "run", "--consumer", given)
    assert BROKEN[text].format(tmp_path / f"{name}.py") in line
    assert line.endswith("(--debug shows more)")
    assert "fault in rxfeed" not in line
    shown = cli("run", "--debug", "--consumer", given).err
    assert f'{name}.py", line' in shown  # its own stack


def test_a_module_that_misses_another_of_a_name_like_its_own_is_there(cli: Cli) -> None:
    Path("outer_one.py").write_text("import outer")
    assert "No module named 'outer'" in refused(cli, 1, "run", "--consumer", "outer_one:good")


def test_a_file_may_have_dataclasses_neighbours_and_several_consumers(cli: Cli) -> None:
    Path("beside.py").write_text("WHAT = 1")
    Path("many.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport beside\nprint('imported')\n"
        "@dataclass\nclass Kept:\n    x: int\n" + GOOD + "def other(feed):\n    return feed.ticks()\n"
    )
    ran = cli(
        "run", "MNQ", "-t", "100ms", "--for", "500ms", "--json", "--consumer", "many.py:good", "--consumer", "many.py:other"
    )
    assert ran.code == 0
    assert ran.out.count("imported") == 1
    totals = json.loads(ran.err.splitlines()[-1])
    good, other = totals["consumers"]
    assert good == {
        "name": "good", "elements": totals["bars"]["100ms"], "bars": good["bars"], "differences": [], "ended": None,
        "unfinished": False,
    }  # fmt: skip
    assert (other["name"], other["elements"], other["bars"]) == ("other", totals["received"], 0)


def test_a_module_in_the_folder_is_found_too(cli: Cli) -> None:
    Path("module_of_mine.py").write_text(GOOD)
    ran = cli("run", "MNQ", "-t", "100ms", "--for", "300ms", "--consumer", "module_of_mine:good")
    assert ran.code == 0
    assert "consumer good: " in ran.err


# What becomes of it, in virtual time

Make = Callable[[Feed], Any]


def shown(*makes: Make, lasts: float = 4.0, **options: Any) -> tuple[Ended, Shown]:
    consumers = tuple(Consumer(make.__name__, make) for make in makes)
    meanwhile = options.pop("meanwhile", None)
    end, face = ended(streamed(job("MNQ", t=("1s",), lasts=lasts, consumers=consumers, **options), meanwhile=meanwhile))
    assert end.error is None
    assert end.totals.truth is not None
    assert end.totals.received == end.totals.truth.sent  # whatever a consumer does
    assert end.totals.truth.differences == []
    return end, face


def bad(_: object) -> None:
    raise KeyError("theirs")


def when_made(feed: Feed) -> Observable[Any]:
    raise KeyError("theirs")


def when_subscribed(feed: Feed) -> Observable[Any]:
    return reactivex.create(lambda observer, _: bad(observer))  # pyright: ignore


def at_an_element(feed: Feed) -> Observable[Any]:
    return feed.bars.pipe(rx.do_action(bad))


def at_the_end(feed: Feed) -> Observable[Any]:
    return feed.bars.pipe(rx.do_action(on_completed=lambda: bad(None)))


@pytest.mark.parametrize(
    ("make", "elements", "logged"),
    [
        (when_made, 0, "consumer when_made raised in subscribe; its subscription has ended"),
        (when_subscribed, 0, "consumer when_subscribed: its stream ended with an error"),
        (at_an_element, 0, "consumer at_an_element: its stream ended with an error"),
        (at_the_end, 4, "consumer at_the_end: its stream ended with an error"),
    ],
)
def test_one_that_raises_ends_and_no_other_does(make: Make, elements: int, logged: str) -> None:
    def other(feed: Feed) -> Observable[Bar]:
        return feed.bars

    end, face = shown(make, other)
    its, others = end.totals.guests
    assert (its.elements, its.ended, its.unfinished) == (elements, "KeyError", False)
    assert (others.elements, others.ended, others.bars) == (4, None, 3)
    assert others.line() == "consumer other: 4 elements, 3 bars, the same as ours"
    [log] = [said for said in face.said if logged in said]
    assert "test_consumers.py" in log  # where it was
    assert f"consumer {make.__name__} ended by KeyError; the others go on" in face.said
    assert its.line().endswith("ended by KeyError")
    finish(end, 0, as_json=False)  # which raises nothing


@pytest.mark.parametrize("made", [None, [1], "bars", 3])
def test_one_that_returns_no_observable_is_told_so_in_a_line(made: object) -> None:
    def wrong(feed: Feed) -> Any:
        return made

    end, face = shown(wrong)
    got = f"it must be an Observable, such as feed.bars, got {type(made).__name__}"
    assert [said for said in face.said if "wrong" in said] == [
        f"consumer wrong ended by what it returned: {got}; the others go on"
    ]
    assert end.totals.guests[0].elements == 0


def test_one_that_returns_a_coroutine_leaves_none_that_nobody_awaits() -> None:
    async def coming() -> None: ...

    def wrong(feed: Feed) -> Any:
        return coming()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        end, _ = shown(wrong)
    assert str(end.totals.guests[0].ended).endswith("got coroutine")


def test_one_that_never_completes_is_let_go_of_and_the_run_ends() -> None:
    gone: list[float] = []

    def endless(feed: Feed) -> Observable[Any]:
        loop = asyncio.get_running_loop()
        return rx.merge(reactivex.never())(feed.bars).pipe(rx.finally_action(lambda: gone.append(loop.time())))

    end, _ = shown(endless)
    [guest] = end.totals.guests
    assert (guest.elements, guest.bars, guest.unfinished) == (4, 3, True)
    assert guest.line() == "consumer endless: 4 elements, 3 bars, the same as ours, had not ended when the run did"
    assert end.totals.as_json()["consumers"][0]["unfinished"] is True
    [at] = gone
    assert 4.0 + SETTLING <= at < 4.0 + SETTLING + 0.5


def test_one_that_completes_early_is_done() -> None:
    def first(feed: Feed) -> Observable[Any]:
        return feed.bars.pipe(rx.take(2))

    [guest] = shown(first)[0].totals.guests
    assert (guest.elements, guest.ended, guest.unfinished) == (2, None, False)


def test_one_whose_bars_differ_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def cheat(feed: Feed) -> Observable[Any]:
        return feed.bars.pipe(rx.map(lambda bar: replace(bar, volume=bar.volume + 1)))

    end, _ = shown(cheat, lasts=8.0)
    [guest] = end.totals.guests
    assert guest.bars == 7
    assert len(guest.differences) == 3  # so many are shown
    with pytest.raises(Failed, match="bars of consumer cheat are not ours"):
        finish(end, 0, as_json=False)
    [line] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("consumer cheat: ")]
    assert "ITS BARS DIFFER: MNQ" in line
    assert ", ours is MNQ" in line


def test_one_that_is_too_slow_conflates_and_makes_the_same_bars() -> None:
    feeds: list[Feed] = []

    async def burst(stage: Stage) -> None:
        for _ in range(20):
            await asyncio.sleep(0.25)
            for n in range(300):
                stage.simulator.trade("MNQ", (21_500.0 + (n * 7 % 40) / 4, 1 + n % 3))

    def slow(feed: Feed) -> Observable[Any]:
        feeds.append(feed)
        return feed.ticks(overflow.conflate(feed.windows)).pipe(ops.bars(feed.windows))

    stats: list[Any] = []

    async def look(stage: Stage) -> None:
        await burst(stage)
        stats.append(feeds[0].stats.consumers["ticks 2"])

    end, _ = shown(slow, lasts=6.0, rate=0, meanwhile=look, capacities={"consumer": 16, "least": 16})
    assert stats[0].conflated > 1_000
    [guest] = end.totals.guests
    assert (guest.differences, guest.ended) == ([], None)
    assert guest.bars >= 4


# Ctrl-C


def test_ctrl_c_while_one_has_a_backlog(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nfrom reactivex import operators as rx\nfrom rxfeed import operators as ops, overflow\n"
        "def slow(feed):\n"
        "    work = rx.do_action(lambda _: time.sleep(0.005))\n"
        "    return feed.ticks(overflow.conflate(feed.windows)).pipe(work, ops.bars(feed.windows))\n"
    )
    command = [sys.executable, "-m", "rxfeed", "run", "MNQ", "-t", "1s", "--rate", "1000", "--json", "--consumer=slow.py:slow"]
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    environ = os.environ | {"RXFEED_CAPACITIES__CONSUMER": "200", "RXFEED_CAPACITIES__LEAST": "200"}
    with subprocess.Popen(command, env=environ, **options) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    [guest] = json.loads(err.splitlines()[-1])["consumers"]
    assert (guest["differences"], guest["ended"], guest["unfinished"]) == ([], None, False)  # a second of work was waited for
    assert guest["bars"] >= 1
