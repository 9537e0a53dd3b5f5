"""How a failure is told: once, in full, without values of variables, and without raising whatever happens."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

import rxfeed
from rxfeed.failures import Failure, stage_of, tell


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    said: list[Any] = []
    number = logger.add(said.append, level="INFO", diagnose=True, backtrace=True)
    yield said
    logger.remove(number)


def caught() -> ValueError:
    token = "Bearer " + "s3cr3t"
    try:
        raise ValueError(f"a text of {len(token)}")
    except ValueError as error:
        return error


def refuse(_: object) -> None:
    raise KeyError("report")


def test_one_error_record_with_stage_and_traceback_but_no_local_variables(logged: list[Any]) -> None:
    tell(None, "my stage", "on_next", caught(), 5)
    (message,) = logged
    assert message.record["level"].name == "ERROR"
    assert message.record["exception"] is None
    text = str(message)
    assert "my stage raised in on_next; its subscription has ended\nTraceback (most recent call last):" in text
    assert "in caught\n    raise ValueError" in text
    assert "ValueError: a text of 13" in text
    assert "s3cr3t" not in text


def test_braces_in_an_error_are_no_placeholders(logged: list[Any]) -> None:
    tell(None, "a {stage}", "on_next", ValueError("{0} <red>{x}</red>"))
    assert "a {stage} raised" in str(logged[0])
    assert "ValueError: {0} <red>{x}</red>" in str(logged[0])


def test_an_error_of_the_source_is_called_that() -> None:
    assert str(Failure("s", "source", caught(), "")) == "s: the stream ended with an error, and no on_error was given"
    assert rxfeed.Failure is Failure


def test_a_report_gets_the_failure_and_nothing_is_logged(logged: list[Any]) -> None:
    told: list[Failure] = []
    error = caught()
    tell(told.append, "s", "on_next", error, 5)
    (failure,) = told
    assert (failure.stage, failure.where, failure.error, failure.element) == ("s", "on_next", error, 5)
    assert failure.traceback.startswith("Traceback")
    assert failure.traceback.endswith("ValueError: a text of 13\n")
    assert logged == []
    with pytest.raises(AttributeError):
        failure.stage = "other"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_report_that_raises_loses_nothing(logged: list[Any]) -> None:
    tell(refuse, "s", "on_next", caught())
    (message,) = logged
    assert str(message).count("ValueError: a text of 13") == 1
    assert "and report raised too:" in str(message)
    assert str(message).count("KeyError: 'report'") == 1


def test_a_log_that_raises_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    number = logger.add(refuse, catch=False)
    try:
        tell(None, "s", "on_next", caught())
        tell(refuse, "s", "on_next", caught())
    finally:
        logger.remove(number)
    assert "ValueError: a text of 13" in capsys.readouterr().err


def test_an_error_that_cannot_be_printed_is_told_all_the_same() -> None:
    class Odd(Exception):
        @property
        def __notes__(self) -> list[str]:
            raise KeyError

    told: list[Failure] = []
    tell(told.append, "s", "on_next", Odd())
    assert "Odd" in told[0].traceback


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_stops_the_program_stops_it_in_a_report_too(stop: type[BaseException]) -> None:
    def report(_: Failure) -> None:
        raise stop

    with pytest.raises(stop):
        tell(report, "s", "on_next", caught())


class Handler:
    def handle(self, _: object) -> None: ...
    def __call__(self, _: object) -> None: ...


def test_a_stage_is_called_by_its_handler() -> None:
    here = __name__
    assert stage_of(print) == "print"
    assert stage_of(refuse) == f"{here}.refuse"
    assert stage_of(Handler().handle) == f"{here}.Handler.handle"
    assert stage_of(Handler()) == f"{here}.Handler"
    assert stage_of(functools.partial(refuse)) == f"{here}.refuse"
    assert stage_of(lambda _: None).endswith("<lambda>")
    assert stage_of([].append) == "list.append"
