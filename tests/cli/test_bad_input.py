"""Bad input ends with exit code 2 (or 3), names the field and what is allowed, and never shows a traceback."""

from pathlib import Path

import pytest

NOT_MODELLED = str(Path(__file__).parents[1] / "not_modelled" / "config.json")  # layers no model of ours describes

LOAD = ("--isl", "128", "--osl", "128", "--concurrency", "1")
PREDICT = ("predict", "-m", "llama-3.1-8b", "-a", "h100")
RECOMMEND = ("recommend", "-m", "llama-3.1-8b", "-a", "h100", *LOAD)
EXPLORE = ("explore", "-m", "llama-3.1-8b", "-a", "h100", "--max-count", "1", "--isl", "128", "--osl", "128")

CASES = [
    # words, exit code, what the message must hold
    (("predict", "-m", "lama-3.1-8b", "-a", "h100", *LOAD), 2, "did you mean llama-3.1-8b"),
    (("predict", "-m", "llama-3.1-8b", "-a", "h10", *LOAD), 2, "did you mean h100"),
    (("predict", "-m", "llama-3.1-8b", *LOAD), 2, "--accelerator is missing"),
    (("predict", "--modle", "llama-3.1-8b", "-a", "h100", *LOAD), 2, "--modle"),
    ((*PREDICT, *LOAD, "--engine", "vlm"), 2, "did you mean vllm"),
    ((*PREDICT, *LOAD, "--weights", "fp5"), 2, "weights"),
    (
        ("predict", "-m", "llama-3.1-8b", "-a", "groq", *LOAD, "--engine", "vllm"),
        3,
        "engine: vllm is not supported on groq",
    ),
    ((*PREDICT, *LOAD, "--tp", "0"), 2, "tp"),
    ((*PREDICT, *LOAD, "--tp", "1.5"), 2, "tp: '1.5' is not a whole number"),
    ((*PREDICT, *LOAD, "--count", "4096"), 2, "1 to 1024"),
    ((*PREDICT, *LOAD, "--count", "3", "--tp", "2"), 2, "multiples of 2"),
    ((*PREDICT, *LOAD, "--count", "4", "--tp", "2", "--pp", "1", "--dp", "1"), 2, "count: tp x pp x dp is 2"),
    ((*PREDICT, "--isl", "0", "--osl", "1", "--concurrency", "1"), 2, "isl: 0 is not a length"),
    ((*PREDICT, "--isl", "-5", "--osl", "1", "--concurrency", "1"), 2, "isl: -5 is not a length"),
    ((*PREDICT, "--isl", "nan", "--osl", "1", "--concurrency", "1"), 2, "isl: 'nan' is not a whole number"),
    ((*PREDICT, "--isl", "131072", "--osl", "1", "--concurrency", "1"), 2, "up to 131072"),
    ((*PREDICT, "--isl", "128", "--concurrency", "1"), 2, "osl: the other length is missing"),
    ((*PREDICT, "--isl", "128", "--osl", "128"), 2, "concurrency"),
    ((*PREDICT, "--isl", "128", "--osl", "128", "--request-rate", "nan"), 2, "request_rate: nan"),
    ((*PREDICT, "--isl", "128", "--osl", "128", "--request-rate", "-1"), 2, "request_rate: -1.0"),
    ((*PREDICT, *LOAD, "--request-rate", "1"), 2, "contradict each other"),
    ((*PREDICT, *LOAD, "--price", "nan"), 2, "price: nan"),
    ((*PREDICT, *LOAD, "--price", "-1"), 2, "price: -1.0"),
    ((*PREDICT, *LOAD, "--region", "Mars"), 2, "region"),
    ((*PREDICT, *LOAD, "--utilisation", "inf"), 2, "utilisation: inf"),
    ((*PREDICT, *LOAD, "--clock", "0"), 2, "clock: 0.0 is not a relative clock (allowed: above 0, up to 1)"),
    ((*PREDICT, *LOAD, "--clock", "1.2"), 2, "clock: 1.2"),
    ((*PREDICT, *LOAD, "--clock", "nan"), 2, "clock: nan"),
    ((*PREDICT, *LOAD, "--power-cap", "0W"), 2, "power_cap: 0.0 W is not a cap (allowed: a power above 0"),
    ((*PREDICT, *LOAD, "--power-cap=-5 W"), 2, "power_cap: -5.0 W"),
    ((*PREDICT, *LOAD, "--power-cap", "400"), 2, "power_cap: '400' has no unit"),
    ((*PREDICT, *LOAD, "--power-cap", "90 W"), 3, "power_cap: 90 W is below what nvidia-h100-sxm draws"),
    ((*PREDICT, *LOAD, "--prefix-tokens", "128"), 2, "prefix_tokens: 128 tokens are no beginning of a prompt of 128"),
    ((*PREDICT, *LOAD, "--speculate", "gamma=4,acceptance=nan"), 2, "speculate.acceptance: 'nan' is not a number ("),
    ((*PREDICT, *LOAD, "--speculate", "gamma=4,acceptance=1.1"), 2, "speculate.acceptance: 1.1 is no probability"),
    (
        (*PREDICT, *LOAD, "--speculate", "gamma=4,acceptance=0.5,draft=lama-3.2-1b"),
        2,
        "speculate.draft: unknown model 'lama-3.2-1b'",
    ),
    ((*PREDICT, *LOAD, "--format", "xml"), 2, "parquet"),
    ((*PREDICT, *LOAD, "--output", "answer.xml"), 2, ".parquet"),
    ((*PREDICT, *LOAD, "--output", "/no/such/folder/answer.json"), 2, "its folder does not exist"),
    (("predict", "-m", NOT_MODELLED, "-a", "h100", *LOAD), 3, "not modelled yet"),
    ((*RECOMMEND, "--objective", "costs"), 2, "did you mean cost"),
    ((*RECOMMEND, "--objektive", "cost"), 2, "Did you mean --objective"),
    ((*RECOMMEND, "--slo", "ttft"), 2, "slo: 'ttft' is not a service target"),
    ((*RECOMMEND, "--slo", "ttft<50 GB"), 2, "not a unit of s"),
    ((*RECOMMEND, "--slo", "ttft:p42<50ms"), 2, "p42"),
    ((*RECOMMEND, "--slo"), 2, "--slo requires an argument"),
    ((*RECOMMEND, "--ttft", "soon"), 2, "ttft: 'soon'"),
    ((*RECOMMEND, "--ttft", "-5"), 2, "ttft: '-5' is no target (allowed: a time above 0"),
    ((*RECOMMEND, "--itl", "0"), 2, "itl: '0' is no target"),
    ((*RECOMMEND, "--request-latency", "0s"), 2, "request_latency: '0s' is no target"),
    ((*RECOMMEND, "-a", "H100"), 2, "accelerator: nvidia-h100-sxm is named twice"),
    ((*RECOMMEND, "-a", ""), 2, "accelerator: an empty name"),
    ((*RECOMMEND, "--accelerators", "l4,,a100"), 2, "accelerator: an empty name"),
    ((*RECOMMEND, "--vendor", ""), 2, "vendor: an empty name"),
    ((*RECOMMEND, "--weights", "fp16,"), 2, "weights: an empty name"),
    ((*RECOMMEND, "--weights", "FP88"), 2, "did you mean fp8"),
    ((*PREDICT, *LOAD, "--weights", ""), 2, "weights: an empty name"),
    ((*PREDICT, *LOAD, "--engine", ""), 2, "engine: an empty name"),
    ((*PREDICT, *LOAD, "--kv-cache", "pf8"), 2, "did you mean fp8"),
    ((*PREDICT, *LOAD, "--price", "1e308"), 2, "price: 1e+308 USD per accelerator-hour (allowed: above 0 and up to"),
    ((*RECOMMEND, "--price", "1e308"), 2, "up to 1,000,000"),
    (("scale", "-m", "llama-3.1-8b", "-a", "h100", "--count", "2", "--price", "1e308"), 2, "up to 1,000,000"),
    (
        (*PREDICT, "--isl", "128", "--osl", "128", "--concurrency", "99999999999"),
        2,
        "concurrency: 99999999999 requests in flight (allowed: a whole number, 1 to 1,000,000)",
    ),
    (("regimes", "-r", ""), 2, "regime: an empty name"),
    (("regimes", "-a", "h100,,l4"), 2, "accelerator: an empty name"),
    (("crossover", "-m", "llama-3.1-8b", "-a", ""), 2, "accelerator: an empty name"),
    ((*RECOMMEND, "--max-power", "10"), 2, "max_power: '10' has no unit"),
    ((*RECOMMEND, "--max-power", "10 kg"), 2, "not a unit of W"),
    ((*RECOMMEND, "--max-power", "0 W"), 2, "max_power_w: 0.0 is not a budget"),
    ((*RECOMMEND, "--max-usd-per-hour", "nan"), 2, "max_usd_per_hour: nan"),
    ((*RECOMMEND, "--min-probability", "2"), 2, "min_probability: 2.0"),
    ((*RECOMMEND, "--max-count", "0"), 2, "max_count"),
    ((*RECOMMEND, "--top", "-1"), 2, "top: -1"),
    ((*RECOMMEND, "--report", "report.pdf"), 2, ".html"),
    ((*RECOMMEND, "stray"), 2, "stray"),
    ((*EXPLORE, "--concurrency", "1,x"), 2, "concurrency: 'x' is not a whole number"),
    ((*EXPLORE, "--concurrency", "0"), 2, "concurrency: 0"),
    (("catalogue", "show"), 2, "NAME is missing"),
    (("catalogue", "list", "acelerators"), 2, "did you mean accelerators"),
    (("catalogue", "check", "/no/such/file.yaml"), 2, "no such file"),
    (("recomend",), 2, 'Did you mean "recommend"'),
]


