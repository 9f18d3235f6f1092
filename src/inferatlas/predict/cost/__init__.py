"""Money, energy, carbon and water of tokens, from power, prices and throughput.

In: power (W), throughput (tokens/s), prices, grid intensity, as numbers or arrays. Out: arrays per token, per
query, per million tokens or per hour. Equations (41) in `energy.py`, (50) in `pooling.py`, (51) in `money.py` and
`ownership.py`, (52) in `carbon.py`, (53) in `die.py`. None and NaN are unknown and stay so;
nothing unknown becomes 0.
"""
