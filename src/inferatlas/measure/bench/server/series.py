"""Which series of which engine say what: the names that engines publish at /metrics, and the columns they become.

Sources: vLLM https://docs.vllm.ai/en/stable/usage/metrics/ and vllm/v1/metrics/loggers.py (the names of version 0 in
https://docs.vllm.ai/en/v0.7.0/serving/metrics.html); SGLang https://docs.sglang.io/references/production_metrics.html
and python/sglang/srt/observability/metrics_collector.py; llama.cpp tools/server/README.md and the page that its server
of October 2026 gives; TGI https://huggingface.co/docs/text-generation-inference/reference/metrics; TensorRT-LLM
tensorrt_llm/metrics/collector.py (at /prometheus/metrics of `trtllm-serve`); Triton
https://github.com/triton-inference-server/tensorrtllm_backend, section "Triton Metrics" (on a port of its own).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PATHS = ("/metrics", "/prometheus/metrics")  # where engines publish them; the second is TensorRT-LLM's


@dataclass(frozen=True, slots=True)
class Sum:
    """Series that are added to one value; unknown where one of them is not published.

    ``labels`` : of the samples that count. ``mean`` : the mean of the samples of one name, not their sum.
    """

    names: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)
    mean: bool = False


def _one(*names: str) -> tuple[Sum, ...]:
    """One name after another: the first that is published counts."""
    return tuple(Sum((name,)) for name in names)


# Columns of server.parquet, the first that is published counts. All are of the whole endpoint. Tokens of a prompt are
# all of it, those from a cache among them.
COLUMNS: Mapping[str, tuple[Sum, ...]] = {
    "running": (
        *_one("vllm:num_requests_running", "sglang:num_running_reqs", "llamacpp:requests_processing"),
        *_one("tgi_batch_current_size", "trtllm_num_requests_running"),
        Sum(("nv_trt_llm_request_metrics",), {"request_type": "scheduled"}),
    ),
    "waiting": (
        *_one("vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred"),
        *_one("tgi_queue_size", "trtllm_num_requests_waiting"),
        Sum(("nv_trt_llm_request_metrics",), {"request_type": "waiting"}),
    ),
    "kv_used_fraction": (  # called percentages by some; all are fractions, 1 is full
        Sum(("vllm:kv_cache_usage_perc",), mean=True),
        Sum(("vllm:gpu_cache_usage_perc",), mean=True),  # earlier
        Sum(("sglang:token_usage",), mean=True),
        Sum(("llamacpp:kv_cache_usage_ratio",), mean=True),  # earlier
        Sum(("trtllm_kv_cache_utilization",), mean=True),
        Sum(("nv_trt_llm_kv_cache_block_metrics",), {"kv_cache_block_type": "fraction"}, mean=True),
    ),
    "prompt_tokens_total": (
        *_one("vllm:prompt_tokens_total", "sglang:prompt_tokens_total"),
        # its prompt_tokens_total leaves out what came from the cache; where that is not published, all is unknown
        Sum(("llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total")),
        *_one("tgi_request_input_length_sum", "trtllm_prompt_tokens_total", "nv_llm_input_token_len_sum"),
    ),
    "output_tokens_total": (
        *_one("vllm:generation_tokens_total", "sglang:generation_tokens_total", "llamacpp:tokens_predicted_total"),
        *_one("tgi_request_generated_tokens_sum", "trtllm_generation_tokens_total", "nv_llm_output_token_len_sum"),
    ),
    "preemptions_total": _one("vllm:num_preemptions_total", "sglang:num_retracted_requests_total"),
    "prefix_hit_tokens_total": (
        *_one("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total", "sglang:cached_tokens_total"),
        *_one("llamacpp:prompt_tokens_cached_total", "trtllm_prompt_cached_tokens_total"),
    ),
    "prefix_query_tokens_total": (
        *_one("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total", "sglang:prompt_tokens_total"),
        Sum(("llamacpp:prompt_tokens_total", "llamacpp:prompt_tokens_cached_total")),
        *_one("trtllm_prompt_tokens_total"),
    ),
}


@dataclass(frozen=True, slots=True)
class Timing:
    """A time that an engine measures itself: two counters, whose differences give a mean over any window, in s."""

    total: str
    count: str


def _histogram(*names: str) -> tuple[Timing, ...]:
    return tuple(Timing(f"{name}_sum", f"{name}_count") for name in names)


# The engine's own times, each from when it had the request. TGI's time per token includes the prompt's, and its prompt
# is timed per batch: neither is here.
TIMINGS: Mapping[str, tuple[Timing, ...]] = {
    "ttft_s": _histogram(
        "vllm:time_to_first_token_seconds", "sglang:time_to_first_token_seconds", "trtllm_time_to_first_token_seconds"
    ),
    "itl_s": (
        # vLLM called its gaps between tokens time_per_output_token earlier; SGLang and TensorRT-LLM, a mean per
        # request: https://docs.sglang.io/references/production_metrics.html
        *_histogram("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
        *_histogram("sglang:inter_token_latency_seconds", "sglang:time_per_output_token_seconds"),
        *_histogram("trtllm_time_per_output_token_seconds"),
        Timing("llamacpp:tokens_predicted_seconds_total", "llamacpp:tokens_predicted_total"),
    ),
    "latency_s": _histogram(
        "vllm:e2e_request_latency_seconds", "sglang:e2e_request_latency_seconds", "trtllm_e2e_request_latency_seconds",
        "tgi_request_duration",
    ),
    "queue_s": _histogram(
        "vllm:request_queue_time_seconds", "sglang:queue_time_seconds", "trtllm_request_queue_time_seconds",
        "tgi_request_queue_duration",
    ),
    "prefill_s": _histogram("vllm:request_prefill_time_seconds", "trtllm_request_prefill_time_seconds"),
    "decode_s": _histogram("vllm:request_decode_time_seconds", "trtllm_request_decode_time_seconds"),
}  # fmt: skip

# Kept as well, for whoever asks the table of all series.
OTHERS = (
    "process_start_time_seconds", "vllm:request_success_total", "vllm:spec_decode_num_draft_tokens_total",
    "vllm:spec_decode_num_accepted_tokens_total", "sglang:num_requests_total", "sglang:num_aborted_requests_total",
    "sglang:cache_hit_rate", "sglang:gen_throughput", "sglang:spec_accept_length", "llamacpp:prompt_tokens_total",
    "llamacpp:prompt_seconds_total", "llamacpp:n_decode_total", "llamacpp:n_busy_slots_per_decode", "tgi_request_count",
    "tgi_request_success", "trtllm_request_success_total", "trtllm_kv_cache_hit_rate",
)  # fmt: skip

# How an engine's series begin, and what it is called.
PREFIXES = {
    "vllm:": "vLLM", "sglang:": "SGLang", "llamacpp:": "llama.cpp", "tgi_": "TGI", "trtllm_": "TensorRT-LLM",
    "nv_trt_llm_": "Triton",
}  # fmt: skip


def wanted_names() -> tuple[str, ...]:
    """Every name that is kept.

    Examples
    --------
    >>> "vllm:time_to_first_token_seconds_sum" in wanted_names(), "vllm:time_to_first_token_seconds" in wanted_names()
    (True, False)
    """
    columns = [name for sums in COLUMNS.values() for one in sums for name in one.names]
    timings = [name for pairs in TIMINGS.values() for one in pairs for name in (one.total, one.count)]
    return tuple(dict.fromkeys((*columns, *timings, *OTHERS)))


def _pattern() -> re.Pattern[bytes]:
    """One search over a page, without looking at its other lines: names apart by their first characters."""
    groups: dict[str, list[str]] = {}
    for name in wanted_names():
        head = re.match(r"[a-z]+[:_]", name)
        groups.setdefault(head[0] if head else "", []).append(name)
    names = "|".join(
        re.escape(head) + "(?:" + "|".join(re.escape(one.removeprefix(head)) for one in ones) + ")"
        for head, ones in groups.items()
    )
    return re.compile(rb"\n((?:" + names.encode() + rb")[{ ][^\n\r]*)")


WANTED = _pattern()


def kept_lines(page: bytes) -> list[bytes]:
    """The lines of a page that are kept, unread: what is done while load runs has to be cheap.

    Examples
    --------
    >>> kept_lines(b'# TYPE vllm:num_requests_running gauge\\nvllm:num_requests_running{model_name="m"} 3\\nother 1\\n')
    [b'vllm:num_requests_running{model_name="m"} 3']
    """
    return WANTED.findall(b"\n" + page)
