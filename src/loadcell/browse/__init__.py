"""A folder of recordings as pages of this machine: list them, open one, compare two."""

from loadcell.browse.server import PORT, Server, open_server, serve

__all__ = ["PORT", "Server", "open_server", "serve"]
