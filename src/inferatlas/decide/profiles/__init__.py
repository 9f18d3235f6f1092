"""From a trace to a decision: regimes, primary constraint, architecture class, layout, software, failure signatures.

In: a trace, a model, targets. Out: `Profile`. ``mix`` says which regimes a trace is made of, ``suits`` which classes
suit that, ``smallest`` which deployment serves it, ``signatures`` what would go wrong, ``experiments`` what to try.
"""
