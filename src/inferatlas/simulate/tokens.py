"""When every token came: exactly, from the log of steps and the pieces in which each request decoded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferatlas.simulate.kernel import state as k
from inferatlas.simulate.running import Run

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
REPLICA = 1 << 44  # more than the steps of any replica: (replica, step) as one number


class TokenTimes:
    """Times of tokens, a stretch of requests at a time.

    Tokens that come in one step (drafts that were accepted) have one time. Of a request that has not ended those are
    there that came; a token counts when the last step of the log has made it.
    """

    def __init__(self, run: Run) -> None:
        if run.log is None or run.pieces is None:
            raise ValueError("a run without a log")
        rows = run.log[run.log["batch"] > 0]  # steps in which somebody decodes; no two have the same number
        key = rows["replica"] * REPLICA + rows["step"]
        order = np.argsort(key, kind="stable")
        self.key, self.rows = key[order], rows[order]
        self.first, self.requests = run.requests["first"], run.requests
        pieces = run.pieces[np.argsort(run.pieces["id"], kind="stable")]
        self.id, self.made, self.at = (np.ascontiguousarray(pieces[name]) for name in ("id", "made", "at_s"))
        self.place = pieces["replica"] * REPLICA + pieces["step"]
        self.last = self._last(run, pieces)
        self.start = np.searchsorted(self.id, np.arange(len(run.requests) + 1))

    def _last(self, run: Run, pieces: NDArray[Any]) -> Whole:
        """The number of each piece's last token: before the next piece begins, or the last there is."""
        q = run.requests[self.id]
        here = run.replicas["step"][pieces["replica"]] - pieces["step"]
        so_far = self.made + (q["growth"] * np.maximum(here, 0) + 1e-6).astype(np.int64)
        phase = q["phase"]
        last = np.where(phase == k.DONE, q["output"], np.where(phase == k.DECODE, so_far, q["made"])).astype(np.int64)
        last = np.minimum(last, q["output"])
        followed = self.id[1:] == self.id[:-1]
        before_next = self.made[1:] - np.isfinite(self.at[1:])
        last[:-1][followed] = before_next[followed]
        return last

    @property
    def counts(self) -> Whole:
        """Shape (n,): tokens of each request."""
        each = self.last - self.made + np.isfinite(self.at)
        return np.bincount(self.id, each, minlength=len(self.requests)).astype(np.int64)

    def of(self, low: int, high: int) -> tuple[Floats, Whole]:
        """Times of the tokens of requests ``low`` to ``high`` (exclusive), and where those of each begin and end."""
        span = slice(int(self.start[low]), int(self.start[high]))
        lead = np.isfinite(self.at[span]).astype(np.int64)  # the token that the prompt itself yields
        many = self.last[span] - self.made[span] + lead
        ends = np.cumsum(many)
        piece = np.repeat(np.arange(many.size), many)
        number = np.arange(piece.size) - np.repeat(ends - many - 1 + lead, many)  # 0: the prompt's own; then 1, 2 ...
        growth = self.requests["growth"][self.id[span]][piece]
        after = np.where(growth == 1.0, number, np.ceil(number / growth - 1e-9)).astype(np.int64)
        times = np.where(number > 0, self._ends_of(self.place[span][piece], after), self.at[span][piece])
        bounds = np.zeros(high - low + 1, np.int64)
        np.cumsum(np.bincount(self.id[span] - low, many, minlength=high - low), out=bounds[1:])
        begun = bounds[:-1][bounds[1:] > bounds[:-1]]
        first = self.first[low:high][bounds[1:] > bounds[:-1]]
        times[begun] = np.where(np.isfinite(first), first, times[begun])  # with a decode side that sends it, later
        return times, bounds

    def _ends_of(self, place: Whole, after: Whole) -> Floats:
        """When the ``after``-th step of a replica after another one ended."""
        want = place + after
        row = np.maximum(np.searchsorted(self.key, want) - 1, 0)
        r = self.rows
        done = (want - self.key[row]).astype(np.float64)
        steps = r["steps"].astype(np.float64)
        seconds = steps * r["first_s"] + r["more_s"] * (0.5 * steps * (steps - 1.0))
        rest = (r["end_s"] - r["start_s"] - r["pause_s"] - seconds) / np.maximum(steps, 1.0)  # random part, per step
        begin = r["start_s"] + r["pause_s"]
        return begin[row] + done * (r["first_s"] + rest)[row] + r["more_s"][row] * (0.5 * done * (done - 1.0))
