"""Where a server saturates: sweeps over a grid, and the highest load that holds an SLO."""
