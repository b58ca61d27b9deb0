"""A folder of recordings as pages of this machine: list them, open one, compare two."""
