"""Published studies: every claim recomputed, every table and figure reproduced (floor 6).

In: the ledgers of three papers under ``papers/`` (tables, claims, what is left out), the catalogue, the model, the
laboratory. Out: findings (``claims``: a verdict on every claim, with its computation) and studies (``reproducing``:
theirs beside ours, guidelines tested, open questions answered). Charts and pages are the next floor's.
"""
