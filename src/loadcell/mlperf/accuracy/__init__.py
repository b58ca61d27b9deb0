"""The accuracy pass of a benchmark: its replies, its own metrics, its gate."""
