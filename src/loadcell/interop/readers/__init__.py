"""What each tool wrote, read: one module a tool, each with `matches` and `read` (see `interop.read`)."""
