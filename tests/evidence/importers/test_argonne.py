"""LLM-Inference-Bench: total throughput is (input + output) x batch / latency, power is milliwatts of GPU 0."""

from pathlib import Path

import pytest

from inferatlas.evidence.importers import import_evidence

HEADER = "Hardware,Num of Hardware,Framework,Model,Input Output Length,Batch Size,Latency,Throughput"
GOOD = "Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,1024,16,13.0,2520.6153846"


def write(folder: Path, *lines: str, name: str = "All_results.csv") -> Path:
    file = folder / name
    file.write_text("\n".join(lines) + "\n")
    return file


def test_a_row_becomes_a_static_batch_with_half_of_the_throughput_as_output(tmp_path: Path):
    done = import_evidence("argonne", write(tmp_path, HEADER, GOOD))
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert row["row_id"] == "argonne:All_results.csv:2"
    assert (row["model"], row["accelerator"], row["engine"]) == ("llama-2-7b", "nvidia-h100-sxm", "vllm")
    assert (row["load"], row["concurrency"], row["tp"]) == ("static_batch", 16, 1)
    assert (row["input_tokens"], row["output_tokens"], row["latency_s"]) == (1024, 1024, 13.0)
    assert row["output_tokens_per_s"] == pytest.approx(16 * 1024 / 13.0)
    assert row["total_tokens_per_s"] == pytest.approx(2520.6153846)
    assert (row["weights"], row["kv_cache"], row["weight"], row["quality"]) == ("fp16", "fp16", 1.0, "ok")
    assert row["ttft_s"] is None and row["power_w"] is None


def test_the_a100_of_this_source_has_40_gb(tmp_path: Path):
    done = import_evidence("argonne", write(tmp_path, HEADER, GOOD.replace("H100", "A100")))
    assert done.frame["accelerator"].to_list() == ["nvidia-a100-40gb-sxm"]


def test_power_is_read_as_milliwatts_and_only_for_one_device(tmp_path: Path):
    file = write(
        tmp_path,
        HEADER + ",avg_power",
        "Nvidia A100 GPU,1,TensorRT-LLM,meta-llama/Llama-2-7b-hf,1024,1,17.37,,191651.7",
        "Nvidia A100 GPU,4,TensorRT-LLM,meta-llama/Llama-2-7b-hf,1024,1,11.37,,191651.7",
    )
    frame = import_evidence("argonne", file).frame
    assert frame["power_w"].to_list() == [pytest.approx(191.6517), None]
    assert frame["output_tokens_per_s"].to_list() == [pytest.approx(1024 / 17.37), pytest.approx(1024 / 11.37)]
    assert "computed" in frame["throughput_origin"][0]


def test_precisions_are_read_with_and_without_quotes_around_their_comma(tmp_path: Path):
    file = write(
        tmp_path,
        "Hardware,Num of Hardware,Framework,Model,Input Output Length,Batch Size,kv_cache_dtype,latency,throughput",
        "Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,128,1,Weight = fp8, KV Cache = fp8,0.77,332.4",
        'Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,128,1,"Weight = full_prec, KV Cache = int8",1.01,253.4',
    )
    done = import_evidence("argonne", file)
    assert done.problems == ()
    assert done.frame.select("weights", "kv_cache").rows() == [("fp8", "fp8"), ("fp16", "int8")]


def test_a_one_token_run_gives_ttft_and_the_long_run_the_gap_between_tokens(tmp_path: Path):
    file = write(
        tmp_path,
        "Hardware,Num of Hardware,Framework,Model,Input Length,Output Length,Batch Size,TTFT Latency,end_latency ",
        "",
        "Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,1024,1,16,0.42,13.17",
    )
    row = import_evidence("argonne", file).frame.row(0, named=True)
    assert (row["ttft_s"], row["latency_s"], row["output_tokens"]) == (0.42, 13.17, 1024)
    assert row["itl_s"] == pytest.approx((13.17 - 0.42) / 1023)
    only_first = "Hardware,Num of Hardware,Framework,Model,Input Length,Output Length,Batch Size,Latency"
    file = write(tmp_path, only_first, "Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,1024,1,16,0.42", name="b.csv")
    row = import_evidence("argonne", file).frame.row(0, named=True)
    assert (row["ttft_s"], row["output_tokens"], row["latency_meaning"]) == (0.42, 1, "first token")
    assert row["output_tokens_per_s"] is None


def test_a_throughput_that_contradicts_its_latency_lowers_the_weight(tmp_path: Path):
    row = import_evidence("argonne", write(tmp_path, HEADER, GOOD.replace("2520.6", "1260.3"))).frame.row(0, named=True)
    assert row["weight"] == 0.3 and "0.50x" in row["notes"] and row["quality"] == "caution"


def test_speculative_rows_say_so_and_are_not_judged_by_one_reading_of_the_weights_per_token(tmp_path: Path):
    file = write(
        tmp_path,
        HEADER + ",speculative_decoding",
        "Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,128,1,0.3,,With Speculative Decoding",
        "Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,128,1,0.31,,Without Speculative Decoding",
    )
    done = import_evidence("argonne", file)
    assert [problem.row for problem in done.problems] == [3]
    assert "reading the active weights once per token" in done.problems[0].detail
    assert "Speculative" in done.frame["notes"][0]


def test_milliseconds_in_the_latency_column_are_no_seconds(tmp_path: Path):
    """A latency of 13 ms for 1,024 tokens: the file was converted twice."""
    done = import_evidence("argonne", write(tmp_path, HEADER, GOOD.replace("13.0", "0.013").replace("2520", "2520615")))
    assert done.frame.height == 0
    (problem,) = done.problems
    assert (problem.kind, problem.file, problem.row) == ("broken_physics", "All_results.csv", 2)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Nvidia H100 GPU,1,vLLM,meta-llama/Llama-2-7b-hf,1024,16,fast,", "latency: 'fast' is not a number"),
        ("Nvidia H100 GPU,1,vLLM,,1024,16,13.0,", "no 'model'"),
        ("Nvidia H100 GPU,1,vLLM,m,1024,16,,", "neither latency nor throughput"),
        ("Nvidia H100 GPU,1,vLLM,m,1024,16,-3,", "latency: -3 is negative"),
        ("Nvidia H100 GPU,1,vLLM", "3 fields where the header has 8"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_others_stay(tmp_path: Path, line: str, said: str):
    done = import_evidence("argonne", write(tmp_path, HEADER, line, GOOD))
    assert done.frame.height == 1
    (problem,) = done.problems
    assert (problem.kind, problem.row) == ("unreadable", 2)
    assert said in problem.detail
