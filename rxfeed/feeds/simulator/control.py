"""What a developer or a test in another process may ask a running simulator for, under /simulator.

    GET  /simulator             contracts, rate, connections and who is subscribed to what, faults so far
    GET  /simulator/truth       what was sent to whom, exactly
    POST /simulator/faults      {"fault": "drop"}: at once, or when it says; GET lists what there is
    POST /simulator/rate        {"rate": 1000}: trades a second, "max" or "tape"
    POST /simulator/trades      {"contract": "MNQ", "trades": [[21500.25, 3, 1]]}: do just these
"""  # fmt: skip

from __future__ import annotations

from typing import Any, cast

import msgspec

from rxfeed.feeds.simulator.core import Simulator
from rxfeed.feeds.simulator.faults import FAULTS, Fault
from rxfeed.feeds.simulator.http import Answer, Request, answer, refusal


def control(simulator: Simulator, request: Request) -> Answer:
    """Return the answer to a request under /simulator; what cannot be done is 400 with the reason."""
    path, post = request.path.removeprefix("/simulator"), request.method == "POST"
    if not post and path in ("", "/"):
        return answer(state(simulator))
    if not post and path == "/truth":
        return answer(simulator.truth.row())
    if not post and path == "/faults":
        return answer({name: kind.text for name, kind in FAULTS.items()})
    if not post or path not in ("/faults", "/rate", "/trades"):
        return refusal(404)
    try:
        body = msgspec.json.decode(request.body)
        if not isinstance(body, dict):
            raise ValueError("a JSON object is wanted")
        _change(simulator, path, cast("dict[str, Any]", body))
    except (KeyError, TypeError, ValueError, msgspec.DecodeError) as error:
        text = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        return answer({"done": False, "error": text}, 400)
    return answer({"done": True})


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
