"""A model as a table of operators: FLOPs and bytes as functions of tokens, sequences and context.

In: `catalogue.model.ModelConfig`. Out: `Operators` (`operators.py`), exact parameter counts
(`parameters.py`), number formats with their scale overheads (`precision.py`) and the arithmetic of
attention, of states of fixed size and of expert routing (`attention.py`, `recurrence.py`, `experts.py`); images as
tokens (`vision.py`); where experts sit and how popular they are (`placement.py`, `popularity.py`); what no measurement
speaks for (`measured.py`). Equations (1) to (6), (13), (14), (16) and (17) of the performance model.
"""
