"""Traces are known by their columns, read exactly, and refused by line; what follows from them obeys queueing laws."""

import csv
import dataclasses
import gzip
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferatlas.errors import BadInput
from inferatlas.workload.chains import Chains
from inferatlas.workload.traces import Trace, in_flight, interarrival_cv, read_trace, trace_workload

SHARED = Path(__file__).parents[3] / "shared" / "traces"

AZURE_2023 = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:17:03.9799600,4808,10
2023-11-16 18:17:04.0319601,3180,8
2023-11-16 18:17:05,110,27"""  # no newline at the end, as published
AZURE_2024 = """\
TIMESTAMP,ContextTokens,GeneratedTokens
2024-05-10 00:00:00.009930+00:00,2162,5
2024-05-10 00:00:00+00:00,2399,6
2024-05-10 02:00:00.5+02:00,76,15
"""
MOONCAKE = """\
{"timestamp": 3000, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2]}
{"timestamp": 3000, "input_length": 7322, "output_length": 490, "hash_ids": [0, 14]}

{"timestamp": 4500, "input_length": 12, "output_length": 1, "hash_ids": [7]}
"""
BURSTGPT = """\
Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,ChatGPT,1087,0,1087,Conversation log
110.5,GPT-4,417,505,922,API log
111,ChatGPT,0,7,7,API log
112,ChatGPT,9,7,16,API log
"""
GENERIC = "arrival_s,input_tokens,output_tokens\n0,100,10\n2,200,20\n6,300,30\n"


def read(folder, text, name="trace"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_trace(path)


def columns(trace):
    return trace.arrival_s.tolist(), trace.input_tokens.tolist(), trace.output_tokens.tolist()


def refusal(folder, text):
    with pytest.raises(BadInput) as caught:
        read(folder, text)
    assert caught.value.file == str(folder / "trace")
    return caught.value


# Formats


def test_azure_2023_keeps_all_seven_digits(tmp_path):
    trace = read(tmp_path, AZURE_2023, "whatever.txt")
    assert (trace.format, trace.name, trace.notes) == ("azure-2023", "whatever.txt", ())
    assert columns(trace) == ([0.0, 0.0520001, 1.02004], [4808, 3180, 110], [10, 8, 27])
    assert (trace.models, trace.model_index) == ((), None)


def test_azure_2024_has_a_zone_and_may_be_out_of_order(tmp_path):
    trace = read(tmp_path, AZURE_2024)
    assert trace.format == "azure-2024"
    assert columns(trace) == ([0.0, 0.00993, 0.5], [2399, 2162, 76], [6, 5, 15])
    assert trace.notes == ("rows were not in order of arrival: sorted",)


def test_mooncake_counts_milliseconds(tmp_path):
    trace = read(tmp_path, MOONCAKE, "not-a-jsonl.csv")
    assert trace.format == "mooncake"
    assert columns(trace) == ([0.0, 0.0, 1.5], [6758, 7322, 12], [500, 490, 1])


def test_burstgpt_leaves_failures_out_and_keeps_models(tmp_path):
    trace = read(tmp_path, BURSTGPT)
    assert trace.format == "burstgpt"
    assert columns(trace) == ([0.0, 105.5, 107.0], [472, 417, 9], [18, 505, 7])
    assert trace.models == ("ChatGPT", "GPT-4")
    assert trace.model_index is not None
    assert trace.model_index.tolist() == [0, 1, 0]
    assert trace.notes == (
        "left out: 1 of 5 rows with 0 output tokens, the first in line 3",
        "left out: 1 of 5 rows with 0 input tokens, the first in line 5",
    )


def test_burstgpt_of_later_releases_has_more_columns(tmp_path):
    table = list(csv.reader(BURSTGPT.splitlines()))
    text = "\n".join(",".join([row[0], "session", "1.5", *row[1:]]) for row in table)
    text = text.replace("Timestamp,session,1.5", "Timestamp,Session ID,Elapsed time")
    assert columns(read(tmp_path, text)) == columns(read(tmp_path, BURSTGPT))


@pytest.mark.parametrize("arrival", ["arrival_s", "arrived_at", "timestamp", "Time", "ARRIVAL_TIME"])
@pytest.mark.parametrize(
    ("isl", "osl"),
    [
        ("input_tokens", "output_tokens"),
        ("ISL", "OSL"),
        ("prompt_tokens", "completion_tokens"),
        ("input_length", "output_length"),
        ("num_prefill_tokens", "num_decode_tokens"),
    ],
)
def test_generic_names_in_csv_and_json_lines(tmp_path, arrival, isl, osl):
    rows = [(1.5, "b", 100, 8), (2.0, "a", 7, 9), (4.0, "b", 30, 1)]
    table = f"{osl},{arrival}, {isl} ,Model\r\n" + "".join(f"{o},{t},{i}.0,{m}\r\n" for t, m, i, o in rows)
    lines = "\n".join(json.dumps({osl: o, arrival: t, isl: i, "model": m, "more": [1]}) for t, m, i, o in rows)
    for text in (table, lines):
        trace = read(tmp_path, text)
        if (arrival, isl) == ("timestamp", "input_length"):  # Mooncake's names, and so its milliseconds
            assert (trace.format, trace.arrival_s.tolist()) == ("mooncake", [0.0, 0.0005, 0.0025])
            continue
        assert trace.format == "generic"
        assert columns(trace) == ([0.0, 0.5, 2.5], [100, 7, 30], [8, 9, 1])
        assert trace.models == ("b", "a")
        assert trace.model_index is not None
        assert trace.model_index.tolist() == [0, 1, 0]
        assert ("taken as seconds" in "".join(trace.notes)) == (arrival != "arrival_s")


def test_generic_times_may_be_stamps(tmp_path):
    text = GENERIC.replace("\n0,", "\n2026-02-28T23:59:59Z,").replace("\n2,", "\n2026-03-01T01:00:01.25+0100,")
    trace = read(tmp_path, text.replace("\n6,", '\n"2026-03-01 00:00:02,5Z",'))
    assert (trace.arrival_s.tolist(), trace.notes) == ([0.0, 2.25, 3.5], ())


def test_seconds_since_1970_keep_their_differences(tmp_path):
    text = "time,isl,osl\n1700000000.25,1,1\n1700000000.5,1,1\n1700000001.5,1,1\n"
    assert read(tmp_path, text).arrival_s.tolist() == [0.0, 0.25, 1.25]


def test_mooncake_without_hash_ids_counts_milliseconds_too_and_says_so(tmp_path):
    trace = read(tmp_path, MOONCAKE.replace("hash_ids", "ids"))
    assert (trace.format, columns(trace)) == ("mooncake", columns(read(tmp_path, MOONCAKE)))
    assert trace.notes == (
        "'timestamp', 'input_length', 'output_length' are Mooncake's names: its timestamps are milliseconds",
    )


def test_mooncakes_names_with_stamps_are_another_format(tmp_path):
    text = "timestamp,input_length,output_length\n2026-01-01T00:00:00Z,5,6\n2026-01-01T00:00:02Z,7,8\n"
    trace = read(tmp_path, text)
    assert (trace.format, trace.arrival_s.tolist(), trace.notes) == ("generic", [0.0, 2.0], ())


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_than_commas_are_read_too(tmp_path, separator):
    assert columns(read(tmp_path, GENERIC.replace(",", separator))) == columns(read(tmp_path, GENERIC))
    wrong = refusal(tmp_path, GENERIC.replace(",", separator).replace("\n2", "\n2,5"))
    assert (wrong.line, wrong.message) == (3, "'2,5' is not a number")  # a decimal comma is not guessed


@pytest.mark.parametrize(
    ("start", "says", "hint"),
    [
        (gzip.compress(GENERIC.encode(), mtime=0), "is compressed with gzip", "decompress it first"),
        (b"PAR1\x15\x04\x15", "is a Parquet file", "convert it to CSV first"),
        (b"PK\x03\x04rest", "is a ZIP archive", "unpack it first"),
        (b"\x28\xb5\x2f\xfdrest", "is compressed with Zstandard", "decompress it first"),
    ],
)
def test_files_that_are_not_text_say_what_they_are_and_what_to_do(tmp_path, start, says, hint):
    wrong = refusal(tmp_path, start)
    assert (wrong.message, wrong.allowed) == (says, "CSV or JSON Lines as text")
    assert hint in (wrong.hint or "")


def test_a_missing_key_is_told_with_what_stands_in_it(tmp_path):
    for key, allowed in (("output_length", "tokens"), ("timestamp", "milliseconds as a number")):
        lines = [json.loads(line) for line in MOONCAKE.splitlines() if line]
        del lines[1][key]
        wrong = refusal(tmp_path, "\n".join(map(json.dumps, lines)))
        assert (wrong.line, wrong.field, wrong.message) == (2, key, "is missing")
        assert allowed in (wrong.allowed or "")


def test_the_second_best_column_is_named(tmp_path):
    text = "arrival_s,time,isl,prompt_tokens,osl\n0,9,1,8,5\n1,9,2,8,5\n"
    trace = read(tmp_path, text)
    assert columns(trace) == ([0.0, 1.0], [1, 2], [5, 5])
    assert trace.notes == ("read from 'arrival_s', not 'time'", "read from 'isl', not 'prompt_tokens'")


def test_quoted_text_over_several_lines_a_byte_order_mark_and_blank_lines(tmp_path):
    text = '\ufeff\n\narrival_s,prompt,isl,osl\n0,"two\nlines, quoted",5,6\n\n1,"",7,8\n2,x,-7,8\n'
    wrong = refusal(tmp_path, text)
    assert (wrong.line, wrong.field) == (8, "isl")
    assert columns(read(tmp_path, text.replace("-7", "7"))) == ([0.0, 1.0, 2.0], [5, 7, 7], [6, 8, 8])


def test_times_that_look_rounded_without_a_step_are_noted(tmp_path):
    trace = read(tmp_path, "arrival_s,isl,osl\n" + "0,1,1\n" * 5 + "3,1,1\n" * 5)
    assert trace.notes[0].startswith("8 of 10 requests arrive at the time of the one before")
    assert trace.step_s is None and trace.apart_s is trace.arrival_s


def test_arrivals_recorded_in_steps_are_spread_over_them_where_intervals_matter(tmp_path):
    random = np.random.default_rng(7)
    times = np.cumsum(random.exponential(0.25, 4000))
    exact = read(tmp_path, "arrival_s,isl,osl\n" + "".join(f"{t:.6f},9,99\n" for t in times))
    coarse = read(tmp_path, "arrival_s,isl,osl\n" + "".join(f"{t // 2 * 2:.6f},9,99\n" for t in times))
    assert (exact.step_s, exact.notes, exact.apart_s is exact.arrival_s) == (None, (), True)
    assert coarse.step_s == pytest.approx(2.0)
    assert coarse.notes[0].startswith("arrivals are recorded in steps of 2 s: those of one step are spread evenly")
    assert np.all(np.diff(coarse.apart_s) > 0)
    # a request is at most one step from where it came, and the first step begins up to one step before the first
    assert np.abs(coarse.apart_s + times[0] // 2 * 2 - times).max() < 2.0
    assert np.diff(coarse.arrival_s).std() / np.diff(coarse.arrival_s).mean() > 2.5  # what the steps alone make
    assert interarrival_cv(coarse) < 1 < interarrival_cv(exact) + 0.05
    assert "at least" in trace_workload(coarse).note and "at least" not in trace_workload(exact).note
    found, true = (in_flight(trace, 0.1, 0.05).mean() for trace in (coarse, exact))
    assert found == pytest.approx(true, rel=0.05)  # requests of 5 s: longer than a step
    assert (coarse.rate, coarse.span_s) == pytest.approx((3999 / coarse.arrival_s[-1], coarse.arrival_s[-1]))


# What the simulator needs


def test_each_request_keeps_its_line(tmp_path):
    assert read(tmp_path, GENERIC).lines.tolist() == [2, 3, 4]
    assert read(tmp_path, MOONCAKE).lines.tolist() == [1, 2, 4]
    assert read(tmp_path, AZURE_2024).lines.tolist() == [3, 2, 4]  # sorted by time
    assert read(tmp_path, BURSTGPT).lines.tolist() == [2, 4, 6]  # failures left out


def test_longer_requests_are_left_out_and_counted_when_asked(tmp_path):
    path = tmp_path / "trace"
    path.write_text(GENERIC + "7,1000,1\n8,5,5\n")
    trace = read_trace(path, longest=220)
    assert columns(trace) == ([0.0, 2.0, 8.0], [100, 200, 5], [10, 20, 5])
    assert trace.notes == (
        "left out: 2 of 5 rows with more than 220 input and output tokens, the first in line 4",
    )  # fmt: skip
    assert trace.lines is not None and trace.lines.tolist() == [2, 3, 6]
    with pytest.raises(BadInput, match=r"no request .*; left out: 5 of 5 rows with more than 9 input"):
        read_trace(path, longest=9)


def blocks(*rows):
    """Mooncake's format from (timestamp, input length, ids)."""
    keys = ("timestamp", "input_length", "hash_ids")
    return "".join(json.dumps({"output_length": 5, **dict(zip(keys, row, strict=True))}) + "\n" for row in rows)


