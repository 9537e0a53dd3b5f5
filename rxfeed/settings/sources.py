"""Where settings come from: the environment, in which a name that is close to one of ours is not passed over; and a file."""

from __future__ import annotations

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from .refused import SettingRefused

PREFIX: Final = "RXFEED_"
SEPARATOR: Final = "__"
_OTHERS: Final = frozenset({"USER", "KEY", "CREDENTIALS", "GATEWAY", "SIMULATOR_KEY"})
"""Variables of ours that are no settings: who we are is never one."""


class Environment(EnvSettingsSource):
    """The environment."""

    def __call__(self) -> dict[str, Any]:
        """Return what is set there.

        Raises:
            SettingRefused: a name behind our prefix that is none of ours. Its value is not told: it may be anything.
        """
        known = names(self.settings_cls)
        for name in os.environ:
            upper = name.upper()
            if not upper.startswith(PREFIX) or upper.removeprefix(PREFIX) in _OTHERS:
                continue
            if upper.removeprefix(PREFIX).lower().replace(SEPARATOR, ".") not in known:
                raise SettingRefused(f"{name} is set, and there is no such setting{_like(upper, known)}")
        return super().__call__()


class File(PydanticBaseSettingsSource):
    """A TOML file, if arguments or the environment name one."""

    def __init__(self, kind: type[BaseSettings], *before: PydanticBaseSettingsSource) -> None:
        super().__init__(kind)
        self._before = before

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: fields are not asked for one by one."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what the file says.

        Raises:
            SettingRefused: it cannot be read, or is no TOML.
        """
        named = next((path for source in self._before if (path := source().get("file")) is not None), None)
        if named is None:
            return {}
        wrong: str | None = None
        try:
            found = tomllib.loads(Path(named).read_text("utf-8"))
        except OSError as error:
            wrong = error.strerror or type(error).__name__
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            wrong = f"it is no TOML: {error}"
        else:
            if "file" in found:
                raise SettingRefused(f"{named}: a file of settings cannot name another one")
            return found
        raise SettingRefused(f"settings cannot be read from {named}: {wrong}")


def names(kind: type[BaseModel], before: str = "") -> set[str]:
    """Return the names of settings, groups and their members joined by a dot."""
    found: set[str] = set()
    for name, field in kind.model_fields.items():
        found.add(before + name)
        group = field.annotation
        if isinstance(group, type) and not get_args(group) and issubclass(group, BaseModel):
            found |= names(group, f"{before}{name}.")
    return found


def variable(name: str) -> str:
    """Return how a setting is called in the environment."""
    return PREFIX + name.upper().replace(".", SEPARATOR)


def _like(given: str, known: set[str]) -> str:
    """Return what may have been meant, who we are included; without the prefix, which makes all names look alike."""
    ours = {variable(name).removeprefix(PREFIX) for name in known} | _OTHERS
    close = get_close_matches(given.removeprefix(PREFIX), sorted(ours), 1, 0.7)
    if close:
        return f"; did you mean {PREFIX}{close[0]}?"
    return f", only {', '.join(sorted(variable(name) for name in known if '.' not in name))}"
