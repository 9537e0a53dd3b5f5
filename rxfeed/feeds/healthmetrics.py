"""Health as Prometheus reads it, by prometheus-client, on a registry of its own. Label values are bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rxfeed.health import Health, Report
from rxfeed.health.report import STATES
from rxfeed.kernels.meter import Summary
from rxfeed.times import SECOND

TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def metrics(health: Health) -> bytes:
    """Return the metrics of a health as text.

    Raises:
        ImportError: prometheus-client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import generate_latest
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "prometheus_client":
            raise
        raise ImportError("/metrics needs prometheus-client: pip install 'rxfeed[metrics]'") from error
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(health))
    return generate_latest(registry)


class _Collector:
    def __init__(self, health: Health) -> None:
        self._health = health

    def describe(self) -> Iterable[Any]:
        return ()

    def collect(self) -> Iterable[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        health = self._health
        report = health.now()
        state = GaugeMetricFamily("rxfeed_state", "1 for the state that the feed is in", labels=["state"])
        for name in STATES:
            state.add_metric([name], float(name == report.state))
        yield state
        for name, help, value in _gauges(report):
            if value is not None:
                yield GaugeMetricFamily(f"rxfeed_{name}", help, value=float(value))
        for name, count in report.totals._asdict().items():
            if name != "gaps":
                yield CounterMetricFamily(f"rxfeed_{name}", _TOTALS[name], value=count)
        gaps = CounterMetricFamily("rxfeed_gaps", "Stretches of time whose trades may be missing", labels=["symbol"])
        for symbol, count in health.gaps.items():
            gaps.add_metric([symbol], count)
        yield gaps
        asked = CounterMetricFamily("rxfeed_remedies", "What was asked for as the feed was not well", labels=["request"])
        for what, count in health.remedies._asdict().items():
            asked.add_metric([what], count)
        yield asked
        latency = health.latency
        yield _quantiles("rxfeed_late_seconds", "From the exchange to us, beyond the quickest, last minute", latency.late)
        yield _quantiles("rxfeed_behind_seconds", "From us into bars, last minute", latency.behind)


_TOTALS: Final = {
    "trades": "Trades that came", "rejects": "Trades refused, or not read", "connections": "Connections opened",
    "losses": "Connections lost", "retries": "Attempts to connect that failed", "rotations": "Connections that were replaced",
    "repairs": "Answers of history about gaps", "unrepaired": "Gaps that could not be mended",
}  # fmt: skip


def _gauges(report: Report) -> list[tuple[str, str, float | None]]:
    figures = report.figures
    return [
        ("well", "1 if /health says 200", report.well),
        ("session_open", "1 if the market is open", figures.open),
        ("connected", "1 if there is a connection", figures.connected),
        ("reading", "0 while nothing is read, as a consumer is full", figures.reading),
        ("idle_seconds", "Since the last trade of any symbol, connected, reading and the market open", figures.idle),
        ("heartbeat_age_seconds", "Since anything came, pings included", figures.quiet),
        ("round_trip_seconds", "From an invocation to its Completion, the last one", figures.round_trip),
        ("clock_offset_seconds", "Our clock less the exchange's, and the way from there", report.offset),
        ("token_age_seconds", "Age of the token", report.token_age),
        ("token_left_seconds", "Until the token runs out", report.token_left),
        ("open_gaps", "Symbols with a gap that has not ended", figures.gaps),
    ]


def _quantiles(name: str, help: str, summary: Summary | None) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, help, labels=["quantile"])
    if summary is not None:
        for quantile, value in (("0.5", summary.p50), ("0.99", summary.p99), ("1", summary.max)):
            family.add_metric([quantile], value / SECOND)
    return family
