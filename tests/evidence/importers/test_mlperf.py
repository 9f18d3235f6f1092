"""MLPerf Inference: only tokens/s, all accelerators of all nodes, wall power kept apart."""

import json
from pathlib import Path

import pytest

from inferatlas.evidence.importers import import_evidence

COLUMNS = (
    "Organization,Availability,Division,SystemType,SystemName,Platform,Model,MlperfModel,Scenario,Result,Accuracy,"
    "number_of_nodes,accelerator_model_name,accelerators_per_node,framework,notes,errors,version,has_power,Units,"
    "weight_data_types"
)
OFFLINE = (
    '"Acme","available","closed","datacenter","8x H100","acme_h100x8","llama2-70b-99","llama2-70b-99","Offline",'
    '"24323.1","ROUGE1: 44.4","1","NVIDIA H100-SXM-80GB","8","TensorRT 10.2, CUDA 12.4","","0","v5.0","False",'
    '"Tokens/s","fp8"'
)


def write(folder: Path, *lines: str) -> Path:
    file = folder / "summary.csv"
    file.write_text("\n".join([COLUMNS, *lines]) + "\n")
    return file


def test_an_offline_result_is_generated_tokens_per_second_of_the_system(tmp_path: Path):
    done = import_evidence("mlperf", write(tmp_path, OFFLINE))
    assert done.problems == ()
    row = done.frame.row(0, named=True)
    assert (row["model"], row["accelerator"], row["accelerators"]) == ("llama-2-70b", "nvidia-h100-sxm", 8)
    assert (row["output_tokens_per_s"], row["load"], row["output_tokens"]) == (24323.1, "offline", 294.45)
    assert (row["weights"], row["engine"], row["engine_version"]) == ("fp8", "tensorrt-llm", "TensorRT 10.2, CUDA 12.4")
    assert row["ttft_s"] is None and row["input_tokens"] is None and row["concurrency"] is None


def test_other_tasks_and_units_are_left_out_and_counted(tmp_path: Path):
    image = OFFLINE.replace("llama2-70b-99", "resnet").replace("Tokens/s", "Samples/s")
    power = OFFLINE.replace("Tokens/s", "Watts").replace("24323.1", "9100")
    done = import_evidence("mlperf", write(tmp_path, OFFLINE, image, power))
    assert (done.counts["kept"], done.counts["skipped"], done.problems) == (1, 2, ())


def test_servers_are_open_loop_nodes_multiply_and_open_divisions_weigh_less(tmp_path: Path):
    server = OFFLINE.replace('"Offline"', '"Server"').replace('"closed"', '"open"').replace('"44.4","1"', '"44.4","4"')
    server = server.replace('"ROUGE1: 44.4","1"', '"ROUGE1: 44.4","4"')
    row = import_evidence("mlperf", write(tmp_path, server)).frame.row(0, named=True)
    assert (row["load"], row["accelerators"], row["weight"]) == ("poisson", 32, 0.3)


def test_the_report_in_json_means_the_same_and_keeps_wall_power_out_of_the_column(tmp_path: Path):
    file = tmp_path / "summary_results.json"
    report = {
        "ID": "5.0-0001", "Submitter": "Acme", "Category": "closed", "System": "8x H100", "Nodes": 1,
        "Accelerator": "NVIDIA H100-SXM-80GB", "a#": 8, "Software": "TensorRT 10.2, CUDA 12.4",
        "Model": "llama2-70b-99", "UsedModel": "llama2-70b-99", "Scenario": "Offline", "weight_data_types": "fp8",
        "Performance_Result": 24323.1, "Performance_Units": "Tokens/s", "Power_Result": 7000, "Power_Units": "Watts",
    }  # fmt: skip
    file.write_text(json.dumps([report]))
    done = import_evidence("mlperf", file)
    row = done.frame.row(0, named=True)
    assert (row["model"], row["accelerators"], row["output_tokens_per_s"]) == ("llama-2-70b", 8, 24323.1)
    assert (row["reference"], row["power_w"]) == ("5.0-0001", None)
    assert "at the wall: 7000 Watts" in row["notes"]


def test_results_beyond_peak_compute_are_refused(tmp_path: Path):
    done = import_evidence("mlperf", write(tmp_path, OFFLINE.replace("24323.1", "2432310")))
    assert done.frame.height == 0
    assert done.problems[0].kind == "broken_physics" and "peak compute" in done.problems[0].detail


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"24323.1"', '""', "no 'result'"),
        ('"24323.1"', '"invalid"', "result: 'invalid' is not a number"),
        ('"NVIDIA H100-SXM-80GB"', '""', "no 'accelerator_model_name'"),
    ],
)
def test_results_without_their_fields_are_told(tmp_path: Path, old: str, new: str, said: str):
    done = import_evidence("mlperf", write(tmp_path, OFFLINE.replace(old, new)))
    assert said in done.problems[0].detail and done.problems[0].row == 2


def test_a_card_of_another_form_factor_is_not_taken_for_the_sxm_part(tmp_path: Path):
    done = import_evidence("mlperf", write(tmp_path, OFFLINE.replace("H100-SXM-80GB", "H100-NVL-94GB")))
    assert done.frame["accelerator"].to_list() != ["nvidia-h100-sxm"]
