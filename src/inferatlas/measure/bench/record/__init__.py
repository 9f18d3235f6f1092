"""The run record: a journal while it runs, tables and `run.json` when it is whole; reading it again."""
