"""``tiers`` and the techniques of ``predict``: the JSON contract, every format, and what is refused."""

import csv
import io
import json

import pytest

WORDS = ("tiers", "-m", "llama-3.3-70b", "-a", "h100", "--count", "2", "--tier", "cxl:1TiB@64GB/s")
ONE = (
    "predict",
    "-m",
    "llama-3.1-8b",
    "-a",
    "h100",
    "--count",
    "1",
    "--isl",
    "1024",
    "--osl",
    "128",
    "--concurrency",
    "4",
)
BIG = (
    "predict",
    "-m",
    "llama-3.3-70b",
    "-a",
    "h100",
    "--count",
    "1",
    "--isl",
    "1024",
    "--osl",
    "128",
    "--concurrency",
    "4",
)


@pytest.mark.parametrize(
    "words",
    [WORDS, ("tiers", "-m", "kimi-k2", "-a", "nvidia-b200-sxm", "--count", "8"), ("tiers", "-m", "bge-m3", "-a", "l4")],
)
def test_json_holds_what_the_contract_says(cli, words):
    ran = cli(*words, "--format", "json")
    found = ran.json()
    assert (ran.code, ran.err) == (0, "")
    for point in found["points"]:
        assert {"capacity_bytes", "model_scale", "max_context_tokens", "slowdown", "placement"} <= point.keys()
        slow = point["slowdown"]
        assert 1 <= slow["low"] <= slow["value"] <= slow["high"]
        held = point["placement"]
        assert point["capacity_bytes"] == pytest.approx(held["main_bytes"] + sum(held["tiers_bytes"].values()))
        assert 0 <= held["weights_share"] <= 1 and 0 <= held["experts_share"] <= 1
    assert found["knee"] is None or found["knee"].keys() >= {"capacity_bytes", "model_scale", "slowdown"}
    assert [row["concurrency"] for row in found["conditions"]] == sorted(
        row["concurrency"] for row in found["conditions"]
    )
    assert found["assumptions"]


def test_the_page_says_the_knee_and_shows_every_size(cli):
    ran, found = cli(*WORDS), cli(*WORDS, "--format", "json").json()
    assert ran.code == 0 and ran.out.startswith("llama-3.3-70b on 2 x nvidia-h100-sxm (tp2): up to the model itself")
    assert "[extrapolated]" in ran.out and "Reproduce" in ran.out
    rows = [line.split()[0] for line in ran.out.splitlines() if line[:6].strip().replace(".", "").isdigit()]
    assert [f"{point['model_scale']:g}" for point in found["points"]] == rows[: len(found["points"])]


@pytest.mark.parametrize("style", ["csv", "jsonl", "md", "html"])
def test_every_format_holds_every_size(cli, style):
    found, ran = cli(*WORDS, "--format", "json").json(), cli(*WORDS, "--format", style)
    scales = [point["model_scale"] for point in found["points"]]
    assert ran.code == 0
    if style == "csv":
        assert [float(row["model_scale"]) for row in csv.DictReader(io.StringIO(ran.out))] == scales
    elif style == "jsonl":
        assert [json.loads(line)["model_scale"] for line in ran.out.splitlines()] == scales
    else:
        assert "restore" in ran.out.lower() and "slowdown" in ran.out.lower()
    if style == "html":
        assert "<svg" in ran.out and "http-equiv" not in ran.out and "<script" not in ran.out


def test_a_table_of_data_goes_to_a_file(cli, tmp_path):
    import polars as pl

    file = tmp_path / "tiers.parquet"
    ran = cli(*WORDS, "--output", str(file))
    assert (ran.code, ran.out) == (0, "") and str(file) in ran.err
    table = pl.read_parquet(file)
    assert (table["slowdown_low"] <= table["slowdown"]).all() and "cxl_bytes" in table.columns


def test_the_techniques_of_a_prediction_are_in_its_answer(cli):
    ran = cli(*BIG, "--tier", "cxl:1TiB@64GB/s", "--tier", "nvme:8TB@12GB/s", "--kv-compression", "4",
              "--speculate", "gamma=4,acceptance=0.7", "--format", "json")  # fmt: skip
    found = ran.json()
    assert ran.code == 0 and found["fits"] and found["label"] == "extrapolated"
    drafted, memories = found["techniques"]["speculation"], found["techniques"]["memories"]
    assert drafted["tokens_per_verification"] == pytest.approx(2.7731, abs=1e-4)
    assert [one["name"] for one in memories] == ["cxl", "nvme"] and memories[0]["weights_bytes"] > 10e9
    assert any("packed 4 times smaller" in note for note in found["fallbacks"])
    page = cli(*BIG, "--tier", "cxl:1TiB@64GB/s", "--speculate", "gamma=4,acceptance=0.7").out
    assert "In slower memory, of each device" in page and "Drafting 4 tokens against none" in page


