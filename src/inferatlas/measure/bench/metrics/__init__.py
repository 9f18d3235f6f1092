"""Numbers of a record: the metrics of reference/load-generation.md, section 2, their intervals, and the verdict."""
