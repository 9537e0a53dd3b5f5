"""What went wrong with aiohttp, as an error of ours that shows no query and no header.

It is returned and not raised: whoever raises it does so where aiohttp's own is neither its cause nor its context.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from rxfeed.errors import (
    AddressRefused,
    FeedError,
    GatewayRefused,
    ProtocolError,
    TlsFailed,
    TokenRefused,
    TooManyRequests,
    Unreachable,
)

from .addresses import origin, shown


class TooLong(Exception):
    """Raised where a body is read that has no end."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most


def failure(error: Exception, at: URL, timeout: float) -> FeedError:
    """Return what an error of a request or a handshake means to the user."""
    here, host = shown(str(at)), origin(at)
    match error:
        case aiohttp.ClientResponseError() if error.__cause__ is None:
            return _refusal(error, here)
        case aiohttp.ClientConnectorCertificateError():
            return TlsFailed(f"the certificate of {host} is not trusted: {_certificate(error.certificate_error)}")
        case aiohttp.ClientSSLError():
            return TlsFailed(f"no encrypted connection to {host}: {_ssl(error.os_error)}")
        case aiohttp.ClientConnectorDNSError():
            return Unreachable(f"no connection to {host}: no address is known for this name ({_os(error.os_error)})")
        case TimeoutError():
            return Unreachable(f"{here} did not answer in {timeout:g} s")
        case aiohttp.InvalidURL():
            return AddressRefused(f"aiohttp takes no such address: {here}")
        case TooLong():
            return ProtocolError(f"{here} answered with more than {error.most >> 20} MiB")
        case aiohttp.ClientResponseError():  # caused by what could not be parsed
            return ProtocolError(f"what {here} answered is not HTTP")
        case aiohttp.ClientPayloadError():
            return Unreachable(f"the connection to {host} ended in the middle of an answer")
        case aiohttp.ServerDisconnectedError():
            return Unreachable(f"{host} closed the connection and answered nothing")
        case OSError():
            return Unreachable(f"no connection to {host}: {_os(error)}")
        case _:
            return Unreachable(f"{here} could not be asked: {type(error).__name__}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait. A date is compared with the server's own clock."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None


def _refusal(error: aiohttp.ClientResponseError, here: str) -> FeedError:
    status = error.status
    if status in (401, 403):
        return TokenRefused(f"{here} does not take this token (HTTP {status})")
    if status == 429:
        return TooManyRequests(f"{here} wants fewer connections (HTTP 429)", retry_after(error.headers or {}))
    if status < 400:
        return ProtocolError(f"{here} does not speak WebSocket (HTTP {status})")
    return GatewayRefused(f"{here} refused a WebSocket (HTTP {status})", status)


def _certificate(error: Exception) -> str:
    return str(getattr(error, "verify_message", "") or type(error).__name__)


def _ssl(error: OSError) -> str:
    return str(getattr(error, "reason", "") or type(error).__name__).replace("_", " ").lower()


def _os(error: OSError) -> str:
    return os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else type(error).__name__
