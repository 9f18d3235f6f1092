"""Closed forms of the performance model that no prediction uses: for tests, studies and people.

In: numbers or arrays in SI units. Out: arrays. A prediction has a vectorised or more exact form of its own, so that a
change here changes none; tests hold one against the other. Nothing else in `src` may import this room but the studies
(the contract "handbook" in `pyproject.toml`).

file: equations; what predictions use (files of `predict`)

- `roofline.py`: section 16; operators one by one, with efficiencies and overheads (`performance/step.py`)
- `derated.py`, `closed_form.py`: (11) and section 14 B, (10) and section 14 A; the same
- `operator_law.py`: (3), (7), (8); the law with q = 2, over whole models (`performance/step.py`)
- `tiles.py`: (9); nothing, as it is worth half a point of average error
- `kv_cache.py`: (4), (5), (31), (32); the same layer by layer (`llm/attention.py`), the sequences that fit
  (`mapping/memory.py`)
- `kv_compression.py`: (31), (32); `performance/memories.py`
- `state_space.py`: (4), (5) of layers with a state; `performance/mixers.py`, `llm/recurrence.py`
- `experts.py`: (16), (18); `llm/experts.py`, `llm/placement.py`, `performance/exchange.py`
- `collectives.py`: (19) to (24); one law for every topology (`performance/collectives.py`)
- `sharding.py`: (25), (26); `performance/exchange.py`, `performance/traffic.py`, `performance/mixers.py`
- `pipeline.py`: (27); `performance/serving.py`
- `tiers.py`: (28) to (30); `performance/waiting.py`, `performance/memories.py`
- `dataflow.py`: (37); one launch per layer (`performance/priors.json`)
- `on_chip.py`: (33), (34), (36); `performance/resident.py`, `mapping/memory.py`
- `power.py`: (38) to (40); (39) in its linear form (`performance/power.py`)
- `queueing.py`: (35), (42), (43); M/G/1 in an open loop, mean-value analysis in a closed one (`performance/serving.py`)
- `continuous_batching.py`: (44) to (46); `performance/serving.py`, `performance/variance.py`
- `stragglers.py`: (47); `performance/variance.py`, with `llm/placement.py`
- `speculation.py`: (48), and (44) with it; steps that draft and verify (`performance/speculation.py`)
- `uncertainty.py`: (54), (55); shares of a step (`performance/serving.py`), widths per level of evidence
  (`performance/widths.py`, from `evidence/intervals.py`)
- `identifiability.py`: (56); nothing, as it says which measurements to make
"""
