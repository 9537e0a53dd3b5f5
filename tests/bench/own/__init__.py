"""Peers whose pins do not go with ours run in an environment of their own, in a process that takes its turn with the rest."""
