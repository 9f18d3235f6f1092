"""Load on a real endpoint, measured: requests are sent as a plan says, and every token's arrival is written down.

In: the address of an OpenAI-compatible server, a load, prompts. Out: run records (`run.json` beside tables), with the
metrics of reference/load-generation.md, section 2, their intervals, and a verdict on the run itself.

A question on its way: `plan.py` says what is asked, `prompts/` makes the bodies (`asks.py`), `client/` sends them and
stamps what comes back, `record/` keeps it so that a kill loses nothing, `server/` reads the engine's own figures,
`metrics/` makes numbers of the record, `formats/` speaks the tongues of other tools.
"""
