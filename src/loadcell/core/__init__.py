"""The innermost part of a load: one reply's bytes with the time of each read, and waiting for many of them.

Two forms of one contract: `tape` and `reader` in Python, which say what it is and run anywhere, and `core.c`, which
`native` calls. Framing only: neither knows an API.
"""

from loadcell.core.native import form, make_reader, make_records, make_tape
from loadcell.core.reader import Event, Note, Reader, What, is_odd
from loadcell.core.records import Records, Sealed
from loadcell.core.tape import BULK_BYTES, LOOK_NS, READ_BYTES, STALL_NS, STAMP_COLUMNS, Look, Scan, Tape, Turn

__all__ = [
    "BULK_BYTES",
    "LOOK_NS",
    "READ_BYTES",
    "STALL_NS",
    "STAMP_COLUMNS",
    "Event",
    "Look",
    "Note",
    "Reader",
    "Records",
    "Scan",
    "Sealed",
    "Tape",
    "Turn",
    "What",
    "form",
    "is_odd",
    "make_reader",
    "make_records",
    "make_tape",
]
