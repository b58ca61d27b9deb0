"""What goes over the wire: request bodies out, replies and their events in. Bytes only, no sockets and no clocks."""

from loadcell.protocol.coding import CodingError
from loadcell.protocol.counts import Count, Evidence, Text, count, evidence
from loadcell.protocol.head import Page
from loadcell.protocol.models import listed_models
from loadcell.protocol.openai import PATHS, body, body_prefix, is_object
from loadcell.protocol.refusal import error_message, is_html, no_http, no_json, refused
from loadcell.protocol.reply import Reply

__all__ = [
    "PATHS",
    "CodingError",
    "Count",
    "Evidence",
    "Page",
    "Reply",
    "Text",
    "body",
    "body_prefix",
    "count",
    "error_message",
    "evidence",
    "is_html",
    "is_object",
    "listed_models",
    "no_http",
    "no_json",
    "refused",
]
