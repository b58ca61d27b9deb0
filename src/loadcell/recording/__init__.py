"""What happened in a run, on disk: a folder of Parquet and JSON that every later step reads, and nothing else."""
