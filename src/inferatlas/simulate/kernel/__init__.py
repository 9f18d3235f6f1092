"""The event loop, compiled by numba: plain functions on arrays of records.

In: a `state.World` of arrays. Out: the same arrays, changed. Files from the bottom: `state` (records), `compiling`,
`heaps`, `lists`, `runs` (step times and closed forms), `cache` (prefixes), `changes` (one request), `plan` (the
scheduler), `accounts`, `routing`, `moving` (transfers), `boundary` (ends of steps), `loop`.
"""
