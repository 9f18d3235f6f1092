"""Claims: what papers, slides and data sheets state, recomputed; a verdict follows from the inputs and is never typed.

In: ledgers (YAML under ``papers/``, or a file of one's own), the catalogue, the model. Out: `auditing.Finding`, a claim
with its verdict, the computation and its inputs. No equation of the performance model is implemented here: bounds are
written in the ledgers as arithmetic, predictions are asked for (`asking`).

- reading: `printed` (numbers with their rounding), `nodes` and `reading` (YAML, strictly), `tables` (a cell is a
  claim), `ledger` (what it all becomes), `named` (what a file from outside may name)
- computing: `expression`, `functions`, `units` (arithmetic, intervals, dimensions), `looking_up` and `known` (inputs),
  `asking` (questions to the model), `checking` (one check), `auditing` (every claim)
- `own` keeps claims of one's own; `wording` and `completeness` hold a ledger against the text of its paper
"""
