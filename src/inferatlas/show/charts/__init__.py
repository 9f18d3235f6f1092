"""One Altair chart per question; plain data in, charts out.

``ranked``: how far apart are the candidates. ``probability``: will they meet the target. ``latency``: TTFT and ITL
against the target. ``memory``: does it fit, and how much is left. ``tradeoff``: what one objective costs in
another. ``fitness``: who is good at what. ``lines``: how does a quantity grow, and where does the best one change.
``shares``: what does each row consist of. ``style`` fixes colours, shapes and numbers on axes for all; ``front``
computes staircases, ``traces`` the points that are drawn of a line, ``endings`` where names and flags stand.
"""
