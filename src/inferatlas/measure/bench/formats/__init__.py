"""Results of other tools: read into a run record, and written as they would have written them."""
