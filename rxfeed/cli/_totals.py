"""What a run of `rxfeed run` received and what became of it, with the simulator's truth beside it where there is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rxfeed.cli._consumers import GuestTotals
from rxfeed.cli._truth import Truth
from rxfeed.kernels.meter import Summary


@dataclass(slots=True)
class Totals:
    """received = in_bars + open + outside_session + rejected + undecoded + dropped."""

    received: int
    """Trades, those too that could not be read."""
    in_bars: int
    open: int
    """In windows that had not ended when the connection was lost: no bar."""
    outside_session: int
    rejected: dict[str, int]
    """By rule."""
    undecoded: int
    dropped: int
    """Because more waited than may, behind the socket; the bars that lost them say so."""
    bars: dict[str, int]
    """By timeframe, finer first, without revisions."""
    counted: dict[str, int]
    """Trades in the bars that came out, by timeframe."""
    revisions: int
    seconds: float
    work: Summary | None = None
    lag: Summary | None = None
    news: dict[str, int] = field(default_factory=dict[str, int])
    """What happened to the connection, by kind."""
    said: list[str] = field(default_factory=list[str])
    """The same, for people."""
    truth: Truth | None = None
    output: str | None = None
    rejects: str | None = None
    guests: list[GuestTotals] = field(default_factory=list[GuestTotals])
    """Consumers of one's own."""

    def check(self) -> None:
        """Refuse to go on with a trade unaccounted for.

        Raises:
            RuntimeError: the counts do not add up.
        """
        parts = self.in_bars + self.open + self.outside_session + sum(self.rejected.values()) + self.undecoded + self.dropped
        if self.received != parts:
            raise RuntimeError(
                f"{self.received} trades were received, but {self.in_bars} in bars + {self.open} in open windows "
                f"+ {self.outside_session} outside the session + {sum(self.rejected.values())} rejected "
                f"+ {self.undecoded} not read + {self.dropped} dropped are {parts}"
            )
        for timeframe, counted in ({} if self.open else self.counted).items():
            if counted != self.in_bars:
                raise RuntimeError(f"{self.in_bars} trades are in bars, but those of {timeframe} hold {counted}")

    @property
    def differs(self) -> bool:
        """Whether the simulator knows it otherwise, or the bars of a consumer are not ours."""
        return bool(self.difference)

    @property
    def difference(self) -> str:
        """What differs from what, in a few words; nothing where all is the same."""
        if self.truth is not None and self.truth.differences:
            return "what was received is not what the simulator sent"
        names = [guest.name for guest in self.guests if guest.differences]
        return f"the bars of consumer {', '.join(names)} are not ours" if names else ""

    def as_json(self) -> dict[str, Any]:
        """Return them for programs."""
        return {
            "simulated": self.truth is not None, "received": self.received, "in_bars": self.in_bars, "open": self.open,
            "outside_session": self.outside_session, "rejected": self.rejected, "undecoded": self.undecoded,
            "dropped": self.dropped, "bars": self.bars,
            "revisions": self.revisions, "seconds": round(self.seconds, 3), "latency_ns": _figures(self.work),
            "lag_ns": _figures(self.lag), "feed": self.news, "truth": None if self.truth is None else self.truth.as_json(),
            "consumers": [asdict(guest) for guest in self.guests], "output": self.output, "rejects": self.rejects,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return them for people."""
        parts = [f"{self.in_bars:,} in bars"]
        if self.rejected:
            rules = ", ".join(f"{rule} {n:,}" for rule, n in self.rejected.items())
            where = f", in {self.rejects}" if self.rejects else ""
            parts.append(f"{sum(self.rejected.values()):,} rejected ({rules}{where})")
        if self.outside_session:
            parts.append(f"{self.outside_session:,} outside the session")
        if self.undecoded:
            parts.append(f"{self.undecoded:,} that could not be read")
        if self.dropped:
            parts.append(f"{self.dropped:,} dropped, as too many waited")
        if self.open:
            parts.append(f"{self.open:,} in windows that were open when it ended")
        rate = f", {self.received / self.seconds:,.0f}/s" if self.seconds > 0 else ""
        received = f"{self.received:,} trade{'' if self.received == 1 else 's'} received"
        lines = [f"{received} = {' + '.join(parts)} ({self.seconds:.2f} s{rate})"]
        lines += self.said
        if self.truth is not None:
            lines += self.truth.lines()
        bars = ", ".join(f"{timeframe} {n:,}" for timeframe, n in self.bars.items())
        number = sum(self.bars.values())
        revised = f", {self.revisions:,} revision{'' if self.revisions == 1 else 's'}" if self.revisions else ""
        where = f" in {self.output}" if self.output else ""
        lines.append(f"{number:,} bar{'' if number == 1 else 's'}{where}: {bars}{revised}")
        lines += [guest.line() for guest in self.guests]
        if self.work is not None and self.lag is not None:
            lines.append(f"received to bar: {spread(self.work)}; event to received: {spread(self.lag)}")
        return lines


def _figures(summary: Summary | None) -> dict[str, int] | None:
    return None if summary is None else {"p50": summary.p50, "p99": summary.p99, "max": summary.max}


def spread(summary: Summary) -> str:
    """Return half and 99 % of durations as text."""
    return f"half {duration(summary.p50)}, 99 % {duration(summary.p99)}"


def duration(ns: int) -> str:
    """Return a short duration as text with three digits."""
    size = abs(ns)
    for unit, length in (("s", 1_000_000_000), ("ms", 1_000_000)):
        if size >= length:
            return f"{ns / length:.3g} {unit}" if size < 1_000 * length else f"{ns / length:,.0f} {unit}"
    return f"{ns / 1_000:.3g} µs"
