"""A SignalR client: one connection to a hub at a time, over aiohttp, with nothing about markets in it."""

from __future__ import annotations

from rxfeed.feeds.signalr.codec import Call
from rxfeed.feeds.signalr.connecting import connect
from rxfeed.feeds.signalr.connection import Connection, ConnectionStats
from rxfeed.feeds.signalr.timing import DEFAULT, Timing

__all__ = ["DEFAULT", "Call", "Connection", "ConnectionStats", "Timing", "connect"]
