"""The error of other tools: each runs against the embedded engine, and what it reports is held against the truth."""