def test_mooncakes_ids_become_chains_in_the_order_of_arrival(tmp_path):
    trace = read(tmp_path, blocks((2000, 1000, [7, 9]), (0, 513, [7, 8]), (1000, 512, [7]), (3000, 1000, [7, 9])))
    chains = trace.chains
    assert chains is not None and trace.notes == ("rows were not in order of arrival: sorted",)
    assert [chains.of(row).tolist() for row in range(4)] == [[0, 1], [0], [0, 2], [0, 2]]
    assert (chains.begin.tolist(), chains.end.tolist()) == ([0, 512, 512], [512, 513, 1000])
    kept = trace[trace.input_tokens > 512]
    assert kept.chains is not None and kept.lines is not None
    assert (kept.chains.unit.tolist(), kept.lines.tolist()) == ([0, 1, 0, 2, 0, 2], [2, 1, 4])
    assert (kept.arrival_s.tolist(), kept.format) == ([0.0, 2.0, 3.0], "mooncake")


def test_ids_of_other_blocks_are_not_used_and_that_is_noted(tmp_path):
    trace = read(tmp_path, MOONCAKE)
    assert trace.chains is None
    assert trace.notes == (
        "'hash_ids' are not used: request 1 has 3 of them for 6,758 input tokens, not one per 512",
    )  # fmt: skip
    assert read(tmp_path, GENERIC).chains is None


