"""A SignalR client: one connection to a hub at a time, over aiohttp, with nothing about markets in it."""

from __future__ import annotations

from rxfeed.feeds.signalr.codec import Call
from rxfeed.feeds.signalr.connection import DEFAULT, Connection, ConnectionStats, Timing, connect

__all__ = ["DEFAULT", "Call", "Connection", "ConnectionStats", "Timing", "connect"]
