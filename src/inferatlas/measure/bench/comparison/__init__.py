"""Two runs, or two benches, side by side: what differs in their figures, how sure that is, and what else differs.

In: two folders of run records, measured or simulated. Out: a `Comparison`. `pairing.py` finds which runs belong
together and which requests had the same prompt, `samples.py` reads what is compared, `manifests.py` says where two runs
are not of one kind, `resampling.py` and `chances.py` are the statistics, `measuring.py` compares the runs of one load,
`comparing.py` puts all together. Rules: section 7 of reference/load-generation.md.
"""