@pytest.mark.parametrize("ids", ["7", "[7, 8.5]", "[true, 7]", '["7", "8"]', "[[7], 8]", f"[{2**62}, 1]", "null"])
def test_ids_that_are_none_are_refused_by_line(tmp_path, ids):
    wrong = refusal(tmp_path, blocks((0, 9, [7]), (1, 600, "X")).replace('"X"', ids))
    assert (wrong.line, wrong.field) == (2, "hash_ids")
    wrong = refusal(tmp_path, blocks((0, 9, [7])) + blocks((1, 9, [7])).replace("hash_ids", "ids"))
    assert (wrong.line, wrong.message) == (2, "is missing")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (MOONCAKE[:-20], 4), (MOONCAKE[:-2], 4), (GENERIC[:-4], 4), (GENERIC[:-6], 4), (AZURE_2023[:-3], 4),
        (GENERIC[:-3] + '"3', 4),
    ],
)  # fmt: skip
def test_a_file_that_was_cut_off_says_so_in_its_last_line(tmp_path, text, line):
    wrong = refusal(tmp_path, text)
    assert (wrong.line, wrong.field) == (line, "trace")
    assert "cut off" in (wrong.hint or "")
    # the same in the middle of the file, or with an end, is another mistake
    for other in (text + "\n", text + "\n" + text):
        assert "cut off" not in (refusal(tmp_path, other).hint or "")


