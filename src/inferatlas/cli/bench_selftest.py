"""``inferatlas bench selftest``: what this machine's client can do."""

from __future__ import annotations

from typing import Annotated

from inferatlas.cli import flags
from inferatlas.cli.bench_flags import LOAD, timed
from inferatlas.cli.emitting import Sink
from inferatlas.cli.flags import flag, whole_numbers


def selftest(
    *,
    streams: Annotated[
        tuple[int, ...],
        flag("Requests in flight, a level each.", LOAD, converter=whole_numbers, n_tokens=1),
    ] = (1, 16, 128, 512),
    duration: Annotated[float, timed("Of each level and of the burst, in whole answers of 1.75 s.", LOAD)] = 5.0,
    out: flags.Out = flags.Out(),  # noqa: B008 - frozen
) -> int:
    """How far the client's times are from a schedule that is known, what it costs, and its ceiling on this machine.

    Needs no server and no network: a mock is started on this machine, and ended again.
    """
    from inferatlas.measure.bench.selftest.testing import planned_s
    from inferatlas.measure.bench.selftest.testing import selftest as tested
    from inferatlas.show.bench_selftest import selftest_page, selftest_rows

    sink = Sink(out)
    told: list[str] = []
    seconds = round(planned_s(streams, duration))
    with sink.counting("testing the client (s)", seconds) as count:

        def look(what: str, passed_s: float) -> None:
            if count is not None:
                count(round(passed_s), seconds)
            elif told[-1:] != [what]:
                told.append(what)
                sink.tell(what)

        found = tested(streams, duration, look=look)
    sink.put(found, page=selftest_page, rows=selftest_rows)
    return 0
