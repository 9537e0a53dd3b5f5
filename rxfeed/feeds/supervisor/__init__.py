"""Who reconnects: one supervisor for each connection of a feed, and nobody else."""

from __future__ import annotations

from .requests import Request
from .supervised import Ends, Linked, Supervised
from .supervisor import Supervisor

__all__ = ["Ends", "Linked", "Request", "Supervised", "Supervisor"]
