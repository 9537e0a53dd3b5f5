"""The errors that rxfeed raises on purpose. Each text says what was wrong, what was given and what is allowed."""

from __future__ import annotations


class RxfeedError(Exception):
    """Root of every error that rxfeed raises on purpose, so that one `except` can tell ours from a bug."""


class InputError(RxfeedError, ValueError):
    """Data that cannot be read as what it is said to be: a missing file or column, a wrong type, a null time."""


class PartialRefused(RxfeedError, ValueError):
    """A partial bar that cannot be merged: it does not fit the finest window, or would be counted twice."""


class Overflow(RxfeedError):
    """More elements came than a buffer may hold, and its consumer wants an error rather than a loss."""
