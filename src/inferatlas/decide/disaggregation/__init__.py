"""Work on machines of its own: prefill apart from decode, attention apart from feed-forward, memory in a pool.

In: a model, two accelerators, lengths, targets, a link; or nodes and their demand. Out: `Disaggregation`, `Pooled`.
``sides`` binds the accelerators, ``rates`` finds the largest rate at which a unit keeps targets, ``splits`` the best
division into two pools, ``doubt`` how far errors of the predictor move rates and gains, ``compare`` puts split and
mixed fleets side by side over lengths and targets, ``attention_ffn`` divides the layers themselves, ``pool`` shares
what each node would hold for its own peak. Equations (49), (50), (51).
"""
