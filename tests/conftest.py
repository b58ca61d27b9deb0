"""What every test relies on of the process that runs it."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import sys
import tempfile

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Background jobs of shells and many CI runners start with Ctrl-C ignored, and so would each process of a test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # so do those under nohup with the end of a terminal

# Each process of a test would compile what it imports anew where bytecode is not kept: seconds of each.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What commands keep in a user's state is not that of who runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="loadcell-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)

# Loads of a user on one machine see each other here: those of tests only those of their own process.
os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="loadcell-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_RUNTIME_DIR"], ignore_errors=True)
