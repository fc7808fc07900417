"""The tables of `python -m benchmarks`: each module has a TITLE, a NOTE, COLUMNS and `measure(options)`."""
