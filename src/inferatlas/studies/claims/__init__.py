"""Claims: what papers state, recomputed."""
