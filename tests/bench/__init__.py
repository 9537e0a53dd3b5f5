"""What rxfeed costs, side by side with what it would replace, in one run. `make bench`, or `python -m tests.bench`."""
