"""What no client can do without: read the WebSocket by aiohttp, and decode each message by msgspec."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import msgspec

END = b"\x1e"


class _Trade(msgspec.Struct, gc=False):
    price: float
    timestamp: str
    volume: int
    type: int


class _Event(msgspec.Struct, gc=False):
    arguments: tuple[str, list[_Trade]]


_decode = msgspec.json.Decoder(_Event).decode


async def floor(url: str, trades: int) -> float:
    """Return the ns of processor time a trade, from the first to the last of so many."""
    async with aiohttp.ClientSession() as session:
        token = (await _post(session, f"{url}/api/Auth/loginKey", None, userName="simulator", apiKey="simulator"))["token"]
        found = await _post(session, f"{url}/api/Contract/search", token, searchText="MNQ", live=False)
        at = f"{url}/hubs/market?access_token={token}"
        async with session.ws_connect(at, compress=0, max_msg_size=1 << 24, decode_text=False) as ws:
            await ws.send_str('{"protocol":"json","version":1}\x1e')
            call = {"type": 1, "target": "SubscribeContractTrades", "arguments": [found["contracts"][0]["id"]]}
            await ws.send_bytes(msgspec.json.encode(call) + END)
            while b'"GatewayTrade"' not in (await ws.receive()).data:
                pass
            seen = 0
            begin = time.thread_time_ns()
            while seen < trades:
                data: bytes = (await ws.receive()).data
                for record in data.split(END):
                    if record.startswith(b'{"type":1'):
                        seen += len(_decode(record).arguments[1])
            return (time.thread_time_ns() - begin) / seen


async def _post(session: aiohttp.ClientSession, url: str, token: str | None, **body: Any) -> dict[str, Any]:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with session.post(url, json=body, headers=headers) as response:
        return await response.json()
