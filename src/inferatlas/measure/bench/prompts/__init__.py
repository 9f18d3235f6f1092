"""What is asked: prompts of a wanted length, data sets of conversations, and the bodies made of them.

In: `Requests` of `workload` (how many, how long, what they share), a data set on this machine, the form of the API.
Out: `Asks`, which make each body when it is sent.

Text without meaning: `synthetic.py` (`Synthetic`), from `stock.py`, which makes texts of so many tokens of `words.py`.
Recorded text: `datasets.py` finds the reader (`lmsys.py`, `sharegpt.py`, `jsonl.py`, over `json_entries.py`),
`selecting.py` chooses as Brunetta et al. did, `conversing.py` (`Recorded`) asks. `imitation.py` stands in for
LMSYS-Chat-1M, and says so. `counting.py` and `server_counting.py` count tokens, `bodies.py` writes the JSON.
"""
