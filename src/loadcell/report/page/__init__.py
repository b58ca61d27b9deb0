"""Self-contained pages of a run, a sweep or a comparison."""
