"""What a deployment that is owned costs, emits and evaporates per million output tokens, and how sure that is.

In: a deployment under a load, the owner's figures. Out: totals with intervals, their parts, the idle share,
elasticities and a tornado. `owner` finds a value, a range and a source for every input, `tornado` varies them, `own`
answers. Equations (41), (51), (52), (54) in `predict.cost.owned`.
"""
