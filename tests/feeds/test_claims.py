"""What a token says about itself, and what is assumed where it does not."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rxfeed.feeds.claims import LIFE, Claims, claims_of
from rxfeed.secret import Secret

NO_JWT = "the token is not a JWT, so it does not say how long it lives: 24 h are assumed"
NO_EXP = "the token does not say when it ends (no exp): 24 h are assumed"
NO_IAT = "the token does not say when it was made (no iat): 24 h are assumed"


def jwt(payload: Any) -> Secret:
    return Secret(f"aGVhZA.{urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip('=')}.c2ln")


@pytest.mark.parametrize(
    ("payload", "claims"),
    [
        ({"iat": 100, "exp": 3_700}, Claims(3_600.0, 100.0, 3_700.0)),
        ({"iat": 100, "nbf": 40, "exp": 3_700}, Claims(3_600.0, 100.0, 3_700.0)),
        ({"nbf": 100, "exp": 160}, Claims(60.0, None, 160.0)),  # said to be good from then on, not made then
        ({"iat": "100", "exp": "160.5"}, Claims(60.5, 100.0, 160.5)),
        ({"exp": 160}, Claims(LIFE, None, 160.0, NO_IAT)),
        ({"exp": 160, "iat": "x"}, Claims(LIFE, None, 160.0, NO_IAT)),
        ({"exp": 160, "iat": True}, Claims(LIFE, None, 160.0, NO_IAT)),
        ({"iat": 100}, Claims(LIFE, 100.0, None, NO_EXP)),
        ({"iat": 100, "exp": None}, Claims(LIFE, 100.0, None, NO_EXP)),
        ({"iat": 100, "exp": "inf"}, Claims(LIFE, 100.0, None, NO_EXP)),
        ({"iat": 100, "exp": "nan"}, Claims(LIFE, 100.0, None, NO_EXP)),
        ({}, Claims(LIFE, wrong=NO_EXP)),
        ({"iat": 160, "exp": 160}, Claims(LIFE, wrong="the token ends before it begins (exp - iat is 0 s): 24 h are assumed")),
        (
            {"iat": 170, "exp": 160},
            Claims(LIFE, wrong="the token ends before it begins (exp - iat is -10 s): 24 h are assumed"),
        ),
        ([], Claims(LIFE, wrong=NO_JWT)),
        ("text", Claims(LIFE, wrong=NO_JWT)),
    ],
)
def test_what_a_token_says(payload: Any, claims: Claims) -> None:
    assert claims_of(jwt(payload)) == claims


@pytest.mark.parametrize("text", ["opaque", "a.b", "a.b.c", "a.ää.c", "..", "a.e30.c.d", "a." + "W1tb" * 5_000 + ".c"])
def test_what_is_no_jwt_is_taken_as_it_is(text: str) -> None:
    assert claims_of(Secret(text)) == Claims(LIFE, wrong=NO_JWT)


@given(st.text(min_size=1, max_size=7) | st.text(max_size=4).map(lambda it: f".{it}."))  # not so long as to be watched for
def test_any_text_is_some_token(text: str) -> None:
    assert claims_of(Secret(text)) == Claims(LIFE, wrong=NO_JWT)


@given(
    st.dictionaries(
        st.sampled_from(["iat", "exp", "nbf"]), st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    )
)
def test_no_claims_make_a_life_that_cannot_be(payload: dict[str, Any]) -> None:
    claims = claims_of(jwt(payload))
    assert 0 < claims.life < float("inf")
