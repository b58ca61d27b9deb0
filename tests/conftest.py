"""What every test relies on of the process that runs it."""

from __future__ import annotations

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # Background jobs of shells and many CI runners start with Ctrl-C ignored, and so would each process of a test.
    signal.signal(signal.SIGINT, signal.default_int_handler)
