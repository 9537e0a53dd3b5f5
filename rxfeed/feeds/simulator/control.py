"""What a developer or a test in another process may ask a running simulator for, under /simulator.

    GET  /simulator             contracts, rate, connections and who is subscribed to what, faults so far
    GET  /simulator/truth       what was sent to whom, exactly, and the numbers of the trades that went out to nobody
    GET  /simulator/bars        ?contract=MNQ&timeframe=1m[&start=NS&end=NS]: the true bars of all that was traded
    GET  /simulator/trades      ?contract=MNQ[&first=0&last=99]: the trades themselves, where keep_trades keeps them
    POST /simulator/faults      {"fault": "drop"}: at once, or when it says; GET lists what there is
    POST /simulator/rate        {"rate": 1000}: trades a second, "max" or "tape"
    POST /simulator/trades      {"contract": "MNQ", "trades": [[21500.25, 3, 1]]}: do just these
"""  # fmt: skip

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from rxfeed.feeds.simulator.core import Simulator
from rxfeed.feeds.simulator.faults import FAULTS, Fault
from rxfeed.feeds.simulator.http import Answer, Request, answer, refusal
from rxfeed.times import FOREVER

_ROWS: Final = 20_000


def control(simulator: Simulator, request: Request) -> Answer:
    """Return the answer to a request under /simulator; what cannot be done is 400 with the reason."""
    path, post = request.path.removeprefix("/simulator"), request.method == "POST"
    if not post and path in ("", "/"):
        return answer(state(simulator))
    if not post and path == "/truth":
        return answer(simulator.truth.row())
    if not post and path == "/faults":
        return answer({name: kind.text for name, kind in FAULTS.items()})
    if not post and path in ("/bars", "/trades"):
        try:
            return answer((_bars if path == "/bars" else _trades)(simulator, request.query))
        except (KeyError, ValueError) as error:
            return _impossible(error)
    if not post or path not in ("/faults", "/rate", "/trades"):
        return refusal(404)
    try:
        body = msgspec.json.decode(request.body)
        if not isinstance(body, dict):
            raise ValueError("a JSON object is wanted")
        _change(simulator, path, cast("dict[str, Any]", body))
    except (KeyError, TypeError, ValueError, msgspec.DecodeError) as error:
        return _impossible(error)
    return answer({"done": True})


def _impossible(error: Exception) -> Answer:
    text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
    return answer({"done": False, "error": text}, 400)


def _bars(simulator: Simulator, query: Mapping[str, str]) -> list[list[Any]]:
    start, end = int(query.get("start", 0)), int(query.get("end", FOREVER))
    return [list(bar) for bar in simulator.bars(query["contract"], query["timeframe"], start, end)[-_ROWS:]]


def _trades(simulator: Simulator, query: Mapping[str, str]) -> list[list[Any]]:
    listed = simulator.contract(query["contract"])
    first = int(query.get("first", simulator.truth.ledgers[listed.id].first))
    last = min(int(query.get("last", FOREVER)), first + _ROWS - 1)
    return [
        [number, time, listed.price(ticks), size, side]
        for number, time, ticks, size, side in simulator.truth.trades(listed.id, [(first, last)])
    ]


def _change(simulator: Simulator, path: str, body: dict[str, Any]) -> None:
    if path == "/faults":
        simulator.fault(Fault.parse(str(body["fault"])))
    elif path == "/rate":
        simulator.rate = body["rate"]
    else:
        simulator.trade(str(body["contract"]), *[tuple(row) for row in body["trades"]])


def state(simulator: Simulator) -> dict[str, Any]:
    """Return what there is."""
    return {
        "simulated": True,
        "rate": simulator.rate,
        "ended": simulator.ended,
        "skew_ns": simulator.skew,
        "contracts": [market.listed.row() for market in simulator.markets.values()],
        "sessions": simulator.sessions,
        "expiry": simulator.expiry,
        "faults": simulator.faults,
        "connections": [
            {
                "id": one.id, "hub": one.hub, "user": one.user, "state": one.state, "unsent": one.unsent,
                "subscriptions": [f"{kind} {name}".strip() for kind, name in one.subscriptions],
            }
            for one in simulator.connections.values()
        ],
    }  # fmt: skip
