"""`python -m rxfeed.cli`."""

import sys

from rxfeed.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
