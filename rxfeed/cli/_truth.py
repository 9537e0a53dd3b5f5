"""The simulator's truth, and in what we differ from it: which trades it sent, and which bars its market made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from rxfeed.cli._watch import Seen
from rxfeed.feeds.simulator import Simulator
from rxfeed.feeds.simulator.spans import Spans
from rxfeed.model import Bar, Flag

_COMPARED: Final[dict[str, str]] = {"elements": "trades", "volume": "lots", "ticks": "sum of prices"}
_SHOWN: Final = 5
MOST_BARS: Final = 200_000
"""So many bars are compared at most."""


@dataclass(slots=True)
class Truth:
    """What the simulator says, and in what we differ from it."""

    sent: int
    """Trades, each once, over however many connections."""
    volume: int
    bars: int = 0
    """That were compared with those of the market: all that were whole, or mended."""
    missed: int = 0
    """Trades that were sent and did not arrive, where connections were lost."""
    gaps: int = 0
    """Bars that say of themselves that trades may be missing."""
    differences: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "sent": self.sent, "volume": self.volume, "missed": self.missed, "bars": self.bars, "gaps": self.gaps,
            "differences": self.differences,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Return it for people."""
        head = f"the simulator sent {self.sent:,}: "
        if self.differences:
            return [f"{head}THEY DIFFER", *(f"  {text}" for text in self.differences)]
        lost = f"{head}{self.missed:,} of them were under way when a connection was lost"
        lines = [lost if self.missed else f"{head}the same trades, lots and prices"]
        if self.bars:
            rest = f"; {self.gaps:,} more say that trades may be missing" if self.gaps else ""
            lines.append(f"its market made {self.bars:,} bars: ours are the same in open, high, low, close and volume{rest}")
        return lines


def truth_of(simulator: Simulator, seen: dict[str, Seen], *, lost: bool) -> Truth:
    """Compare what came with what the simulator sent.

    Args:
        simulator: who sent it.
        seen: what came, by symbol.
        lost: connections were lost, and with them what was under way: then less may have come, but not more.
    """
    found = Truth(0, 0)
    for symbol, one in seen.items():
        sent = _sent(simulator, one.contract.id)
        got: dict[str, int] = {"elements": one.count, "volume": one.volume, "ticks": one.ticks}
        found.sent += sent["elements"]
        found.volume += sent.get("volume", one.volume)
        same = all(got[name] <= sent[name] if lost else got[name] == sent[name] for name in sent)
        if same:
            found.missed += sent["elements"] - one.count
        else:
            differ = [(_COMPARED[name], got[name], sent[name]) for name in sent if got[name] != sent[name]]
            told = ", ".join(f"{words} {ours:,} instead of {theirs:,}" for words, ours, theirs in differ)
            found.differences.append(f"{symbol}: {told}")
    return found


def _sent(simulator: Simulator, contract: str) -> dict[str, int]:
    """Return what was sent, each trade once: all there is to compare, or over several connections how many there were."""
    connections = [one for one in simulator.truth.connections.values() if one.reached("trades", contract)["elements"]]
    if len(connections) <= 1 and not simulator.truth.earlier:
        sent = dict.fromkeys(_COMPARED, 0)
        for one in connections:
            reached = one.reached("trades", contract)
            sent = {name: sent[name] + reached[name] for name in _COMPARED}
        return sent
    numbers = Spans()
    for one in connections:
        numbers.update(one.trades(contract))
    return {"elements": len(numbers)}


def compare_bars(truth: Truth, simulator: Simulator, bars: Iterable[Bar], seen: dict[str, Seen]) -> None:
    """Compare bars with those of the market, trades included that were sent to nobody.

    Args:
        truth: gets what is found.
        simulator: whose market it is.
        bars: the newest revision of each. Those that are flagged GAP or PARTIAL say of themselves that they may differ.
        seen: the symbols.
    """
    theirs: dict[tuple[str, str], dict[int, Any]] = {}
    for bar in bars:
        if bar.flags & (Flag.GAP | Flag.PARTIAL | Flag.FILLED):
            truth.gaps += bool(bar.flags & Flag.GAP)
            continue
        key = bar.symbol, bar.timeframe
        if key not in theirs:
            try:
                made = simulator.bars(seen[bar.symbol].contract.id, bar.timeframe)
            except ValueError:
                made = []  # a timeframe that is longer than a day, or what is no longer kept
            theirs[key] = {one.start: one for one in made}
        true = theirs[key].get(bar.start)
        if true is None or true.end != bar.end:
            continue
        truth.bars += 1
        ours = bar.open, bar.high, bar.low, bar.close, bar.volume
        market = true.open, true.high, true.low, true.close, true.volume
        if ours != market and len(truth.differences) < _SHOWN:
            truth.differences.append(
                f"{bar}: the market's is O {market[0]} H {market[1]} L {market[2]} C {market[3]} V {market[4]}"
            )
