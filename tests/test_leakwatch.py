"""The search through the run's logs finds what it is to find."""

from __future__ import annotations

import logging

import pytest
from loguru import logger

from rxfeed.errors import FeedError
from rxfeed.secret import Secret
from tests.leakwatch import WATCH


@pytest.mark.leaks
def test_it_hears_logs_errors_and_variables() -> None:
    secret = Secret("a-secret-that-is-told")
    said: list[int] = []
    text = secret.reveal()
    WATCH.leaks()
    for tell in (
        lambda: logger.debug("it is {}", text),
        lambda: logging.getLogger("anybody").warning("it is %s", text),
        lambda: FeedError(f"it is {text}"),
        lambda: _raised(text),
        lambda: logger.info("nothing"),
    ):
        tell()
        said.append(len(WATCH.leaks()))
    assert said == [1, 1, 1, 1, 0]


def _raised(text: str) -> None:
    try:
        raise ValueError("no secret in it") if text else AssertionError
    except ValueError:
        logger.exception("but in a variable")
