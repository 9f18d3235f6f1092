"""A device as rates, memory tiers, links, power and execution style; a cluster as a topology.

In: `catalogue.accelerator.Accelerator` (facts). Out: `Device` (`device.py`): plain SI numbers with None
for what nobody has published, and `Scope`d power (`power.py`). Group costs on a topology are in
`performance/collectives.py`, because they are times.
"""
