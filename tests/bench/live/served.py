"""`python -m tests.bench.live.served RATE`: a simulator of one contract; it says its address, and ends with its input."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager

from rxfeed.feeds.simulator import Simulator, serve


@contextmanager
def served(rate: str) -> Generator[str, None, None]:
    """Run a simulator at a rate, "max" for as fast as it can; yield its address."""
    command = [sys.executable, "-m", "tests.bench.live.served", rate]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


async def _main(rate: str) -> None:
    simulator = Simulator(("MNQ",), rate="max" if rate == "max" else float(rate), limits=False)
    async with serve(simulator, port=0) as address:
        print(address, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
