"""What a self-test finds: a level per number of streams, the ceiling, and up to where runs from here are fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from inferatlas.measure.bench.client.health import Health
from inferatlas.measure.bench.metrics.tails import too_small
from inferatlas.measure.bench.metrics.validity import LIMITED, STAMP_OF_ITL, Verdict

Side = Literal["client", "mock", "shared", "neither"]


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors in s; None without any. ``n``: how many there are."""

    n: int
    mean_s: float | None = None
    p50_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None

    @property
    def few(self) -> bool:
        """Whether they are too few for the 99th percentile."""
        return "p99" in too_small(self.n)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"n_too_small": self.few}


@dataclass(frozen=True, slots=True)
class Lateness:
    """The mock's own account of a level: how late its events left (s), and the share of a core that it used."""

    p50_s: float | None
    p99_s: float | None
    max_s: float | None
    cpu_share: float


@dataclass(frozen=True, slots=True)
class Level:
    """So many streams at once, each on the schedule.

    Parameters
    ----------
    reached : most streams at once, as the mock counted. requests, tokens : completed. failed : requests, by reason.
    ttft_error : of each request, its time to first token less the schedule's. gap_error : of each gap between tokens,
        how far it is from the schedule's, either way. Both have the mock's own lateness in them.
    stamp_error : from the mock's sending of a first or last token to the client's time of it: what the client and this
        machine's network add.
    verdict : by the rules for any run, on what the client did.
    itl_s : of the schedule.
    """

    streams: int
    reached: int
    requests: int
    tokens: int
    failed: dict[str, int]
    ttft_error: Errors
    gap_error: Errors
    stamp_error: Errors
    mock: Lateness
    client: Health
    verdict: Verdict
    itl_s: float

    @property
    def cpu_s_per_million_tokens(self) -> float | None:
        """Of the client, from its first request on."""
        return 1e6 * self.client.cpu_s / self.tokens if self.tokens else None

    @property
    def mock_late(self) -> bool:
        """Whether the mock was so late (p99) that the errors tell of it rather than of the client."""
        return self.mock.p99_s is not None and self.mock.p99_s > STAMP_OF_ITL * self.itl_s

    def as_dict(self) -> dict[str, Any]:
        return {
            "streams": self.streams, "reached": self.reached, "requests": self.requests, "tokens": self.tokens,
            "failed": self.failed, "ttft_error": self.ttft_error.as_dict(), "gap_error": self.gap_error.as_dict(),
            "stamp_error": self.stamp_error.as_dict(), "mock": asdict(self.mock) | {"late": self.mock_late},
            "client": asdict(self.client), "cpu_s_per_million_tokens": self.cpu_s_per_million_tokens,
            "validity": self.verdict.as_dict(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that came through when nothing was waited for: all tokens of an answer due at once.

    ``requests``, ``tokens``: completed. ``client_share``, ``mock_share``: of a core. ``shared``: both on one core.
    """

    streams: int
    requests: int
    failed: dict[str, int]
    tokens: int
    seconds: float
    client_share: float
    mock_share: float
    shared: bool

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.seconds

    @property
    def requests_per_s(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_s_per_million_tokens(self) -> float | None:
        """Of the client."""
        return 1e6 * self.client_share * self.seconds / self.tokens if self.tokens else None

    @property
    def limit(self) -> Side:
        """Whose core was full; ``shared``: the one that both had; ``neither``: other work on this machine took time.

        Examples
        --------
        >>> Ceiling(64, 1000, {}, 128_000, 1.0, client_share=0.99, mock_share=0.5, shared=False).limit
        'client'
        """
        if self.shared:
            return "shared"
        if max(self.client_share, self.mock_share) <= LIMITED:
            return "neither"
        return "client" if self.client_share >= self.mock_share else "mock"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {
            "tokens_per_s": self.tokens_per_s, "requests_per_s": self.requests_per_s,
            "cpu_s_per_million_tokens": self.cpu_s_per_million_tokens, "limit": self.limit,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class SelfTest:
    """All of it. ``ttft_s``, ``itl_s``, ``answer_tokens``: the schedule of the levels, which ascend.

    ``environment``: of this machine, as records have it.
    """

    ttft_s: float
    itl_s: float
    answer_tokens: int
    levels: tuple[Level, ...]
    ceiling: Ceiling
    environment: dict[str, Any]

    @property
    def valid_up_to(self) -> int | None:
        """Most streams that are valid, and so is all below them; None: not even the fewest."""
        return _up_to(self.levels, ("valid",))

    @property
    def usable_up_to(self) -> int | None:
        """The same for valid or degraded."""
        return _up_to(self.levels, ("valid", "degraded"))

    def as_dict(self) -> dict[str, Any]:
        """As JSON knows it; times in s, ``validity`` as in a run record."""
        return {
            "schema_version": 1, "kind": "selftest", "label": "measured",
            "schedule": {"ttft_s": self.ttft_s, "itl_s": self.itl_s, "output_tokens": self.answer_tokens},
            "valid_up_to": self.valid_up_to, "usable_up_to": self.usable_up_to,
            "levels": [one.as_dict() for one in self.levels], "ceiling": self.ceiling.as_dict(),
            "environment": self.environment,
        }  # fmt: skip


def _up_to(levels: Sequence[Level], verdicts: Sequence[str]) -> int | None:
    found = None
    for one in levels:
        if one.verdict.verdict not in verdicts:
            break
        found = one.streams
    return found
