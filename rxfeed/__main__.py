"""`python -m rxfeed`: the command line, where the `rxfeed` script is not on the path."""

import sys

from rxfeed.cli import main

if __name__ == "__main__":
    sys.exit(main())
