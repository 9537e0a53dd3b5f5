"""Which peers are here. Each is a file in `peers`; a missing one is told of and passed over."""

from __future__ import annotations

import pkgutil
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from tempfile import TemporaryFile

from tests.bench import peers
from tests.bench.own.environment import python_of
from tests.bench.own.remote import Remote
from tests.bench.peers import Lane, Missing


@dataclass
class Found:
    """The lanes of one kind, and what there is to know of them."""

    lanes: list[Lane] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> list[Lane]:
        return [lane for lane in self.lanes if lane.ours]


@contextmanager
def found(kind: str, *, own: bool) -> Iterator[Found]:
    """Find the peers of one kind; `own`: also those that need an environment of their own, which is made."""
    all = Found()
    with ExitStack() as stack:
        for name in sorted(module.name for module in pkgutil.iter_modules(peers.__path__)):
            peer = import_module(f"tests.bench.peers.{name}")
            if kind != peer.KIND:
                continue
            try:
                if peer.OWN is not None and not own:
                    raise Missing("it has an environment of its own; `make bench` makes and uses it")
                if peer.OWN is None:
                    lanes, python = peer.lanes(), platform.python_version()
                    versions = {package: version(package) for package in peer.PACKAGES}
                else:
                    said = stack.enter_context(TemporaryFile())
                    remote = Remote(name, python_of(name, peer.OWN), said)
                    stack.callback(remote.close)
                    lanes, versions, python = remote.lanes, remote.versions, remote.python
            except Missing as missing:
                all.missing[peer.PACKAGES[0]] = str(missing)
                continue
            same = python == platform.python_version()
            all.versions |= {package: told if same else f"{told} on Python {python}" for package, told in versions.items()}
            all.lanes += lanes
        yield all
