"""What goes over the wire: request bodies out, replies and their events in. Bytes only, no sockets and no clocks."""

from loadcell.protocol.openai import PATHS, Prompt, body, body_prefix, error_message
from loadcell.protocol.reply import Reply

__all__ = ["PATHS", "Prompt", "Reply", "body", "body_prefix", "error_message"]