# Refusals


@pytest.mark.parametrize(
    ("text", "line", "field", "says"),
    [
        (GENERIC.replace("200", "many"), 3, "input_tokens", "'many' is not a number"),
        (GENERIC.replace("200", "-200"), 3, "input_tokens", "negative"),
        (GENERIC.replace("200", "nan"), 3, "input_tokens", "not a number"),
        (GENERIC.replace("200", "inf"), 3, "input_tokens", "not a number"),
        (GENERIC.replace("200", "1e400"), 3, "input_tokens", "too large"),
        (GENERIC.replace("200", "1" + "0" * 20), 3, "input_tokens", "too large"),
        (GENERIC.replace("200", "1_000"), 3, "input_tokens", "not a number"),
        (GENERIC.replace("200", "2.5"), 3, "input_tokens", "not a whole number"),
        (GENERIC.replace("200", "9" * 5000), 3, "input_tokens", "..."),
        (GENERIC.replace("200", "1e10"), 3, "input_tokens", "in one request"),
        (GENERIC.replace("200", ""), 3, "input_tokens", "is empty"),
        (GENERIC.replace("200", "0"), 3, "input_tokens", "0 is not a length"),
        (GENERIC.replace("200", "__import__('os')"), 3, "input_tokens", "not a number"),
        (GENERIC.replace(",30\n", ",\n"), 4, "output_tokens", "is empty"),
        (GENERIC.replace("6,", "-6,"), 4, "arrival_s", "negative"),
        (GENERIC.replace("6,", "nan,"), 4, "arrival_s", "not a number"),
        (GENERIC.replace("6,", ","), 4, "arrival_s", "is empty"),
        (GENERIC.replace("6,", "1715299200000,"), 4, "arrival_s", "smaller unit"),
        (GENERIC.replace("6,", "2024-05-10 00:00:00,"), 4, "arrival_s", "not a number"),
        (GENERIC.replace("\n0,", "\nsoon,"), 2, "arrival_s", "not a time"),
        (GENERIC.replace(",30\n", ",30,40\n"), 4, "trace", "4 values"),
        (GENERIC.replace(",30\n", "\n"), 4, "trace", "2 values"),
        (GENERIC.replace("2,200", '"2"x,200'), 3, "trace", "not CSV"),
        (GENERIC.replace("2,200", '"2,200'), 3, "trace", "not CSV"),
        (GENERIC.replace("200", "\xff").encode("latin-1"), 3, "trace", "not UTF-8"),
        (AZURE_2023.replace("04.0319601", "61.0"), 3, "TIMESTAMP", "not in the calendar"),
        (AZURE_2023.replace("11-16 18:17:04", "02-30 18:17:04"), 3, "TIMESTAMP", "not in the calendar"),
        (AZURE_2023.replace("2023-11-16 18:17:05", "1969-12-31 23:59:59"), 4, "TIMESTAMP", "out of range"),
        (AZURE_2023.replace("2023-11-16 18:17:05", "2300-01-01 00:00:00"), 4, "TIMESTAMP", "out of range"),
        (AZURE_2023.replace("2023-11-16 18:17:05", "1700158625"), 4, "TIMESTAMP", "not a time"),
        (AZURE_2023.replace("2023-11-16 18:17:05", ""), 4, "TIMESTAMP", "is empty"),
        (AZURE_2023.replace("17:05", "17:05Z"), 4, "TIMESTAMP", "has a time zone"),
        (AZURE_2024.replace("00:00:00+00:00", "00:00:00"), 3, "TIMESTAMP", "has no time zone"),
        (AZURE_2023.replace(",27", ",x"), 4, "GeneratedTokens", "not a number"),
        (BURSTGPT.replace("417", "x"), 4, "Request tokens", "not a number"),
        (BURSTGPT.replace("GPT-4", ""), 4, "Model", "is empty"),
        (BURSTGPT.replace("110.5", "2023-11-16 18:17:05"), 4, "Timestamp", "not a number"),
        (MOONCAKE.replace("4500", '"x"'), 4, "timestamp", "not a number"),
        (MOONCAKE.replace("4500", "NaN"), 4, "timestamp", "not a number"),
        (MOONCAKE.replace("4500", "true"), 4, "timestamp", "not a number"),
        (MOONCAKE.replace("4500", "9" * 400), 4, "timestamp", "too large"),
        (MOONCAKE.replace("4500", "9" * 5000), 4, "trace", "not JSON"),
        (MOONCAKE.replace("4500", "1e14"), 4, "timestamp", "smaller unit"),
        (MOONCAKE.replace("7322", "null"), 2, "input_length", "is empty"),
        (MOONCAKE.replace("7322", "[1]"), 2, "input_length", "not a number"),
        (MOONCAKE.replace('"output_length": 490, ', ""), 2, "output_length", "is missing"),
        (MOONCAKE.replace("7322", ""), 2, "trace", "not JSON"),
        (MOONCAKE.replace("7322", "[" * 100_000), 2, "trace", "not JSON"),
        (MOONCAKE + "[1, 2]\n", 5, "trace", "not an object"),
        (MOONCAKE[:-20], 4, "trace", "not JSON"),
    ],
)
def test_a_wrong_value_is_refused_with_its_line_and_column(tmp_path, text, line, field, says):
    wrong = refusal(tmp_path, text)
    assert (wrong.line, wrong.field) == (line, field)
    assert says in wrong.message
    assert wrong.allowed
    assert len(wrong.message) < 250


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "is empty"),
        ("\n \n", 1, "is empty"),
        (GENERIC[:37], 1, "holds no request"),
        ("\n" + GENERIC[:37], 2, "holds no request"),
        (GENERIC[:46], 2, "a trace of one request has no rate"),
        (MOONCAKE.splitlines()[0], 1, "a trace of one request has no rate"),
        ("arrival_s,isl,osl\n0,5,0\n1,5,0\n", 3, "holds no request with input and output"),
        ("arrival_s,isl,osl\n0,5,0\n1,5,1\n", 3, "a trace of one request has no rate; left out: 1 of 2 rows with 0 "
         "output tokens, the first in line 2"),
        ("arrival_s,isl,osl\n0,5,0\n1,5,1\n1,5,1\n", 4, "2 requests arrive at one instant, which has no rate; left "
         "out: 1 of 3 rows"),
        ("arrival_s,isl,osl\n4,5,1\n4,5,1\n4,5,1\n", 4, "all 3 requests arrive at one instant"),
    ],
)  # fmt: skip
def test_a_trace_without_a_rate_is_refused(tmp_path, text, line, says):
    wrong = refusal(tmp_path, text)
    assert (wrong.line, wrong.field) == (line, "trace")
    assert says in wrong.message


