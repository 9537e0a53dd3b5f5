"""What a simulation has not: the loop's methods for sockets, names, processes, pipes and signals, each of which says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rxfeed.testing.errors import NotSimulated


def _refused(*, what: str, instead: str) -> Callable[..., Any]:
    def refuse(*_: object, **__: object) -> object:
        raise NotSimulated(f"a simulation has no {what}: {instead}")

    return refuse


_memory = "serve and connect by its network, `simulation.network`"
_socket = _refused(what="sockets", instead=_memory)
_server = _refused(what="servers on sockets", instead=_memory)
_process = _refused(what="processes", instead="run them outside")
_pipe = _refused(what="pipes", instead=_memory)
_signal = _refused(what="signals", instead="cancel the task that a signal would cancel")
_name = _refused(what="DNS", instead=f"its hosts are those that are served; {_memory}")


class Refusals:
    """What `VirtualLoop` refuses."""

    getaddrinfo = getnameinfo = staticmethod(_name)
    create_connection = create_unix_connection = create_datagram_endpoint = staticmethod(_socket)
    connect_accepted_socket = start_tls = sendfile = staticmethod(_socket)
    create_server = create_unix_server = staticmethod(_server)
    sock_accept = sock_connect = sock_recv = sock_recv_into = sock_recvfrom = sock_recvfrom_into = staticmethod(_socket)
    sock_sendall = sock_sendto = sock_sendfile = staticmethod(_socket)
    add_reader = remove_reader = add_writer = remove_writer = staticmethod(_socket)
    connect_read_pipe = connect_write_pipe = staticmethod(_pipe)
    subprocess_exec = subprocess_shell = staticmethod(_process)
    add_signal_handler = remove_signal_handler = staticmethod(_signal)
