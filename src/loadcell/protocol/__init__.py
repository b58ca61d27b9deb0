"""What goes over the wire: request bodies out, replies and their events in. Bytes only, no sockets and no clocks."""

from loadcell.protocol.audio import reply_to
from loadcell.protocol.coding import CodingError
from loadcell.protocol.counts import Answer, Count, Evidence, Text, count, evidence
from loadcell.protocol.dialect import Dialect, Form, Prompt, dialect_of
from loadcell.protocol.head import Page
from loadcell.protocol.models import listed_models
from loadcell.protocol.refusal import error_message, is_html, knows_no_field, no_http, no_json, refused
from loadcell.protocol.reply import Reply
from loadcell.protocol.values import is_object

__all__ = [
    "Answer",
    "CodingError",
    "Count",
    "Dialect",
    "Evidence",
    "Form",
    "Page",
    "Prompt",
    "Reply",
    "Text",
    "count",
    "dialect_of",
    "error_message",
    "evidence",
    "is_html",
    "is_object",
    "knows_no_field",
    "listed_models",
    "no_http",
    "no_json",
    "refused",
    "reply_to",
]
