"""A recording as the files of other tools: a module a format, each with `write`; `interop.write` has the table."""
