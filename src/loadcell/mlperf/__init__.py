"""MLPerf-style runs: the rules of a round, LoadGen's traffic, its figures and verdict, accuracy gates, files.

Nothing here is an MLPerf result: every score is unverified and says so.
"""
