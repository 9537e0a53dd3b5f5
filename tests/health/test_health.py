"""Health on a clock that is set by hand: each state, the way there and the way back."""

from __future__ import annotations

from typing import Any

import pytest

from rxfeed.clock import VirtualClock
from rxfeed.events import (
    Connected,
    Event,
    Gapped,
    GaveUp,
    Lost,
    Overflowed,
    Relieved,
    Retrying,
    Rotated,
    RotationFailed,
    TokenChanged,
    TokenFailed,
)
from rxfeed.health import Health, Limits, Remedy, Report, Wire
from rxfeed.model import ONGOING, Gap
from rxfeed.times import SECOND
from tests.builders import T0

CONNECTED = Connected(time=0, hub="market", epoch=1, attempts=1)
LOST = Lost(time=0, hub="market", cause="dropped", text="it was cut")


class Feed:
    """A health that looks once a second, and a market that trades once a second while `trades`."""

    def __init__(self, **arguments: Any) -> None:
        self.clock = VirtualClock(T0)
        self.told: list[Report] = []
        self.health = Health(self.clock, **arguments)
        self.health.on_change(self.told.append)
        self.trades = True
        self.way = 0.0
        self.health.start()

    def hear(self, *events: Event) -> None:
        for event in events:
            self.health.heard(event)

    def run(self, seconds: int) -> str:
        for _ in range(seconds):
            self.clock.advance(SECOND)
            if self.trades:
                self.health.saw(1, self.clock.now - round(self.way * SECOND), self.clock.now)
        return self.health.now().state

    @property
    def states(self) -> list[tuple[str, int]]:
        return [(report.state, (report.time - T0) // SECOND) for report in self.told]

    def why(self) -> list[str]:
        return [reason.name for reason in self.health.now().reasons]


def live(**arguments: Any) -> Feed:
    feed = Feed(**arguments)
    feed.hear(CONNECTED)
    assert feed.run(5) == "live"
    feed.told.clear()
    return feed


def test_it_connects_is_live_and_says_so_once() -> None:
    feed = Feed()
    assert str(feed.health.now()) == "connecting: no connection for 0 s"
    feed.hear(CONNECTED)
    feed.run(10)
    assert feed.states == [("live", 0)]
    report = feed.health.now()
    assert (str(report), report.reasons, report.well, report.since) == ("live", (), True, T0)
    assert report.totals[:3] == (10, 0, 1)


def test_without_a_connection_for_long_it_is_down_and_a_new_one_must_last() -> None:
    feed = live()
    feed.trades = False
    feed.hear(LOST)
    assert feed.run(30) == "connecting"
    assert feed.run(1) == "down"
    feed.trades = True
    feed.hear(CONNECTED)
    assert feed.run(2) == "down"
    assert feed.why() == ["steadying"]
    assert feed.run(1) == "live"
    assert feed.states == [("connecting", 5), ("down", 36), ("live", 39)]
    assert feed.health.now().totals.losses == 1


def test_a_connection_that_comes_and_goes_does_not_flap() -> None:
    feed = live()
    for _ in range(10):
        feed.hear(LOST)
        feed.run(1)
        feed.hear(CONNECTED)
        feed.run(2)
    assert feed.states == [("connecting", 5)]
    assert feed.run(1) == "live"


def test_who_gave_up_is_down_until_it_is_tried_again() -> None:
    feed = live()
    feed.hear(LOST, GaveUp(time=0, hub="market", text="wrong key"))
    assert str(feed.health.now()) == "down: given up: wrong key; no connection for 0 s"
    feed.hear(Retrying(time=0, hub="market", attempt=1, wait=1.0, text=""))
    assert feed.run(3) == "connecting"


def test_silence_is_stale_until_the_next_trade_lasts() -> None:
    feed = live()
    feed.trades = False
    assert feed.run(60) == "live"
    assert feed.run(1) == "stale"
    assert feed.health.now().well is False
    feed.trades = True
    assert feed.run(5) == "live"
    assert feed.states == [("stale", 66), ("live", 71)]


def test_a_new_connection_that_is_as_silent_as_the_old_one_stays_stale() -> None:
    feed = live()
    feed.trades = False
    feed.run(61)
    feed.hear(LOST, CONNECTED)
    assert feed.run(30) == "stale"
    assert feed.states == [("stale", 66)]
    feed = live()
    feed.trades = False
    feed.hear(LOST)
    feed.run(70)
    feed.hear(CONNECTED)  # it was lost for another reason: what was missed meanwhile is no silence
    assert feed.run(60) == "live"
    assert feed.run(1) == "stale"


@pytest.mark.parametrize(
    ("wrong", "right", "name"),
    [
        (Gapped(time=0, gap=Gap("MNQ", 1, ONGOING, "dropped")), Gapped(time=0, gap=Gap("MNQ", 1, 2, "dropped")), "gap"),
        (RotationFailed(time=0, hub="market", text="no"), Rotated(time=0, hub="market", epoch=2, seconds=1.0), "rotation"),
        (TokenFailed(time=0, text="no", left=1.0), TokenChanged(time=0, how="login", life=1.0), "token"),
        (
            Overflowed(time=0, stage="bars", policy="p", text="t"),
            Relieved(time=0, stage="bars", conflated=0, dropped=0),
            "overflow",
        ),
    ],
)
def test_what_degrades_by_an_event_ends_by_one(wrong: Event, right: Event, name: str) -> None:
    feed = live()
    feed.hear(wrong)
    assert (feed.run(100), feed.why()) == ("degraded", [name])
    assert feed.health.now().well
    feed.hear(right)
    assert (feed.run(2), feed.run(1)) == ("degraded", "live")


def test_late_trades_degrade_and_a_clock_that_is_set_does_not() -> None:
    feed = live()
    feed.way = -3_600  # the exchange's clock is an hour ahead
    assert feed.run(30) == "live"
    offset = feed.health.now().offset
    assert offset == -3_600
    feed.way = 0  # and is set right
    assert feed.run(30) == "live"
    assert feed.health.now().offset == 0
    feed.way = 3
    assert feed.run(4) == "live"  # its times step back by less than tells of a clock, and some trades may be late
    assert (feed.run(8), feed.why()) == ("degraded", ["late"])
    feed.way = 0
    assert feed.run(3) == "degraded"
    assert feed.run(12) == "live"


def test_trades_that_take_long_into_bars_degrade() -> None:
    feed = live()
    for _ in range(15):
        feed.run(1)
        feed.health.made(feed.clock.now - 2 * SECOND)
    assert feed.why() == ["behind"]
    assert feed.run(15) == "live"


def test_rejects_degrade_while_they_come() -> None:
    feed = live()
    for _ in range(30):
        feed.run(1)
        feed.health.rejected(5)
    assert feed.why() == ["rejects"]
    assert feed.health.now().totals.rejects == 150
    assert feed.run(40) == "live"


def test_a_closed_market_is_closed_whatever_the_connection_does_and_opens_with_nothing_to_answer_for() -> None:
    close, opens = 1_767_650_400 * SECOND, 1_767_654_000 * SECOND  # 2026-01-05, 16:00 and 17:00 in Chicago
    clock = VirtualClock(close - 10 * SECOND)
    told: list[Report] = []
    with Health(clock, session="CME") as health:
        health.on_change(told.append)
        health.heard(CONNECTED)
        clock.advance(20 * SECOND)
        health.heard(LOST)
        clock.advance(1_800 * SECOND)
        assert (health.now().state, health.now().well) == ("closed", True)
        health.heard(CONNECTED)
        clock.advance_to(opens + 60 * SECOND)
        assert health.now().state == "live"  # it counts from the open
        clock.advance(SECOND)
        assert health.now().state == "stale"
    assert [(report.state, report.time) for report in told] == [
        ("live", close - 10 * SECOND), ("closed", close), ("live", opens), ("stale", opens + 61 * SECOND),
    ]  # fmt: skip


def test_midnight_does_not_end_a_silence_in_a_market_that_never_closes() -> None:
    feed = live()
    feed.trades = False
    feed.run(61)
    feed.health.close()
    feed.clock.advance(86_400 * SECOND)
    idle = feed.health.now().figures.idle
    assert idle == 86_400 + 61
    assert feed.states == [("stale", 66)]


def test_nobody_subscribed_is_neither_down_nor_helped() -> None:
    asked: list[Any] = []
    feed = Feed(wire=lambda: Wire(connected=False, wanted=False), remedy=Remedy(lambda *given: asked.append(given)))
    feed.trades = False
    assert feed.run(100) == "connecting"
    assert feed.why() == ["unwanted"]
    assert asked == []


def test_it_takes_the_connections_figures_and_asks_for_what_helps() -> None:
    asked: list[tuple[str, str]] = []
    wire = Wire(connected=True, quiet=0.0, round_trip=0.1, token_age=5.0, token_left=9.0)
    feed = Feed(wire=lambda: wire, remedy=Remedy(lambda what, why: asked.append((what, why))))
    assert feed.run(10) == "live"
    assert feed.health.now()[-3:-1] == (5.0, 9.0)
    wire = wire._replace(round_trip=2.5)
    assert feed.run(1) == "degraded"
    assert asked == [("probe", "the round trip takes 2.5 s")]
    wire = wire._replace(round_trip=1.6)
    assert feed.run(30) == "degraded"  # it is left at three quarters
    wire = wire._replace(round_trip=0.1)
    assert feed.run(5) == "live"
    feed.trades = False
    feed.run(61)
    assert asked[-1][0] == "probe"
    feed.run(600)
    assert {what for what, _ in asked} == {"probe", "resubscribe", "reconnect"}


def test_while_nothing_is_read_it_is_not_stale_and_asks_for_nothing_and_that_time_never_counts() -> None:
    asked: list[str] = []
    wire = Wire(connected=True)
    feed = Feed(wire=lambda: wire, remedy=Remedy(lambda what, why: asked.append(what)))
    assert feed.run(10) == "live"
    feed.trades = False
    assert feed.run(40) == "live"
    wire = wire._replace(reading=False, quiet=0.0, round_trip=99.0)
    for _ in range(300):
        assert feed.run(1) == "degraded"
        assert str(feed.health.now()) == "degraded: not reading: a consumer is full"
    assert asked == []
    wire = Wire(connected=True)
    assert feed.run(21) == "live"  # 40 s before, and these but for one, as only a look tells that it is read again
    assert asked == []
    assert feed.run(1) == "stale"
    assert asked == ["probe"]
    wire = wire._replace(reading=False)
    feed.run(600)
    assert asked == ["probe"]  # what was begun is not gone on with
    wire = Wire(connected=True)
    feed.run(32)
    assert asked == ["probe", "resubscribe"]


@pytest.mark.parametrize("ends", ["a trade", "a connection"])
def test_a_time_without_reading_that_is_over_is_taken_from_no_later_silence(ends: str) -> None:
    wire = Wire(connected=True)
    feed = Feed(wire=lambda: wire)
    feed.run(10)
    feed.trades = False
    wire = Wire(connected=True, reading=False)
    feed.run(300)
    wire = Wire(connected=True)
    if ends == "a trade":
        feed.trades = True
        feed.run(5)
        feed.trades = False
    else:
        wire = Wire(connected=False)
        feed.run(5)
        wire = Wire(connected=True)
        feed.run(1)
    assert feed.run(60) == "live"
    assert feed.run(1) == "stale"


def test_a_market_that_opens_while_nothing_is_read_begins_to_count_when_it_is() -> None:
    opens = 1_767_654_000 * SECOND  # 2026-01-05, 17:00 in Chicago
    clock = VirtualClock(opens - 1_000 * SECOND)
    wire = Wire(connected=True, reading=False)
    with Health(clock, session="CME", wire=lambda: wire) as health:
        clock.advance_to(opens + 100 * SECOND)
        assert health.now().state == "degraded"
        wire = Wire(connected=True)
        clock.advance(60 * SECOND)
        assert health.now().state == "live"
        clock.advance(3 * SECOND)
        assert health.now().state == "stale"


def test_it_leaves_other_hubs_alone() -> None:
    feed = live()
    feed.hear(Lost(time=0, hub="user", cause="dropped", text=""))
    assert feed.run(1) == "live"
    assert feed.health.now().totals.losses == 0


def test_a_listener_that_raises_or_asks_in_its_turn_harms_nobody() -> None:
    feed = live()
    heard: list[str] = []

    def asks(report: Report) -> None:
        heard.append(f"{report.state} {feed.health.now().state}")
        raise ZeroDivisionError

    feed.health.on_change(asks)
    seen: list[str] = []
    subscription = feed.health.changes.subscribe(lambda report: seen.append(report.state))
    feed.hear(LOST)
    subscription.dispose()
    feed.hear(GaveUp(time=0, hub="market", text="no"))
    assert (heard, seen) == (["connecting connecting", "down down"], ["connecting"])


def test_its_memory_does_not_grow() -> None:
    feed = live()
    for number in range(5_000):
        feed.hear(Gapped(time=0, gap=Gap(f"S{number}", 1, ONGOING, "dropped")))
        feed.hear(Overflowed(time=0, stage=f"stage {number}", policy="", text=""))
    report = feed.health.now()
    assert report.figures.gaps == 4_096
    assert len(report.figures.full) == 16
    assert len(feed.health.gaps) == 65
    assert sum(feed.health.gaps.values()) == report.totals.gaps == 5_000
    for number in range(5_000):
        feed.hear(Gapped(time=0, gap=Gap(f"S{number}", 1, 2, "dropped")))
    assert feed.health.now().figures.gaps == 0


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    class Back(VirtualClock):
        off = 0

        @property
        def now(self) -> int:
            return super().now - self.off

    clock = Back(T0)
    health = Health(clock)
    health.heard(CONNECTED)
    for off in (0, 3_600 * SECOND, 0):
        clock.off = off
        for _ in range(20):
            clock.advance(SECOND)
            health.saw(1, clock.now, clock.now)
            assert health.now().state in ("live", "degraded")
    assert health.now().state == "live"


def test_bad_arguments_are_refused() -> None:
    wrong: Any
    clock = VirtualClock(T0)
    for wrong, text in (({"period": 0}, "period must be more than 0"), ({"symbols": 0}, "most must be at least 1"),
                        ({"session": "CMEX"}, "session must be one of")):  # fmt: skip
        with pytest.raises(ValueError, match=text):
            Health(clock, **wrong)
    with pytest.raises(ValueError, match="steady"):
        Limits(steady="soon")


def test_it_leaves_no_timer() -> None:
    feed = live()
    feed.health.close()
    feed.health.close()
    before = feed.clock.now
    feed.clock.advance(100 * SECOND)
    assert feed.clock.now - before == 100 * SECOND
    assert feed.told == []
    assert feed.clock.next_due is None
