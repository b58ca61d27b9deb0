"""Files of MLPerf runs: LoadGen's logs, the Endpoints client's output, submissions and our own folders.

They are read with care (nothing in them can end in a traceback), checked by the rules that are written down, and our
own runs are exported in their layouts.
"""
