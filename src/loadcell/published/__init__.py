"""The registry of published MLPerf results: cleaned rows, each with its round, division, entry and a link."""
