"""`Secret`, and text without any."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from rxfeed.secret import Secret, exposes, redacted, redacting
from tests.feeds.web import TOKEN

KEY = "Wv8/+Ktm9äpü==Qr7'\"sT2"


def test_a_secret_is_shown_nowhere() -> None:
    secret = Secret(KEY)
    for text in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", f"{[secret]}"):
        assert "Secret(***)" in text
        assert KEY not in text
    assert secret.reveal() == KEY
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)
    with pytest.raises(TypeError, match="not pickled"):
        copy.copy(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(ValueError, match="must not be empty"):
        Secret("")


def test_secrets_compare_by_value() -> None:
    assert Secret("one") == Secret("one") != Secret("two")
    assert Secret("one") != "one"
    assert len({Secret("one"), Secret("one")}) == 1


@pytest.mark.parametrize(
    "form",
    [
        KEY, quote(KEY, safe=""), quote(KEY), quote_plus(KEY), quote(KEY, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
        str(URL("https://x").update_query(k=KEY)), json.dumps(KEY), json.dumps(KEY, ensure_ascii=False), repr(KEY),
    ],
)  # fmt: skip
def test_a_live_secret_is_found_in_every_form(form: str) -> None:
    secret = Secret(KEY)
    text = redacted(f"before {form} after")
    assert text.startswith("before ")
    assert text.endswith(" after")
    assert not any(KEY[at : at + 4] in text for at in (0, 4, 14, 18))
    assert exposes(form)
    del secret
    gc.collect()
    assert not exposes(form)
    assert redacted(f"before {form} after") == f"before {form} after"


def test_two_equal_secrets_are_two() -> None:
    pair = [Secret(KEY), Secret(KEY)]
    for gone in (0, 1):
        pair = [Secret(KEY), Secret(KEY)]
        del pair[gone]
        gc.collect()
        assert redacted(KEY) == "***"
    pair.clear()


@given(st.text("abc", min_size=8, max_size=60), st.data())
def test_every_piece_of_eight_characters_is_found(value: str, data: st.DataObject) -> None:
    secret = Secret(value)
    start = data.draw(st.integers(0, len(value) - 8))
    piece = value[start : data.draw(st.integers(start + 8, len(value)))]
    text = redacted(f"<{piece}> and <{piece[:7]}>")
    assert text == f"<***> and <{piece[:7]}>"
    assert secret.reveal() == value


def test_secrets_that_share_a_piece_hide_each_other_no_end() -> None:
    one, other = Secret("abcdefghij"), Secret("abcdefghijklm")
    assert redacted("<abcdefghijklm>") == "<***>"
    assert redacted(f"<{TOKEN}>") == "<***>"
    alike = Secret(TOKEN[:-4])
    assert redacted(f"<{TOKEN}>") == "<***>"
    assert len({one, other, alike}) == 3


def test_what_stands_around_a_piece_stays() -> None:
    secret = Secret("abcdefghijkl")
    assert redacted("-abcdefgh-bcdefghij-abcdefg-abcdefghijklabcdefgh-") == "-***-***-abcdefg-***-"
    assert redacted("\x01abcdefgh\x01\x1e") == "\x01***\x01\x1e"
    del secret


def test_short_secrets_are_found_whole() -> None:
    short, tiny = Secret("s3cret"), Secret("k")
    assert redacted("s3cret s3cre kk") == "*** s3cre kk"
    assert (short.reveal(), tiny.reveal()) == ("s3cret", "k")


def test_the_simulators_key_is_no_secret() -> None:
    secret = Secret("simulator")
    assert redacted("the simulator listens") == "the simulator listens"
    assert secret.reveal() == "simulator"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"wss://x/hub?access_token={TOKEN}&x=1", "wss://x/hub?access_token=***&x=1"),
        ("wss://x/hub?id=abc-_&x=1#id=2", "wss://x/hub?id=***&x=1#id=2"),
        (f"GET /hub?access_token={TOKEN} HTTP/1.1", "GET /hub?access_token=*** HTTP/1.1"),
        (f"%3Faccess_token%3D{TOKEN}", "%3Faccess_token%3D***"),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer ***"),
        (
            f"<CIMultiDict('Authorization': 'Bearer {TOKEN}', 'A': 'b')>",
            "<CIMultiDict('Authorization': 'Bearer ***', 'A': 'b')>",
        ),
        ("authorization=Basic dXNlcjpw", "authorization=Basic ***"),
        ("a bearer abc.def~ghi+/=", "a bearer ***"),
        ('{"userName":"me","apiKey":"abc/=","x":1}', '{"userName":"***","apiKey":"***","x":1}'),
        ("""b'{"userName": "me", "apiKey": "abc"}'""", """b'{"userName": "***", "apiKey": "***"}'"""),
        (r'"{\"apiKey\":\"abc\"}"', r'"{\"apiKey\":\"***\"}"'),
        ('{"token":"abc","newToken":"d\\u002Be"}', '{"token":"***","newToken":"***"}'),
        ('{"connectionToken":"abc"}', '{"connectionToken":"***"}'),
        ("Login(user_name='me', api_key='abc')", "Login(user_name='***', api_key='***')"),
        ("RXFEED_USER=me RXFEED_KEY=abc", "RXFEED_USER=*** RXFEED_KEY=***"),
        ("PROJECT_X_USERNAME=me\nPROJECT_X_API_KEY = 'abc'", "PROJECT_X_USERNAME=***\nPROJECT_X_API_KEY = '***'"),
        (f"token {TOKEN}.", "token ***"),
        (TOKEN[:20], "***"),
    ],
    ids=lambda text: text[:12],
)
def test_what_looks_secret(text: str, left: str) -> None:
    assert redacted(text) == left
    assert redacted(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "", "the token is no longer taken", "token: Secret(***)", "apiKey=None, token=null, token=true", "token=''",
        "MNQ 1m 2026-01-05T14:30:00Z O 1 H 2 L 1 C 2 V 10 N 3", "keyJar, monkeyJ", "?identity=7", "rxfeed.secret: a user name",
    ],
)  # fmt: skip
def test_what_is_not_secret_stays(text: str) -> None:
    assert redacted(text) == text


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    secret = Secret("Wv8Ktm9Qr7sT2")
    once = redacted(text + secret.reveal() + text)
    assert secret.reveal() not in once
    assert redacted(once) == once


def test_a_sink(capsys: pytest.CaptureFixture[str]) -> None:
    secret = Secret(KEY)
    redacting(sys.stderr.write)(f"it was {secret.reveal()}\n")
    assert capsys.readouterr().err == "it was ***\n"
