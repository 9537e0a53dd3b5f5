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
    # A pipeline of your own

    A rule and an operator that nobody else has, several observers of one stream, `async for` at a live pace, and how to
    stop so that nothing is left running. `await` and `async for` may stand at the top of a cell, in JupyterLab as in
    marimo, where names with an underscore are a cell's own.
    """)
    return


@app.cell
def _():
    import asyncio
    from collections import defaultdict, deque
    from datetime import UTC, datetime

    import polars as pl
    from reactivex import Observable
    from reactivex.disposable import CompositeDisposable, Disposable, SerialDisposable

    import rxfeed
    from rxfeed import by, rules
    from rxfeed import operators as ops

    return (
        CompositeDisposable,
        Disposable,
        Observable,
        SerialDisposable,
        UTC,
        asyncio,
        by,
        datetime,
        defaultdict,
        deque,
        ops,
        pl,
        rules,
        rxfeed,
    )


@app.cell
def _(UTC, datetime, rxfeed):
    market = rxfeed.synthetic(
        11, symbols=["MNQ"], start=datetime(2025, 3, 10, 13, 30, tzinfo=UTC), duration="30m", rate=20, session="CME"
    )
    return (market,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## A rule of your own

    A rule is a name and what must hold; what fails it is counted under that name, and `rejects` hears of it. The
    expression says the same of a frame's columns: frames are then judged whole, and not row by row. Here it stands with
    all rules that `validate()` asks by itself.
    """)
    return


@app.cell
def _(pl, rules):
    no_blocks = rules.where("no_blocks", lambda tick: tick.size < 10, pl.col("size") < 10)
    asked = *rules.DEFAULT, no_blocks
    return (asked,)


@app.cell
def _(asked, market, ops):
    checked = ops.validate(*asked, instruments=market.instruments)
    minutes = market.trades(frames=True).pipe(checked, ops.bars("1m", session="CME", frames=True), ops.collect()).run().df
    print(checked.stats)
    minutes.select("start", "open", "high", "low", "close", "volume", "count").head(3)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## An operator of your own

    Its form is that of the operators in the package. Bad arguments are refused when it is made. All state is made inside
    `subscribe`, so that each subscription has its own. What may raise is decided inside `try` and goes to `on_error`;
    what is emitted is emitted outside it, since an error of a subscriber is not ours. What ends the source ends us.
    """)
    return


@app.cell
def _(Observable, defaultdict, deque):
    def surges(times, *, over=10):
        """Pass the bars of at least `times` the mean volume of the `over` bars of their symbol before.

        --1--1--1--5--1--|
        surges(3, over=2)
        -----------5-----|
        """
        if over < 1:
            raise ValueError(f"over must be at least 1, got {over}")

        def operator(source):
            def subscribe(observer, scheduler=None):
                before = defaultdict(lambda: deque(maxlen=over))

                def on_next(bar):
                    try:
                        volumes = before[bar.symbol]
                        passes = len(volumes) == over and bar.volume * over >= times * sum(volumes)
                        volumes.append(bar.volume)
                    except Exception as error:
                        observer.on_error(error)
                    else:
                        if passes:
                            observer.on_next(bar)

                return source.subscribe(on_next, observer.on_error, observer.on_completed, scheduler=scheduler)

            return Observable(subscribe)

        return operator

    return (surges,)


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    Tried on a replay, which takes no time: an operator that takes its time from the elements is the same live.
    """)
    return


@app.cell
def _(asked, market, ops, surges):
    found = market.trades().pipe(ops.validate(*asked), ops.bars("10s", session="CME"), surges(4), ops.collect()).run().df
    found.select("start", "open", "close", "volume", "count")
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Several observers of one stream, at a live pace

    `speed` is seconds of the market a second: here half an hour takes one. A stream is cold, each subscriber would have a
    market of its own; behind `share_latest` there is one, which starts with the first subscriber and stops with the last.
    `subscribe` is an end that is safe: a handler that raises ends its own subscription, and neither the feed nor the
    others.

    What is subscribed inside `with` is disposed of at its end, also when the cell is interrupted. So running the cell
    again never leaves two. A clock goes one way, hence a new one for each run.
    """)
    return


@app.cell
def _(asked, ops, rxfeed):
    def live(market, speed):
        """A feed for several observers, and the clock that it moves."""
        clock = rxfeed.ReplayClock()
        return market.trades(speed=speed, clock=clock).pipe(ops.validate(*asked), ops.share_latest()), clock

    return (live,)


@app.cell
async def _(CompositeDisposable, by, live, market, ops, surges):
    feed, clock = live(market, speed=1800)
    meter = ops.meter("accepted", scheduler=clock)
    told, thousands, failures = [], [], []

    def careless(bar):
        raise RuntimeError(f"cannot bear {bar.close}")

    with CompositeDisposable(
        feed.pipe(meter, ops.bars(by=by.ticks(5000), session="CME"), ops.subscribe(thousands.append)),
        feed.pipe(ops.bars("10s", session="CME", scheduler=clock), surges(4), ops.subscribe(told.append)),
        feed.pipe(
            ops.bars("1m", session="CME", scheduler=clock), ops.subscribe(careless, name="careless", report=failures.append)
        ),
    ):
        async for _bar in feed.pipe(ops.bars("5m", session="CME", scheduler=clock), ops.to_async_iter()):
            print(_bar)

    print(f"{len(told)} surges, {len(thousands)} bars by ticks, such as:")
    print(thousands[0])
    print(f"{meter.stats.ticks:,} ticks accepted, {meter.stats.rate:.0f} in the last second")
    print(failures[0], "-", failures[0].error)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## Leaving early

    A loop that is left, by `break`, by an error or by the stop button, lets go of its stream. It was the last one to
    listen, so the feed stopped, and with it the clock.
    """)
    return


@app.cell
async def _(asyncio, live, market, ops):
    _feed, _clock = live(market, speed=1800)
    _few = []
    async for _bar in _feed.pipe(ops.bars("1m", session="CME", scheduler=_clock), ops.to_async_iter()):
        print(_bar)
        _few.append(_bar)
        if len(_few) == 3:
            break

    _stopped_at = _clock.now
    await asyncio.sleep(0.05)
    print("the clock stands still:", _clock.now == _stopped_at)
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    ## In the background

    A stream that is to run on while you work in other cells needs a place that outlives its cell. A `SerialDisposable`
    holds one subscription, and disposes of it when the next one is put there. So make the place once, and run the second
    cell as often as you like: there is never more than one stream.
    """)
    return


@app.cell
def _(SerialDisposable):
    running = SerialDisposable()
    return (running,)


@app.cell
def _(deque, live, market, ops, running):
    newest = deque(maxlen=100)
    _feed, _clock = live(market, speed=120)
    running.disposable = _feed.pipe(ops.bars("1m", session="CME", scheduler=_clock), ops.subscribe(newest.append))
    return (newest,)


@app.cell
async def _(asyncio, newest):
    async with asyncio.timeout(10):
        while not newest:
            await asyncio.sleep(0.01)
    print(newest[0])
    return


@app.cell(hide_code=True)
def _(mo):
    mo.md(r"""
    An empty one in its place stops it. Nothing is left then: no task, no timer, no subscription.
    """)
    return


@app.cell
def _(Disposable, running):
    running.disposable = Disposable()
    return


if __name__ == "__main__":
    app.run()
