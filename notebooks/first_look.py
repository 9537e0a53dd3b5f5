import marimo

__generated_with = "0.25.2"
app = marimo.App()


@app.cell(hide_code=True)
def _():
    import marimo as mo

    return (mo,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    # A first look

    Ticks in, bars out, a picture; then what becomes of ticks that are wrong or late. It needs no account and no network:
    the market is made of a seed, and a path of your own files does as well. `make notebook` opens it in JupyterLab, `make
    notebook WITH=marimo` in marimo.
    """)
    return


@app.cell
def _():
    from datetime import UTC, date, datetime

    import matplotlib.pyplot as plt
    import numpy as np
    import polars as pl

    import rxfeed
    from rxfeed import Flag
    from rxfeed import operators as ops

    return Flag, UTC, date, datetime, np, ops, pl, plt, rxfeed


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Ticks

    Nine days of a future on the CME, with the weekend in them on which the clock changes. Times are nanoseconds, UTC;
    `side` is the aggressor's (1 buys, 2 sells); `received` is when the tick came to us. A frame's `df` is a polars
    DataFrame.
    """)
    return


@app.cell
def _(UTC, datetime, rxfeed):
    market = rxfeed.synthetic(
        7, symbols=["MNQ"], start=datetime(2025, 3, 3, 14, 30, tzinfo=UTC), duration="9d", rate=0.3, session="CME"
    )
    ticks = market.ticks_frame(1_000_000)
    ticks.df.head(4)
    return market, ticks


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Bars

    A pipeline is an observable and operators. All timeframes come from one pass. `collect` gathers what comes into one
    frame, and `run` waits for it: right for a replay, which ends by itself. (`rxfeed.replay("ticks.parquet",
    frames=True)` would do in place of the market.)
    """)
    return


@app.cell
def _(market, ops):
    checked = ops.validate(instruments=market.instruments)
    windows = ops.bars("15m", "4h", "1d", session="CME", frames=True)

    bars = market.trades(frames=True).pipe(checked, windows, ops.collect()).run().df
    print(checked.stats)
    print(windows.stats)
    return (bars,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    A bar has twenty columns; here are those one looks at first, on the market's own clock, with its flags in words:
    `GAP`, the data began inside the window; `PARTIAL`, they ended inside; `SHORT`, the session's close cut it.
    """)
    return


@app.cell
def _(Flag, bars, pl, rxfeed):
    cme = rxfeed.sessions.get("CME")

    def of(timeframe):
        return bars.filter(timeframe=timeframe).with_columns(
            pl.col("start", "end").dt.convert_time_zone(cme.zone),
            pl.col("flags").map_elements(lambda flags: Flag(flags).name or "", pl.String),
        )

    of("1d").select("trade_date", "start", "end", "open", "high", "low", "close", "volume", "count", "flags")
    return cme, of


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## A picture

    Candles side by side, so that nights and weekends leave no holes; the vertical lines are where a session opens. A pale
    candle was not whole (`PARTIAL`, or `GAP`: the data end or begin in it), a narrow one is `SHORT`.
    """)
    return


@app.cell
def _(np, plt):
    from matplotlib.colors import to_rgba
    from matplotlib.patches import Patch

    def candles(df, title):
        """Draw candles and the volume below; `start` is on the clock that the axis shows, `flags` are words."""
        up, down, pale = "#2a9d8f", "#e4572e", 0.4
        open, high, low, close, volume = df.select("open", "high", "low", "close", "volume").to_numpy().T
        whole = np.where(df["flags"].str.contains("GAP|PARTIAL"), pale, 1)
        color = [to_rgba(up if rises else down, alpha) for rises, alpha in zip(close >= open, whole, strict=True)]
        at, width = np.arange(df.height), np.where(df["flags"].str.contains("SHORT"), 0.4, 0.8)
        body = np.maximum(abs(close - open), 0.006 * (high.max() - low.min()))  # one that is seen, also where open is close

        fig, (price, below) = plt.subplots(2, sharex=True, figsize=(10, 5), height_ratios=(3, 1), layout="constrained")
        price.vlines(at, low, high, color, linewidth=1)
        price.bar(at, body, width, np.minimum(open, close), color=color)
        below.bar(at, volume, width, color=color)

        opens = np.flatnonzero(df["trade_date"].diff().dt.total_days().fill_null(0))
        marks = opens if len(opens) > 2 else at[:: -(-df.height // 12)]
        below.set_xticks(marks, [f"{df['start'][int(i)]:%a %d %b\n%H:%M}" for i in marks], fontsize=8)
        for ax in (price, below):
            ax.vlines(opens - 0.5, 0, 1, transform=ax.get_xaxis_transform(), color="0.85", linewidth=1, zorder=0)
            ax.spines[["top", "right"]].set_visible(False)
            ax.yaxis.set_major_formatter("{x:,.10g}")
            ax.margins(x=0.01)
        price.set_title(title, loc="left")
        price.set_ylabel("price")
        below.set(ylabel="volume", xlabel=f"start of the bar, {df['start'].dtype.time_zone}")
        kinds = {"up": (up, 1), "down": (down, 1), "GAP, PARTIAL": ("0.5", pale)}
        legend = [Patch(color=tone, alpha=alpha, label=kind) for kind, (tone, alpha) in kinds.items()]
        price.legend(handles=legend, frameon=False, fontsize=8, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
        plt.close(fig)  # or JupyterLab would show it twice
        return fig

    return (candles,)


@app.cell
def _(candles, of):
    candles(of("4h"), "MNQ, 4h: a session of 23 hours has five whole ones and a short one")
    return


@app.cell
def _(candles, date, of, pl):
    candles(of("15m").filter(pl.col("trade_date") == date(2025, 3, 12)), "MNQ, 15m, from the open to where the data end")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Sessions, and the weekend on which the clock changes

    Windows count elapsed time from the open of the session, so the change moves them in UTC and stretches none: 17:00 in
    Chicago is 23:00 UTC on Thursday, and 22:00 on Sunday. A market that never closes has a day of 23 hours there.
    """)
    return


