"""HTTP as values: a request that came, an answer to give. The server turns aiohttp's into these and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class Request:
    """A request: its path begins with a slash and has no query; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def bearer(self) -> str | None:
        """The token in the header."""
        kind, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" and token.strip() else None

    @property
    def token(self) -> str | None:
        """The token in the query or the header, as hubs take it."""
        return self.query.get("access_token") or self.bearer


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, given after `wait` seconds. Status 0 is none: the connection is cut after `hang` seconds."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    hang: float = 0.0
    wait: float = 0.0


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    """Return an answer with JSON."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, msgspec.json.encode(body), {"Content-Type": "application/json; charset=utf-8", **given})


def envelope(code: int = 0, message: str | None = None, **payload: Any) -> Answer:
    """Return an answer of REST: what it holds, and whether it is a success."""
    return answer({**payload, "success": code == 0, "errorCode": code, "errorMessage": message})


def refusal(status: int, **headers: str) -> Answer:
    """Return an answer with a status and nothing else."""
    return Answer(status, b"", {name.replace("_", "-"): value for name, value in headers.items()})
