"""Looks through all that the test run logs, raises and prints for the secrets that it used.

Whoever makes a `Secret` in a test adds to what is looked for. Looked through are: every record of loguru, through a sink that
shows variables as a careless user's would; every record of logging, down to DEBUG; the text of each error of ours; what a test
printed; and how pytest shows a failure. Tests that show how others leak are left out by their marker.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from typing import Any

import pytest
from loguru import logger

from rxfeed.errors import RxfeedError
from rxfeed.secret import Secret

PUBLIC = frozenset({"simulator"})  # the simulator's key, which is in its documentation
SHORT = 8


class Watch:
    """What was said, and what must not be."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.said: list[str] = []

    def found(self, text: str) -> list[str]:
        return [secret for secret in self.secrets if secret in text]

    def leaks(self) -> list[str]:
        """Return the beginnings of texts that hold a secret; forget all that was said."""
        said, self.said = self.said, []
        return [text[:400] for text in said if self.found(text)]

    def install(self) -> None:
        make, fail = Secret.__init__, RxfeedError.__init__
        watch = self

        def made(secret: Secret, text: str) -> None:
            make(secret, text)
            if len(text) >= SHORT and text not in PUBLIC:
                watch.secrets.add(text)

        def failed(error: RxfeedError, *args: Any) -> None:
            fail(error, *args)
            watch.said.append(" ".join(map(str, args)))

        for kind, init in ((Secret, made), (RxfeedError, failed)):
            setattr(kind, "__init__", init)  # noqa: B010  # a type checker knows better
        logger.add(
            lambda line: self.said.append(str(line)), level=0, diagnose=True, backtrace=True, format="{message}\n{exception}"
        )
        handler = logging.Handler(logging.DEBUG)
        handler.emit = lambda record: self.said.append(logging.Formatter().format(record))
        logging.getLogger().addHandler(handler)
        logging.getLogger("asyncio").setLevel(logging.DEBUG)
        logging.getLogger("aiohttp").setLevel(logging.DEBUG)


WATCH = Watch()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "leaks: shows how secrets leak, so that what it logs is not looked through")
    WATCH.install()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    WATCH.said += [report.longreprtext, *(text for _, text in report.sections)]
    leaks = WATCH.leaks()
    if leaks and item.get_closest_marker("leaks") is None:
        report.outcome = "failed"
        report.longrepr = "a secret was told:\n" + "\n---\n".join("".join(_masked(text)) for text in leaks)
    return report


def _masked(text: str) -> str:
    for secret in WATCH.secrets:
        text = text.replace(secret, "<SECRET>")
    return text
