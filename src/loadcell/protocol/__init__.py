"""What goes over the wire: request bodies out, replies and their events in. Bytes only, no sockets and no clocks."""

from loadcell.protocol.counts import Count, Evidence, count, evidence
from loadcell.protocol.openai import PATHS, Prompt, body, body_prefix
from loadcell.protocol.refusal import error_message
from loadcell.protocol.reply import Reply

__all__ = ["PATHS", "Count", "Evidence", "Prompt", "Reply", "body", "body_prefix", "count", "error_message", "evidence"]
