"""What contracts are called: the gateway's ids, the exchange's roots and month codes, and people's spellings of them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MONTHS: Final = "FGHJKMNQUVXZ"
"""Codes of January to December."""
ROOTS: Final = {"EP": "ES", "ENQ": "NQ", "GCE": "GC", "CLE": "CL"}
"""The gateway's symbols whose root is another at the exchange."""

_SYMBOLS: Final = {root: symbol for symbol, root in ROOTS.items()}
_ID: Final = re.compile(rf"CON\.F\.([A-Z]+)\.([A-Z0-9]+)\.([{MONTHS}])(\d\d)")
_FUTURE: Final = re.compile(rf"([A-Z0-9]*[A-Z][A-Z0-9]*?)([{MONTHS}])(\d{{1,2}})")
_ROOT: Final = re.compile(r"(?=.*[A-Z])[A-Z0-9]{1,8}")


class Wanted(NamedTuple):
    """What somebody may mean: a root alone, or one with a month and the year's last digits."""

    root: str
    """The exchange's: "NQ", also where "ENQ" was said."""
    month: str = ""
    year: str = ""

    @property
    def symbol(self) -> str:
        """How the gateway calls the root: "ENQ"."""
        return _SYMBOLS.get(self.root, self.root)


def symbol_of(id: str) -> str:
    """Return what ticks of a contract are called, by its id alone: "CON.F.US.ENQ.H25" is "NQH25".

    What is no future keeps its id.
    """
    found = _ID.fullmatch(id)
    if found is None:
        return id
    _, symbol, month, year = found.groups()
    return f"{ROOTS.get(symbol, symbol)}{month}{year}"


def root_of(id: str) -> str:
    """Return the root of a contract, by its id alone: "CON.F.US.ENQ.H25" is of "NQ"; empty for what is no future."""
    found = _ID.fullmatch(id)
    return ROOTS.get(found[2], found[2]) if found else ""


def expiry_of(id: str) -> tuple[int, int]:
    """Return year (of the century) and month of a contract, by its id alone; (100, 0), after all, for what is no future."""
    found = _ID.fullmatch(id)
    return (int(found[4]), MONTHS.index(found[3]) + 1) if found else (100, 0)


def is_id(text: str) -> bool:
    """Whether a text is the gateway's id of something."""
    return text.upper().startswith("CON.")


def meanings(text: str) -> list[Wanted]:
    """Return what a text that is no id may mean, likeliest first; nothing where it can mean nothing.

    "MNQ" and "/MNQ" are roots, "MNQZ6" and "MNQZ26" contracts; "M2K" and "6EZ5" have digits of their own.
    """
    plain = text.strip().upper().removeprefix("/").replace(" ", "")
    found: list[Wanted] = []
    if (future := _FUTURE.fullmatch(plain)) is not None:
        root, month, year = future.groups()
        found.append(Wanted(ROOTS.get(root, root), month, year))
    if _ROOT.fullmatch(plain) is not None:
        found.append(Wanted(ROOTS.get(plain, plain)))
    return found