def test_a_request_without_input_or_output_was_never_served(tmp_path):
    trace = read(tmp_path, GENERIC.replace("200,20", "0,0"))
    assert trace.notes == ("left out: 1 of 3 rows with 0 output tokens, the first in line 3",)


@pytest.mark.parametrize(
    ("header", "field", "names"),
    [
        ("when,input_tokens,output_tokens", "arrival_s", "arrival_s, arrived_at, timestamp, time, arrival_time"),
        ("time,osl", "input_tokens", "input_tokens, isl, prompt_tokens, input_length, num_prefill_tokens"),
        ("time,isl", "output_tokens", "output_tokens, osl, completion_tokens, output_length, num_decode_tokens"),
    ],
)
def test_a_missing_column_is_named_with_what_it_may_be_called(tmp_path, header, field, names):
    as_json = json.dumps(dict.fromkeys(header.split(","), 1))
    for text in (f"\n{header}\n1,2,3\n", f"\n{as_json}\n"):
        wrong = refusal(tmp_path, text)
        assert (wrong.line, wrong.field, wrong.allowed) == (2, field, names)
        assert "Azure LLM" in (wrong.hint or "")


@pytest.mark.parametrize("text", ["a,b,c\n1,2,3\n", "just prose\n", "{}\n", '[{"isl": 1}]', "a;b;c\n1;2;3\n"])
def test_a_file_of_no_known_format_gets_the_list(tmp_path, text):
    wrong = refusal(tmp_path, text)
    assert wrong.line == 1
    for name in ("Azure LLM", "Mooncake", "BurstGPT", "input_length", "arrived_at"):
        assert name in (wrong.allowed or "")


