"""The command line: `rxfeed bars`, `rxfeed synth`, `rxfeed sessions`."""

from rxfeed.cli.app import main

__all__ = ["main"]
