"""The curve over concurrency that MLPerf Endpoints defines: regions, planned points, steady state, rules, steps."""