def test_a_column_given_twice_is_refused(tmp_path):
    for text in ("time,isl,ISL,osl\n1,2,3,4\n", '{"time": 1, "isl": 2, "Isl": 3, "osl": 4}\n'):
        wrong = refusal(tmp_path, text)
        assert (wrong.line, wrong.field) == (1, "isl")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path in (tmp_path / "absent.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot be read") as caught:
            read_trace(path)
        assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"arrival_s": np.array([0.0])}, "trace"),
        ({"arrival_s": np.array([0.0, 2.0, 1.0])}, "arrival_s"),
        ({"arrival_s": np.array([1.0, 2.0, 3.0])}, "arrival_s"),
        ({"arrival_s": np.array([0.0, np.nan, 3.0])}, "arrival_s"),
        ({"arrival_s": np.array([0.0, 1.0, np.inf])}, "arrival_s"),
        ({"arrival_s": np.zeros(3)}, "arrival_s"),
        ({"output_tokens": np.array([1, 0, 1])}, "output_tokens"),
        ({"input_tokens": np.array([1, -1, 1])}, "input_tokens"),
        ({"model_index": np.array([0, 0])}, "trace"),
        ({"lines": np.array([2, 3])}, "trace"),
        ({"chains": Chains(np.array([0, 1]), np.array([0]), np.array([0]), np.array([1]))}, "trace"),
    ],
)
def test_a_trace_built_by_hand_is_checked_as_well(changes, field):
    good = Trace("x", np.array([0.0, 1.0, 2.0]), np.ones(3, np.int64), np.ones(3, np.int64))
    with pytest.raises(BadInput) as caught:
        dataclasses.replace(good, **changes)
    assert caught.value.field == field


