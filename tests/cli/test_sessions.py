from __future__ import annotations

import pytest

from tests.cli.conftest import Cli


def test_the_known_names_with_their_hours(cli: Cli) -> None:
    lines = [line.split() for line in cli("sessions").out.splitlines()]
    assert [line[0] for line in lines] == ["session", "CME", "NYSE", "LSE", "FX", "24x7"]
    assert lines[1] == ["CME", "Mon-Fri", "17:00", "the", "day", "before", "16:00", "America/Chicago"]
    assert cli("sessions", "NYSE", "--json").json == [
        {"name": "NYSE", "trade_dates": "Mon-Fri", "open": "9:30", "close": "16:00", "zone": "America/New_York"}
    ]


def test_the_windows_of_a_date_with_a_change_of_the_clock(cli: Cli) -> None:
    ran = cli("sessions", "24x7:America/Chicago", "--on", "2025-03-09", "-t", "4h", "-t", "1d")
    lines = ran.out.splitlines()
    assert lines[0] == "24x7:America/Chicago, trade date Sun 2025-03-09, America/Chicago"
    assert lines[2].split() == [
        "4h", "2025-03-09T00:00:00-06:00", "2025-03-09T05:00:00-05:00", "2025-03-09T06:00:00Z", "2025-03-09T10:00:00Z", "4h",
    ]  # fmt: skip
    assert lines[7].split()[-2:] == ["3h", "SHORT"]
    assert lines[8].split()[-1] == "23h"
    wall = cli("sessions", "24x7:America/Chicago", "--on", "2025-03-09", "-t", "4h", "--anchor", "wall")
    assert wall.out.splitlines()[2].split()[-1] == "3h"


def test_windows_as_json(cli: Cli) -> None:
    said = cli("sessions", "CME", "--on", "2025-03-10", "-t", "4h", "--json").json
    assert (said["session"], said["zone"], said["trade_date"]) == ("CME", "America/Chicago", "2025-03-10")
    assert [(w["start"], w["seconds"], w["short"]) for w in said["windows"]][-1] == ("2025-03-10T18:00:00Z", 10_800, True)
    assert said["windows"][0]["local_start"] == "2025-03-09T17:00:00-05:00"


def test_without_a_timeframe_the_spans(cli: Cli) -> None:
    said = cli("sessions", "CME", "--on", "2025-03-10", "--json").json
    assert [(w["timeframe"], w["seconds"]) for w in said["windows"]] == [("span", 23 * 3600)]


def test_a_day_without_session_names_the_next_one(cli: Cli) -> None:
    ran = cli("sessions", "CME", "--on", "2025-03-08", "-t", "4h")
    assert (ran.code, ran.out) == (0, "CME has no session on Sat 2025-03-08; the next trade date is Mon 2025-03-10\n")
    said = cli("sessions", "CME", "--on", "2025-03-08", "--json").json
    assert (said["windows"], said["next_trade_date"]) == ([], "2025-03-10")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["CMX"], "session must be one of CME, NYSE, LSE, FX, 24x7"),
        (["24x7:Mars/Base"], "zone must be an IANA name"),
        (["CME", "-t", "4h"], "-t needs a trade date: --on 2025-03-09"),
        (["--on", "2025-03-09"], "--on needs a session"),
        (["CME", "--on", "9.3.2025"], "--on must be a date such as 2025-03-09, got '9.3.2025'"),
        (["CME", "--on", "2025-03-09", "-t", "4x"], "timeframe must look like"),
        (["CME", "--on", "2025-03-10", "--anchor", "sun"], "--anchor must be one of"),
    ],
)
def test_bad_usage(cli: Cli, args: list[str], says: str) -> None:
    ran = cli("sessions", *args)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert says in ran.err