@app.cell
def _(cme, date, pl, rxfeed):
    def windows_of(session, timeframe, *days):
        """The windows of some trade dates, local and in UTC."""
        of_session = rxfeed.Windows(timeframe, session=session)
        found = [(day, *window) for day in days for window in of_session.windows_on(day, timeframe)]
        start, end = (pl.col(name).cast(pl.Datetime("ns", "UTC")) for name in ("start", "end"))
        return pl.DataFrame(found, ["trade_date", "start", "end", "short"], orient="row").select(
            "trade_date",
            start.dt.convert_time_zone(of_session.session.zone).alias("local"),
            start.alias("utc"),
            (end - start).dt.total_hours().alias("hours"),
            "short",
        )

    print(cme)
    for _at, _before, _after in cme.transitions(1741219200 * 10**9, 1741651200 * 10**9):
        print(f"the clock changes at {cme.local(_at)}, from UTC{_before // 3600e9:+.0f} to UTC{_after // 3600e9:+.0f}")
    windows_of(cme, "6h", date(2025, 3, 7), date(2025, 3, 10))
    return (windows_of,)


@app.cell
def _(date, windows_of):
    windows_of("24x7:America/Chicago", "1d", date(2025, 3, 8), date(2025, 3, 9), date(2025, 3, 10))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## What is refused, and what is late

    The first half hour again, now spoilt: two prices that cannot be, one that is far off, and two ticks that come late,
    one by 20 seconds and one by 20 minutes. Nothing is lost in silence: each tick is in a bar, or was rejected by a rule,
    for a reason.
    """)
    return


@app.cell
def _(ticks):
    from msgspec.structs import replace

    spoilt = ticks.slice(0, 600).rows()
    spoilt[100] = replace(spoilt[100], price=float("nan"))
    spoilt[200] = replace(spoilt[200], price=spoilt[200].price + 0.1)
    spoilt[300] = replace(spoilt[300], price=spoilt[300].price * 2)
    spoilt[400] = replace(spoilt[400], time=spoilt[400].time - 20 * 10**9)
    spoilt[500] = replace(spoilt[500], time=spoilt[500].time - 1200 * 10**9)
    return (spoilt,)


@app.cell
def _(market, ops, rxfeed, spoilt):
    rejects = []
    checks = ops.validate(instruments=market.instruments, rejects=rejects.append)
    minutes = ops.bars("1m", session="CME", rejects=rejects.append)

    made = rxfeed.replay(spoilt).pipe(checks, minutes, ops.collect()).run().df
    print(checks.stats)
    print(minutes.stats)
    print(*(f"tick {reject.element.seq}, {reject.rule}: {reject.reason}" for reject in rejects), sep="\n")
    return (made,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    The tick that was 20 seconds late is in its own minute all the same, which came out again as revision 1. A later
    revision replaces the earlier ones whole, so the table of final bars keeps the last of each.
    """)
    return


@app.cell
def _(made, pl):
    final = made.unique(["symbol", "timeframe", "start"], keep="last", maintain_order=True)
    print(made.height, "bars came,", final.height, "are final, and hold", final["count"].sum(), "ticks")
    made.filter(pl.col("start").is_duplicated()).select("start", "open", "close", "count", "revision")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Rows or frames

    The same ticks one by one make the same bars, bit for bit (but for `notional`, a sum of floats); frames are only
    faster. So try things in a replay of frames, and run them live in rows.
    """)
    return


@app.cell
def _(bars, market, ops):
    in_rows = ops.validate(instruments=market.instruments), ops.bars("15m", "4h", "1d", session="CME")
    one_by_one = market.trades().pipe(*in_rows, ops.collect()).run().df

    order = ["timeframe", "start"]
    print("the same bars:", one_by_one.drop("notional").sort(order).equals(bars.drop("notional").sort(order)))
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Next: `compose`, the notebook beside this one, puts together a pipeline with a rule and an operator of its own,
    several observers, and `async for` at a live pace.
    """)
    return


if __name__ == "__main__":
    app.run()
