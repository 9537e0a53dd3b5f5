"""What is remembered for those who come later, and for how long."""

from __future__ import annotations

from rxfeed.feeds.projectx.decode import Counter, Depths, Quotes
from rxfeed.feeds.projectx.kinds import DEPTH, QUOTES
from rxfeed.feeds.projectx.memory import Memory

TIME = '"timestamp":"2026-01-05T14:30:0%d.0000000+00:00"'


def quotes(*said: str) -> list[bytes]:
    return [
        b'{"type":1,"target":"GatewayQuote","arguments":["C",{%s,%s}]}' % ((TIME % second).encode(), each.encode())
        for second, each in enumerate(said)
    ]


def test_what_was_quoted_before_everybody_left_is_forgotten_in_every_part() -> None:
    memory, decoder = Memory(), Quotes(str, print)
    said = decoder.drain(quotes('"bestBid":100.0,"bestAsk":100.25', '"lastPrice":100.0'), 5)
    said.number(Counter())
    memory.take(QUOTES, said)
    (whole,) = memory.of(QUOTES, "C", 7)
    assert (whole.bid, whole.ask, whole.last, whole.received, whole.seq) == (100.0, 100.25, 100.0, 7, 2)
    memory.forget(QUOTES, "C")
    assert memory.of(QUOTES, "C", 8) == []
    memory.take(QUOTES, decoder.drain(quotes('"bestAsk":200.25'), 9))
    (whole,) = memory.of(QUOTES, "C", 10)
    assert (whole.bid, whole.ask, whole.last) == (None, 200.25, None)


def test_a_book_is_forgotten_until_its_next_reset() -> None:
    memory, decoder = Memory(), Depths(str, print, 3)
    level = '{"type":2,"price":1.5,"volume":4,%s}' % (TIME % 1)
    reset = '{"type":6,%s}' % (TIME % 0)
    event = '{"type":1,"target":"GatewayDepth","arguments":["C",[%s]]}'
    memory.take(DEPTH, decoder.drain([(event % f"{reset},{level}").encode()], 5))
    assert [(each.kind, each.size, each.epoch) for each in memory.of(DEPTH, "C", 7)] == [(2, 0, 3), (1, 4, 3)]
    memory.forget(DEPTH, "C")
    memory.take(DEPTH, decoder.drain([(event % level).encode()], 5))
    assert memory.of(DEPTH, "C", 7) == []
