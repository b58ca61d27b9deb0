"""Blocks on a terminal, in Markdown and on a page."""
