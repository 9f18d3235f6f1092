"""What a smaller KV cache is worth: fewer tokens read (31), fewer bits (32), fewer tokens kept.

Three ways, and what each saves: *selection* keeps the cache and reads a part of it; *quantisation* keeps every token in
fewer bits and pays for widening them again; *eviction* keeps fewer tokens. In predictions a compression is what its
number format saves, without a charge for widening (`llm/precision.py`). Sizes in bytes, times in seconds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferatlas.predict.arrays import Floats
from inferatlas.predict.performance.arguments import floats


def selected_bytes(
    context: ArrayLike, selected: ArrayLike, kv_bytes: ArrayLike, index_bytes: ArrayLike = 0.0
) -> Floats:
    """Bytes that a decode step reads per sequence with sparse attention, (31): ``k_sel kv`` once S exceeds k_sel.

    ``index_bytes`` per token of what chooses them, which is read for all S. Source: arXiv:2606.19746.

    >>> selected_bytes([1024, 65536], 2048, 1152).tolist()
    [1179648.0, 2359296.0]
    """
    tokens = floats(context, "context", 0)
    read = np.minimum(tokens, floats(selected, "selected", 0)) * floats(kv_bytes, "kv_bytes", 0)
    return read + tokens * floats(index_bytes, "index_bytes", 0)


def kept_tokens(context: ArrayLike, limit: ArrayLike, share: ArrayLike = 1.0) -> Floats:
    """Tokens that an eviction policy keeps: a share of the context, never more than ``limit``.

    They bound what is stored and what is read, so capacity and time both gain by ``S/kept``.

    >>> kept_tokens([1000, 10000], 4096).tolist(), kept_tokens([1000, 10000], 4096, share=0.25).tolist()
    ([1000.0, 4096.0], [250.0, 2500.0])
    """
    return np.minimum(floats(context, "context", 0) * floats(share, "share", 0, 1), floats(limit, "limit", 0))


def effective_bits(
    bits: ArrayLike, sparse_share: ArrayLike = 0.0, rank: ArrayLike = 0.0, rows: ArrayLike = 1.0,
    columns: ArrayLike = 1.0,
) -> Floats:  # fmt: skip
    """Bits per value of a cache quantised as by GEAR (32): ``b_q + 16 sparse + 16 r (n + m)/(n m)``.

    Parameters
    ----------
    bits : of a quantised value with its scales; ``sparse_share`` of outliers kept in 16 bit; ``rank`` r of the factors,
        in 16 bit, that correct each block of ``rows`` n by ``columns`` m.

    >>> round(float(effective_bits(2.25, 0.02, rank=4, rows=1024, columns=128)), 4)
    3.1325
    """
    n, m = floats(rows, "rows", above=0), floats(columns, "columns", above=0)
    factors = 16.0 * floats(rank, "rank", 0) * (n + m) / (n * m)
    return floats(bits, "bits", above=0) + 16.0 * floats(sparse_share, "sparse_share", 0, 1) + factors


def read_time(
    values: ArrayLike, value_bytes: ArrayLike, bytes_per_s: ArrayLike, ratio: ArrayLike = 1.0,
    flop_per_value: ArrayLike = 0.0, vector_flop_per_s: ArrayLike = np.inf,
) -> Floats:  # fmt: skip
    """Seconds to read a cache compressed ``ratio`` times and to widen it, (32): ``bytes/(r M_bw) + F_dq/P_vec``.

    Parameters
    ----------
    values : S times the values per token; ``flop_per_value`` c_dq of each, so that ``F_dq = c_dq S KV``.
    vector_flop_per_s : P_vec, of the units that widen them.

    >>> one, quarter = read_time(1e9, 2.0, 3.35e12), read_time(1e9, 2.0, 3.35e12, 4.0, 2.0, 60e12)
    >>> round(float(one) * 1e6), round(float(quarter) * 1e6)
    (597, 183)
    """
    count = floats(values, "values", 0)
    moved = count * floats(value_bytes, "value_bytes", 0) / floats(ratio, "ratio", 1)
    widened = count * floats(flop_per_value, "flop_per_value", 0)
    return moved / floats(bytes_per_s, "bytes_per_s", above=0) + widened / floats(
        vector_flop_per_s, "vector_flop_per_s", above=0
    )


def affordable_flop(
    value_bytes: ArrayLike, ratio: ArrayLike, bytes_per_s: ArrayLike, vector_flop_per_s: ArrayLike
) -> Floats:
    """FLOP per value up to which widening takes less time than it saves, (32): ``b (1 - 1/r) P_vec/M_bw``.

    >>> round(float(affordable_flop(2.0, 4.0, 3.35e12, 60e12)), 1)
    26.9
    """
    saved = floats(value_bytes, "value_bytes", 0) * (1.0 - 1.0 / floats(ratio, "ratio", 1))
    return saved * floats(vector_flop_per_s, "vector_flop_per_s", above=0) / floats(bytes_per_s, "bytes_per_s", above=0)


def compression_pays(
    value_bytes: ArrayLike, ratio: ArrayLike, flop_per_value: ArrayLike, bytes_per_s: ArrayLike,
    vector_flop_per_s: ArrayLike,
) -> NDArray[np.bool_]:  # fmt: skip
    """Whether a step gets shorter, equation (32): ``bytes saved/M_bw > F_dq/P_vec``. The context gets longer anyway.

    >>> compression_pays(2.0, 4.0, [8.0, 40.0], 3.35e12, 60e12).tolist()
    [True, False]
    """
    most = affordable_flop(value_bytes, ratio, bytes_per_s, vector_flop_per_s)
    return most > floats(flop_per_value, "flop_per_value", 0)