# The shared traces, against the table beside them


@pytest.mark.parametrize(
    ("file", "form", "rows", "span", "rate", "inputs", "outputs", "cv", "sha"),
    [
        ("az23_code.csv", "azure-2023", 8819, 3435.9, 2.567, 2047.8, 27.9, 13.151, "54e9a6d2"),
        ("az23_conv.csv", "azure-2023", 19366, 3501.7, 5.530, 1154.7, 211.1, 1.094, "2f1e5b66"),
        ("mc_conv.jsonl", "mooncake", 12031, 3537.0, 3.401, 12035.1, 342.6, 3.034, "b8cbb061"),
        ("mc_syn.jsonl", "mooncake", 3993, 1022.0, 3.907, 15325.5, 149.1, 1.011, "bd070915"),
    ],
)
def test_the_shared_traces_have_their_published_statistics(file, form, rows, span, rate, inputs, outputs, cv, sha):
    path = SHARED / file
    if not path.exists():
        pytest.skip(f"the trace {file} is not beside this repository")
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(sha)
    trace = read_trace(path)
    assert (trace.format, len(trace)) == (form, rows)
    assert trace.span_s == pytest.approx(span, abs=0.06)
    assert trace.rate == pytest.approx(rate, rel=3e-4)
    # the table of the shared traces counts n requests in the span, not n - 1 intervals
    assert rows / trace.span_s == pytest.approx(rate, abs=6e-4)
    assert trace.input_tokens.mean() == pytest.approx(inputs, abs=0.06)
    assert trace.output_tokens.mean() == pytest.approx(outputs, abs=0.06)
    gaps = np.diff(trace.arrival_s)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, abs=1e-3)
    if file == "mc_conv.jsonl":  # the table's README: quantised to 3 s, and its variation is an artefact of that
        assert trace.step_s == pytest.approx(3.0, rel=1e-5)
        assert interarrival_cv(trace) < 0.5
    else:
        assert trace.step_s is None
        assert interarrival_cv(trace) == pytest.approx(cv, abs=1e-3)