def test_drafts_leave_the_layout_alone_where_it_has_room_for_them(cli):
    words = ("--speculate", "gamma=1,acceptance=0,draft=llama-3.2-1b", "--format", "json")
    small = (
        "predict",
        "-m",
        "llama-3.3-70b",
        "-a",
        "h100",
        "--count",
        "8",
        "--isl",
        "512",
        "--osl",
        "64",
        "--concurrency",
        "8",
    )
    assert cli(*small, *words).json()["inputs"]["layout"] == cli(*small, "--format", "json").json()["inputs"]["layout"]
    tight = ("predict", "-m", "gemma-3-27b", "-a", "google-tpu-v6e", "--count", "8", "--isl", "8000", "--osl", "100",
             "--concurrency", "16")  # fmt: skip
    moved = cli(*tight, *words).json()
    assert moved["inputs"]["layout"] != cli(*tight, "--format", "json").json()["inputs"]["layout"]
    assert any("no room for what drafts" in note for note in moved["fallbacks"])


def test_tiers_compression_and_hopeless_drafts_never_help_what_fits(cli):
    plain = cli(*ONE, "--format", "json").json()["metrics"]
    for words in (("--tier", "cxl:1TiB@1TB/s"), ("--kv-compression", "8"), ("--speculate", "gamma=4,acceptance=0")):
        other = cli(*ONE, *words, "--format", "json").json()["metrics"]
        assert other["latency_s"]["value"] >= plain["latency_s"]["value"] * (1 - 1e-9)
        assert other["output_tokens_per_s"]["value"] <= plain["output_tokens_per_s"]["value"] * (1 + 1e-9)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*ONE, "--tier", "cxl:1TiB@0GB/s"), "tier.rate: "),
        ((*ONE, "--tier", "cxl:0GB@1GB/s"), "tier.capacity: "),
        ((*ONE, "--tier", "cxl"), "tier: 'cxl' is no memory tier"),
        ((*ONE, "--tier", "cxl:1TiB@64GB"), "tier: "),
        ((*ONE, "--tier", "cxl:1TiB@64GB/s,latency=0s"), "tier.latency: "),
        ((*ONE, "--tier", "cxl:1TiB@64GB/s,latent=1s"), "tier: 'latent=1s' is not understood"),
        ((*ONE, "--speculate", "gamma=4,acceptance=1.2"), "speculate.acceptance: "),
        ((*ONE, "--speculate", "gamma=4,acceptance=-0.1"), "speculate.acceptance: "),
        ((*ONE, "--speculate", "gamma=1.5,acceptance=0.1"), "speculate.gamma: "),
        ((*ONE, "--speculate", "gamma=4"), "speculate.acceptance: acceptance is missing"),
        ((*ONE, "--speculate", "gamma=4,acceptance=0.7,draft=lama"), "unknown model 'lama'"),
        ((*ONE, "--kv-compression", "0.9"), "kv_compression: "),
        ((*ONE, "--kv-offload", "1.5"), "kv_offload: "),
        ((*ONE, "--offload", "-0.5"), "offload: "),
        ((*ONE, "--kv-keep", "0"), "kv_keep: "),
        ((*ONE, "--kv-read", "-4"), "kv_read: "),
        ((*ONE, "--images", "1"), "images: llama-3.1-8b has no vision tower"),
        ((*ONE, "--prefix-tokens", "1024"), "prefix_tokens: "),
        (("predict", "-m", "bge-m3", "-a", "h100", "--isl", "9", *ONE[-2:], "--kv-offload", "1"), "kv_offload: "),
        (("predict", "-m", "mamba2-2.7b", *ONE[3:], "--kv-keep", "100"), "kv_keep: mamba2-2.7b has no attention"),
        ((*WORDS, "--slowdown", "1"), "slowdown: "),
        ((*WORDS, "--grow", "experts"), "grow: "),
        ((*WORDS, "--skew", "0.5"), "skew: "),
        ((*WORDS, "--tier", "cxl:1TiB@1GB/s"), "tier: cxl is named twice"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_with_the_field(cli, words, message):
    cli(*words).refused(message)


def test_what_no_tier_holds_is_no_answer(cli):
    words = ("tiers", "-m", "llama-3.1-405b", "-a", "l4", "--count", "1", "--tier", "cxl:1GB@64GB/s")
    cli(*words).refused("does not fit on 1 x nvidia-l4 and these tiers", code=3)
