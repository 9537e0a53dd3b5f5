"""The protocol without a network: cut anywhere, joined in any way, it says the same."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.errors import ProtocolError
from rxfeed.feeds.signalr.codec import (
    CLOSE,
    END,
    HANDSHAKE,
    PING,
    Call,
    Closing,
    Codec,
    Completion,
    Garbage,
    Message,
    Other,
    invocation,
    no_result,
)  # fmt: skip


def opened(*targets: str, **options: Any) -> Codec:
    codec = Codec(targets, **options)
    assert codec.feed(b"{}\x1e") == []
    return codec


def told(message: dict[str, Any], **how: Any) -> bytes:
    return json.dumps(message, **how).encode() + END


NAMES = st.sampled_from(["GatewayTrade", "GatewayQuote", "GatewayLogout", 'quoted"name', "naïve"])
MESSAGES = st.one_of(
    st.builds(
        lambda name, arguments: {"type": 1, "target": name, "arguments": arguments},
        NAMES,
        st.lists(st.text(max_size=5), max_size=3),
    ),
    st.builds(
        lambda i, name: {"type": 1, "invocationId": i, "target": name, "arguments": []}, st.text(min_size=1, max_size=3), NAMES
    ),
    st.builds(lambda i, result: {"type": 3, "invocationId": i, "result": result}, st.text(max_size=3), st.integers(0, 9)),
    st.builds(lambda i, error: {"type": 3, "invocationId": i, "error": error}, st.text(max_size=3), st.text(max_size=9)),
    st.builds(lambda kind: {"type": kind, "more": [{}]}, st.sampled_from([2, 4, 5, 6, 8, 9, 10, 99, -1])),
    st.builds(lambda allow: {"type": 7, "error": "so", "allowReconnect": allow}, st.booleans()),
)


def expected(message: dict[str, Any], record: bytes) -> Message:
    match message["type"]:
        case 1:
            return Call(message["target"], record, message.get("invocationId"))
        case 3:
            return Completion(message["invocationId"], message.get("result"), message.get("error"))
        case 7:
            return Closing(message["error"], message["allowReconnect"])
        case kind:
            return Other(kind)


@given(
    st.lists(MESSAGES, max_size=6),
    st.lists(st.integers(0, 400), max_size=8),
    st.sampled_from([(), ("GatewayTrade",), ("GatewayTrade", "naïve", 'quoted"name')]),
    st.sampled_from([{"separators": (",", ":")}, {}, {"ensure_ascii": False, "separators": (",", ":")}, {"indent": 1}]),
)
def test_however_it_is_cut_and_joined_the_messages_are_the_same(
    messages: list[dict[str, Any]], cuts: list[int], targets: tuple[str, ...], how: dict[str, Any]
) -> None:
    records = [json.dumps(message, **how).encode() for message in messages]
    stream = b"{}\x1e" + b"".join(record + END for record in records)
    codec = Codec(targets)
    found: list[Message] = []
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        found += codec.feed(stream[start:end])
    assert codec.opened
    assert found == [expected(message, record) for message, record in zip(messages, records, strict=True)]


def test_messages_behind_the_answer_to_the_handshake_are_kept() -> None:
    codec = Codec()
    assert codec.feed(b'{}\x1e{"type":6}\x1e{"type":7}\x1e{"ty') == [Other(6), Closing(None, False)]
    assert codec.feed(b'pe":6}\x1e') == [Other(6)]


def test_nothing_is_opened_before_the_handshake_is_answered() -> None:
    codec = Codec()
    assert codec.feed(b"{") == []
    assert not codec.opened
    assert codec.feed(b"}\x1e") == []
    assert codec.opened


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (
            b'{"error":"Requested protocol is not available"}\x1e',
            "the handshake was refused: Requested protocol is not available",
        ),
        (b"<html>\x1e", r"the handshake was refused: answered with '<html>' \(6 bytes\)"),
        (b"\xff\xfe\x1e", r"answered with '\\\\xff\\\\xfe' \(2 bytes\)"),
        (b"[]\x1e", "answered with"),
    ],
)
def test_a_handshake_that_fails_says_how(answer: bytes, text: str) -> None:
    with pytest.raises(ProtocolError, match=text):
        Codec().feed(answer)


@pytest.mark.parametrize(
    "record",
    [b"", b"{", b"[1]", b"{}", b'{"type":"1"}', b'{"type":1}', b'{"type":3}', b"null", b"\xff", b'{"type":1,"target":"x'],
    ids=repr,
)
def test_a_record_that_is_no_message_is_garbage_and_what_follows_is_good(record: bytes) -> None:
    assert opened("GatewayTrade").feed(record + b'\x1e{"type":6}\x1e') == [Garbage(record), Other(6)]


def test_a_message_may_be_as_long_as_allowed_and_no_longer() -> None:
    call = invocation("M", ("x" * 100,))
    size = len(call) - 1
    assert len(opened(max_message=size).feed(call * 3)) == 3
    for cut in (1, 50, size):
        codec = opened(max_message=size - 1)
        with pytest.raises(ProtocolError, match=f"longer than {size - 1} bytes"):
            assert [codec.feed(call[:cut]), codec.feed(call[cut:])]
    endless = opened(max_message=1_000)
    with pytest.raises(ProtocolError, match="longer than 1000 bytes"):
        assert [endless.feed(b"x") for _ in range(2_000)]


def test_what_we_say_is_what_the_protocol_wants() -> None:
    assert [json.loads(said[:-1]) for said in (HANDSHAKE, PING, CLOSE)] == [
        {"protocol": "json", "version": 1},
        {"type": 6},
        {"type": 7},
    ]
    assert json.loads(invocation("M", ("a", 1))[:-1]) == {"type": 1, "target": "M", "arguments": ["a", 1]}
    assert json.loads(invocation("M", (), "7")[:-1]) == {"type": 1, "target": "M", "arguments": [], "invocationId": "7"}
    assert json.loads(no_result("7", "M")[:-1]) == {"type": 3, "invocationId": "7", "error": "this client has no result for M"}
    assert all(
        said.endswith(END) and said.count(END) == 1
        for said in (HANDSHAKE, PING, CLOSE, invocation("M", ()), no_result("1", "M"))
    )
