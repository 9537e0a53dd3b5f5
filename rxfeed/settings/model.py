"""The settings themselves: each with its default, what it means, and the range that is allowed."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from rxfeed import sessions
from rxfeed.breaker import Breaker
from rxfeed.times import nanoseconds
from rxfeed.windows import Windows

from .refused import SettingRefused, told
from .sources import PREFIX, SEPARATOR, Environment, File, names, variable

_MOST: Literal[10_000_000] = 10_000_000


def _listed(value: Any) -> Any:
    """Take `MNQ,MES` for two."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _timed(value: Any) -> Any:
    """Keep a duration as it was given, and refuse what is none."""
    nanoseconds(value, name="a duration")
    return value


Texts = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(_listed)]
Length = Annotated[str | float, BeforeValidator(_timed)]


def _garbled(text: str, kind: type[BaseSettings]) -> str:
    """Return what is wrong with a variable that stands for a whole group."""
    found = re.search(r'field "(\w+)"', text)
    members = [] if found is None else sorted(name for name in names(kind) if name.startswith(f"{found[1]}."))
    if found is None or not members:
        return text
    return f"{variable(found[1])} must be a JSON object; or set its members, such as {variable(members[0])}"


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Features(_Group):
    """Which safety parts there are. What is false is not in the pipeline at all, and costs nothing."""

    validation: bool = True
    """Ticks are checked by rules before bars are made of them."""
    backpressure: bool = True
    """Nobody waits for anybody: a bounded boundary behind the source, and one in front of each consumer."""
    idle: bool = True
    """A source that is silent while its market is open is asked after, or tried again."""
    retry: bool = True
    """A source that is lost is tried again."""
    breaker: bool = True
    """But not while it keeps failing."""
    repair: bool = True
    """What gaps may have cost is asked of history. Bars that gaps touch are flagged in any case."""
    health: bool = True
    """How the feed is, in a word, and what helps it is asked for."""
    limits: bool = True
    """Capacities follow memory."""
    meters: bool = True
    """Rates, lag and latency are measured behind the source, and where bars come out."""


class Capacities(_Group):
    """How much may wait."""

    source: int = Field(default=65_536, ge=16, le=_MOST)
    """Ticks between the source and the first check."""
    consumer: int = Field(default=8_192, ge=1, le=_MOST)
    """Bars, or ticks, in front of each consumer."""
    least: int = Field(default=1_024, ge=1, le=_MOST)
    """Where memory is short each of them shrinks, but to no less than this; in front of a gateway's socket to 8,192."""


class Retrying(_Group):
    """When a source that was lost is tried again."""

    first: Length = "1s"
    """The first wait; each next one is twice that, with jitter."""
    longest: Length = "30s"
    """But never more than this."""
    attempts: int = Field(default=0, ge=0, le=1_000_000)
    """So many without an element, and it is given up; 0: never."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        first, longest = nanoseconds(self.first), nanoseconds(self.longest)
        if not 0 < first <= longest:
            raise ValueError(f"first must be more than 0 and at most longest, {self.longest!r}, got {self.first!r}")
        return self


class Breaking(_Group):
    """When trying is given a rest. The names are those of `rxfeed.Breaker`."""

    window: int = Field(default=20, ge=1, le=1_000_000)
    """So many of the last attempts are looked at."""
    failure_rate: float = Field(default=0.5, gt=0, le=1)
    """The share of failed ones from which it opens."""
    minimum_calls: int = Field(default=5, ge=1, le=1_000_000)
    """As many must there be before it may open."""
    open_wait: Length = "30s"
    """How long nobody may try then; a random half to all of it."""
    permitted_calls: int = Field(default=1, ge=1, le=1_000_000)
    """So many may then be tried, and by them it closes or opens again."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        Breaker("settings", **self.model_dump())
        return self


class Idle(_Group):
    """How long a market that is open may be silent."""

    between: Length = "2m"
    """Of all symbols together."""


class Memory(_Group):
    """What capacities follow."""

    target: float = Field(default=0.5, gt=0, le=1)
    """The part of the memory that the process may use at most (its control group's, else the machine's) to stay below."""


class Settings(BaseSettings):
    """What the default pipeline is set to.

    An argument counts before the environment, that before the file, and that before the default. In the environment the names
    are in capitals behind `RXFEED_`, groups joined by two underscores: `RXFEED_TIMEFRAMES=1s,1m`,
    `RXFEED_FEATURES__BREAKER=false`. The file is TOML, its groups are tables; it is `file=`, or `RXFEED_FILE` names it.

    Raises:
        SettingRefused: settings that are unknown or impossible; the text names each, and what is allowed.

    Example:
        >>> Settings(timeframes="1s,1m", capacities={"source": 100_000}).windows
        Windows('1s', '1m', session='CME', anchor='session')
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_prefix=PREFIX,
        env_nested_delimiter=SEPARATOR,
        env_parse_none_str="none",
        use_attribute_docstrings=True,
    )

    file: Path | None = None
    """A TOML file with settings."""
    symbols: Texts = ()
    """Roots (MNQ), contracts (MNQZ26) or ids; of a gateway one or more."""
    timeframes: Texts = ("1m",)
    """Of the bars."""
    session: str = "CME"
    """When the market trades."""
    anchor: Literal["session", "wall", "utc"] = "session"
    """What windows count from."""
    lateness: Length = "0s"
    """How long windows stay open after their end, in event time."""
    horizon: Length = "10m"
    """How far back a tick may be and still be merged into its window."""
    grace: Length | None = "1s"
    """How long after its end, by the clock, a quiet symbol's window closes; None: the clock closes none."""
    updates: Length | None = None
    """How often open bars are shown."""
    fill: bool = False
    """Whether empty windows get a bar from the close before."""
    backfill: Length | None = None
    """Bars since so long ago come from history first."""
    numbering: Literal["arrival", "source"] = "arrival"
    """Of an observable: whether its ticks are numbered as they arrive, where their own numbers do not rise."""
    health_port: int | None = Field(default=None, ge=0, le=65_535)
    """Where health is served on loopback; 0 on any free port, None nowhere."""
    features: Features = Features()
    capacities: Capacities = Capacities()
    retry: Retrying = Retrying()
    breaker: Breaking = Breaking()
    idle: Idle = Idle()
    memory: Memory = Memory()

    def __init__(self, **given: Any) -> None:
        refused: str | None = None
        try:
            super().__init__(**given)
        except ValidationError as error:
            refused = told(error, type(self))
        except SettingsError as error:
            refused = _garbled(str(error), type(self))
        if refused is not None:
            raise SettingRefused(refused)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Take arguments before the environment before the file."""
        environment = Environment(settings_cls)
        return init_settings, environment, File(settings_cls, init_settings, environment)

    @field_validator("session")
    @classmethod
    def _known(cls, session: str) -> str:
        sessions.get(session)
        return session

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        _ = self.windows
        if self.capacities.least > min(self.capacities.source, self.capacities.consumer):
            raise ValueError(
                f"capacities.least must be at most capacities.source and capacities.consumer, got {self.capacities.least}"
            )
        if self.health_port is not None and not self.features.health:
            raise ValueError("health_port needs features.health, which is false")
        if self.backfill is not None and not self.features.repair:
            raise ValueError("backfill needs features.repair, which is false")
        return self

    @cached_property
    def windows(self) -> Windows:
        """The windows that timeframes, session and anchor make."""
        return Windows(*self.timeframes, session=self.session, anchor=self.anchor)
