"""What the hub sends, read in all the shapes that were seen, against a reading by hand."""

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.feeds.projectx.decode import Counter, Decoder, Depths, Drained, Quotes, Trades
from rxfeed.model import UNKNOWN_TIME, Depth, DepthKind, Quote, Side, Tick, Undecoded

MNQ, MES = "CON.F.US.MNQ.Z26", "CON.F.US.MES.Z26"
NOW = 1_800_000_000_000_000_000
STAMP = "2026-11-20T14:30:00.1234567+00:00"
TIME = 1_795_185_000_123_456_700


def event(target: str, *arguments: Any) -> bytes:
    return json.dumps({"type": 1, "target": target, "arguments": arguments}, separators=(",", ":")).encode()


def decoder(kind: type[Decoder[Any]], **options: Any) -> tuple[Any, list[Undecoded]]:
    rejects: list[Undecoded] = []
    return kind(lambda contract: contract.split(".")[3], rejects.append, **options), rejects


def trade(**changed: Any) -> dict[str, Any]:
    given = {"symbolId": "F.US.MNQ", "price": 21_000.25, "timestamp": STAMP, "type": 0, "volume": 2} | changed
    return {name: value for name, value in given.items() if value != "absent"}


def test_time_in_this_file_is_what_the_calendar_says() -> None:
    assert datetime.fromisoformat(STAMP[:-7] + "+00:00").timestamp() == pytest.approx(TIME / 1e9, abs=1e-5)


TRADES = st.builds(
    trade,
    price=st.integers(1, 10**6).map(lambda p: p / 4),
    type=st.sampled_from([0, 1, 2, None, "absent"]),
    volume=st.integers(0, 9),
)
SHAPES = st.sampled_from(["list", "dict", "one argument", "nested"])


def shaped(contract: str, data: list[dict[str, Any]], shape: str) -> list[bytes]:
    match shape:
        case "list":
            return [event("GatewayTrade", contract, data)]
        case "dict":
            return [event("GatewayTrade", contract, each) for each in data]
        case "one argument":
            return [event("GatewayTrade", [contract, data])]
        case _:
            return [event("GatewayTrade", contract, [data])]


@given(st.lists(st.tuples(st.sampled_from([MNQ, MES]), st.lists(TRADES, max_size=4), SHAPES), max_size=5))
def test_every_element_of_every_shape_is_a_tick(messages: list[tuple[str, list[dict[str, Any]], str]]) -> None:
    trades, rejects = decoder(Trades)
    drained = trades.drain([record for message in messages for record in shaped(*message)], NOW)
    drained.number(Counter())
    sides: dict[Any, int] = {0: Side.BUY, 1: Side.SELL}
    wanted = [(contract, each) for contract, data, _ in messages for each in data]
    expected = [
        Tick(contract[9:12], TIME, each["price"], each["volume"], sides.get(each.get("type"), 0), seq, NOW)
        for seq, (contract, each) in enumerate(wanted, 1)
    ]
    assert drained.rows() == expected
    assert drained.frame().rows() == expected
    assert drained.keys == [tick.symbol for tick in expected]
    assert not rejects
    assert trades.stats[1:] == (len(expected), len(expected), 0, 0)


BAD = [
    (trade(volume=2.0), "Expected `int`, got `float`"),
    (trade(volume="2"), "Expected `int`, got `str`"),
    (trade(volume=12345678901234567890), "Expected `int` <= 9223372036854775807"),
    (trade(price="1.5"), "Expected `float`, got `str`"),
    (trade(price=None), "Expected `float`, got `null`"),
    (trade(price="absent"), "missing required field `price`"),
    (trade(timestamp="yesterday"), "not a time: 'yesterday'"),
    (trade(timestamp=5), "Expected `str`, got `int`"),
    (7, "Expected `object`, got `int`"),
    (None, "Expected `object`, got `null`"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD, ids=[reason for _, reason in BAD])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_bad_element_is_rejected_alone(bad: Any, reason: str, at: int) -> None:
    trades, rejects = decoder(Trades)
    data = [trade(price=1.0), trade(price=2.0)]
    data.insert(at, bad)
    drained = trades.drain([event("GatewayTrade", MNQ, data), event("GatewayTrade", MNQ, [trade(price=3.0)])], NOW)
    assert [(tick.price, tick.seq) for tick in drained.rows()] == [(1.0, 0), (2.0, 0), (3.0, 0)]
    assert drained.frame().rows() == drained.rows()
    (reject,) = rejects
    assert reason in reject.reason
    assert reject.source == "GatewayTrade"
    if isinstance(bad, dict):
        assert json.loads(reject.text).items() <= bad.items()
    assert reject.received == NOW
    assert trades.stats == (2, 4, 3, 1, 0)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'{"type":1,"target":"GatewayTrade","arguments":["CON', "truncated"),
        (b'{"type":1,"target":"GatewayTrade"}', "it has no arguments"),
        (b'{"type":1,"target":"GatewayTrade","arguments":[{"price":1}]}', "which contract"),
        (b'{"type":1,"target":"GatewayTrade","arguments":["\xff"]}', "utf-8"),
    ],
)
def test_a_message_that_cannot_be_read_is_one_reject(record: bytes, reason: str) -> None:
    trades, rejects = decoder(Trades)
    drained = trades.drain([record, event("GatewayTrade", MNQ, [trade()])], NOW)
    assert len(drained.rows()) == 1
    assert len(rejects) == 1
    assert reason in rejects[0].reason
    assert trades.stats == (2, 2, 1, 1, 0)


