"""What the default pipeline is set to: by the environment, a TOML file and arguments, checked before anything runs."""

from .model import Breaking, Capacities, Features, Idle, Memory, Retrying, Settings
from .refused import SettingRefused

__all__ = ["Breaking", "Capacities", "Features", "Idle", "Memory", "Retrying", "SettingRefused", "Settings"]
