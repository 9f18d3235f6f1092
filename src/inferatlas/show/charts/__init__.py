"""One Altair chart per question; plain data in, charts out.

``ranked``: how far apart are the candidates. ``probability``: will they meet the target. ``latency``: TTFT and ITL
against the target. ``memory``: does it fit, and how much is left. ``tradeoff``: what one objective costs in
another. ``style`` fixes colours, shapes and numbers on axes for all; ``front`` computes the staircases.
"""
