"""The genuine LoadGen (PyPI: mlcommons-loadgen, extra `loadgen`) as the load generator, our client as its system.

LoadGen keeps state for the whole process, cannot be stopped, and takes the process with it if it crashes: it runs in a
child (`process.py`), one a run. In there, LoadGen's own threads issue queries; one thread of ours sends and reads
(`client.py`). The parent (`run.py`) prepares, watches, and reads what both have left.
"""