def test_a_time_of_year_one_is_unknown_and_passes_to_validation() -> None:
    trades, _ = decoder(Trades)
    assert (
        trades.drain([event("GatewayTrade", MNQ, [trade(timestamp="0001-01-01T00:00:00")])], NOW).rows()[0].time == UNKNOWN_TIME
    )


def test_quotes_say_what_changed_and_nothing_else() -> None:
    quotes, _ = decoder(Quotes)
    sent: list[dict[str, Any]] = [
        {
            "symbol": "F.US.MNQ",
            "lastPrice": 2100.25,
            "bestBid": 2100,
            "bestAsk": 2100.5,
            "volume": 12,
            "timestamp": STAMP,
            "open": 1.0,
        },
        {"symbol": "F.US.MNQ", "bestBid": 2100.25, "lastUpdated": STAMP},
        {"symbol": "F.US.MNQ", "lastPrice": 0},
    ]
    drained = quotes.drain([event("GatewayQuote", MNQ, each) for each in sent], NOW)
    drained.number(Counter())
    assert drained.rows() == [
        Quote("MNQ", TIME, 2100.0, 2100.5, None, None, 2100.25, 12, 1, NOW),
        Quote("MNQ", TIME, 2100.25, None, None, None, None, None, 2, NOW),
        Quote("MNQ", NOW, None, None, None, None, None, None, 3, NOW),
    ]
    assert drained.frame().rows() == drained.rows()


def test_depth_sets_levels_and_resets_and_counts_what_is_no_level() -> None:
    depths, rejects = decoder(Depths, epoch=4)
    types = [6, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 0, 12, 1]
    data: list[dict[str, Any]] = [
        {"timestamp": STAMP, "type": kind, "price": 5.0, "volume": 3, "currentVolume": 1} for kind in types
    ]
    data[-1]["price"] = None
    drained = depths.drain([event("GatewayDepth", MNQ, data)], NOW)
    drained.number(Counter())
    level, reset = int(DepthKind.LEVEL), int(DepthKind.RESET)
    buy, sell = int(Side.BUY), int(Side.SELL)
    expected = [(reset, 0, None, 0)] + [(level, side, 5.0, 3) for side in (sell, buy, sell, buy, buy, sell)]
    assert drained.rows() == [Depth("MNQ", TIME, *each, 4, seq, NOW) for seq, each in enumerate(expected, 1)]
    assert drained.frame().rows() == drained.rows()
    assert [reject.reason for reject in rejects] == [
        "type 0 is not known",
        "type 12 is not known",
        "a level needs price and volume",
    ]
    assert depths.stats == (1, 14, 7, 3, 4)


def test_numbers_go_on_from_drain_to_drain() -> None:
    trades, _ = decoder(Trades)
    record = event("GatewayTrade", MNQ, [trade(), trade()])
    counter, seqs = Counter(), []
    for _ in range(3):
        drained = trades.drain([record], NOW)
        assert [tick.seq for tick in drained.rows()] == [0, 0]  # whoever looks before it is known what comes out
        drained.number(counter)
        assert [tick.seq for tick in drained.rows()] == drained.frame().df["seq"].to_list()
        seqs += [tick.seq for tick in drained.rows()]
    assert seqs == [1, 2, 3, 4, 5, 6]


def test_rows_become_a_drain_again() -> None:
    trades, _ = decoder(Trades)
    rows = trades.drain([event("GatewayTrade", MNQ, [trade(), trade(price=1.0)])], NOW).rows()
    drained = Drained.of_rows(Tick, rows)
    drained.number(Counter())
    assert drained.rows() == [msgspec.structs.replace(row, seq=seq) for seq, row in enumerate(rows, 1)]
    assert drained.frame().rows() == drained.rows()
    assert (drained.received, list(drained.times), drained.of) == (NOW, [TIME, TIME], {"MNQ"})


def test_a_drain_of_nothing_is_nothing() -> None:
    trades, _ = decoder(Trades)
    for records in ([], [event("GatewayTrade", MNQ, [])]):
        drained = trades.drain(records, NOW)
        assert drained.rows() == []
        assert len(drained.frame()) == 0