@pytest.mark.parametrize(
    ("words", "code", "message"), CASES, ids=[" ".join(case[0][:1] + case[0][-2:]) for case in CASES]
)
def test_bad_input_is_refused_with_the_field_and_what_is_allowed(cli, words, code: int, message: str):
    ran = cli(*words)
    assert ran.code == code, ran
    assert message in ran.err
    assert ran.err.startswith("error: ")
    assert ran.out == ""
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(("words", "code", "message"), CASES[::7])
def test_the_same_as_json(cli, words, code: int, message: str):
    if "--format" in words:
        return
    ran = cli(*words, "--format", "json")
    error = ran.json()
    assert ran.code == error["exit_code"] == code
    assert error["message"]
    assert message in ran.err


def test_what_cannot_be_asked_says_so_in_the_form_of_an_answer(cli):
    error = cli("predict", "-m", "llama-3.1-8b", "-a", "groq", *LOAD, "--engine", "vllm", "--format=json").json()
    assert error["fits"] is False
    assert error["reason"]["code"] == "engine"
    assert error["reason"].keys() == {"code", "detail", "least_count"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.json", "", "config.json"),
        ("config.json", "{not json", "config.json"),
        ("config.json", '{"model_type": "perceptron", "hidden_size": 8}', "perceptron"),
        ("mine.yaml", "", "the file is empty"),
        ("mine.yaml", "id: mine\nnme: x\n", "unknown key 'nme'"),
        ("mine.yaml", "id: [", "not valid YAML"),
    ],
)
def test_files_that_are_no_models_are_refused(cli, tmp_path, name: str, text: str, message: str):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    ran = cli("predict", "-m", str(file), "-a", "h100", *LOAD)
    assert ran.code in (2, 3)
    assert message in ran.err
    assert str(file) in ran.err
    assert "Traceback" not in ran.err


def test_a_path_that_cannot_be_written_is_refused_before_the_search(cli, monkeypatch, tmp_path):
    def never(*_, **__):
        raise AssertionError("searched")

    monkeypatch.setattr("inferatlas.decide.advisor.recommend.recommend", never)
    (tmp_path / "out.json").mkdir()
    ran = cli(*RECOMMEND, "--output", str(tmp_path / "out.json"))
    assert ran.code == 2
    assert "is a folder" in ran.err
    assert cli(*RECOMMEND, "--report", str(tmp_path / "no" / "r.html")).code == 2
