"""A recording by the definitions of other tools: `definitions` is the table of them, `figures` computes by it, `differ`
says why the figures are not ours."""
