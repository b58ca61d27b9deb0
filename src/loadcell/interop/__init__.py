"""Other tools: their result files become recordings (`readers/`), a recording becomes their files (`writers/`), and is
shown by their definitions (`views/`)."""