# What follows from a trace


def under_way_one_by_one(trace, ttft_s, itl_s):
    ends = [a + ttft_s + (o - 1) * itl_s for a, o in zip(trace.arrival_s, trace.output_tokens, strict=True)]
    return [
        sum(a <= now < end for a, end in zip(trace.arrival_s, ends, strict=True)) for now in trace.arrival_s.tolist()
    ]


@st.composite
def traces(draw):
    # multiples of a quarter second: ends and arrivals that fall together must be counted the same way
    gaps = draw(st.lists(st.integers(0, 12), min_size=1, max_size=40).filter(any))
    arrival = np.concatenate([[0.0], np.cumsum(gaps) / 4])
    outputs = draw(st.lists(st.integers(1, 30), min_size=len(arrival), max_size=len(arrival)))
    return Trace("drawn", arrival, np.ones(len(arrival), np.int64), np.array(outputs))


@given(traces(), st.sampled_from([0.25, 0.5, 2.0, 0.3]), st.sampled_from([0.0, 0.25, 1.0, 0.07]))
def test_requests_in_flight_are_those_counted_one_by_one(trace, ttft_s, itl_s):
    counted = in_flight(trace, ttft_s, itl_s)
    assert counted.tolist() == under_way_one_by_one(trace, ttft_s, itl_s)
    assert counted.min() >= 1


def test_a_latency_below_the_resolution_of_time_still_counts_the_request_itself():
    ones = np.ones(3, np.int64)
    trace = Trace("long", np.array([0.0, 1e8, 2e8]), ones, ones)
    assert in_flight(trace, 1e-12, 0.0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("ttft_s", "itl_s", "field"),
    [(0, 0.1, "ttft_s"), (-1, 0.1, "ttft_s"), (np.nan, 0.1, "ttft_s"), (np.inf, 0.1, "ttft_s"), (1, -0.1, "itl_s"),
     (1, np.nan, "itl_s")],
)  # fmt: skip
def test_times_that_no_request_takes_are_refused(ttft_s, itl_s, field):
    ones = np.ones(2, np.int64)
    with pytest.raises(BadInput) as caught:
        in_flight(Trace("x", np.array([0.0, 1.0]), ones, ones), ttft_s, itl_s)
    assert caught.value.field == field


def test_poisson_arrivals_find_what_littles_law_says():
    random = np.random.default_rng(20240510)
    n, rate, ttft_s, itl_s = 200_000, 5.0, 0.4, 0.02
    arrival = np.cumsum(random.exponential(1 / rate, n))
    outputs = random.geometric(1 / 200, n)
    trace = Trace("poisson", arrival - arrival[0], np.full(n, 100), outputs)
    assert trace.rate == pytest.approx(rate, rel=0.01)
    assert interarrival_cv(trace) == pytest.approx(1, abs=0.02)
    latency = ttft_s + (outputs.mean() - 1) * itl_s
    found = in_flight(trace, ttft_s, itl_s)[10_000:] - 1  # others than itself, after the start
    assert found.mean() == pytest.approx(trace.rate * latency, rel=0.02)
    assert found.var() == pytest.approx(found.mean(), rel=0.05)  # M/G/∞: Poisson in number as well


def test_a_workload_has_the_means_the_spread_and_the_rate(tmp_path):
    workload = trace_workload(read(tmp_path, GENERIC.replace("300,30", "300,45"), "gateway.csv"))
    assert (workload.name, workload.arrival, workload.concurrency) == ("gateway.csv", "poisson", None)
    assert (workload.input_tokens, workload.output_tokens) == (200.0, 25.0)
    assert workload.input_cv == pytest.approx(np.sqrt(2 / 3) / 2)
    assert workload.output_cv == pytest.approx(np.std([10, 20, 45]) / 25)
    assert workload.request_rate == pytest.approx(2 / 6)
    assert workload.source == "trace gateway.csv: 3 requests in 6 s"
    assert "CV of 0.333" in workload.note
