"""Metrics are kept while load runs, whatever servers and disks do, and mean afterwards what the engine published."""

import json
import math
import os
import threading
import time
from types import SimpleNamespace

import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.server.scraping import Scraper
from inferatlas.measure.bench.server.series import COLUMNS, kept_lines
from inferatlas.measure.bench.server.tables import engine_latencies, scrapes, tables


def until(true):
    """Wait for what another thread does."""
    end = time.monotonic() + 5.0
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    assert true()


@pytest.fixture
def scrape(tmp_path):
    """A scraper of addresses, 100 times a second, started; ``path`` is its journal."""
    running = []

    def start(*urls, **options):
        path = tmp_path / "server.journal"
        one = Scraper(urls, path, **({"origin_s": time.monotonic(), "interval_s": 0.01} | options))
        one.start()
        running.append(one)
        return SimpleNamespace(scraper=one, path=path, stop=one.stop)

    yield start
    for one in running:
        one.stop(0.0)


def of(journal, *pages, gap_s=1.0):
    """A journal of pages, one a second; a string with no line break is a failure."""
    lines = []
    for n, page in enumerate(pages):
        if "\n" not in page:
            lines.append({"r": 0, "t": n * gap_s, "failed": page})
            continue
        parts = [line.decode().rpartition(" ") for line in kept_lines(page.encode())]
        lines.append({"n": n, "series": [name for name, _, _ in parts]})
        lines.append({"r": 0, "t": n * gap_s, "u": 0.001, "n": n, "v": [value for _, _, value in parts]})
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return journal


# running, waiting, KV cache, prompt and output tokens, preemptions, prefix hits and queries: sums over engine ranks,
# means of fractions, read off the pages by hand
PUBLISHED = {
    "vllm": (8.0, 2.0, 0.5, 3000.0, 1000.0, 1.0, 384.0, 3000.0),
    "vllm_0": (3.0, 1.0, 0.5, 1000.0, 400.0, None, None, None),
    "sglang": (12.0, 4.0, 0.28, 8128902.0, 7557572.0, 2.0, 1500.0, 8128902.0),
    "llamacpp": (2.0, 1.0, None, 16.0, 50.0, None, 5.0, 16.0),
    "tgi": (6.0, 3.0, None, 800.0, 200.0, None, None, None),
    "tensorrt_llm": (9.0, 1.0, 0.4, 500.0, 250.0, None, 64.0, 500.0),
    "triton": (3.0, 1.0, 0.125, 500.0, 250.0, None, None, None),
}


@pytest.mark.parametrize("engine", PUBLISHED)
def test_columns_of_every_engine(tmp_path, page, engine):
    server = tables(of(tmp_path / "j", page(engine))).server
    assert server.select(*COLUMNS).row(0) == pytest.approx(PUBLISHED[engine])
    assert server.select("time_s", "u_time_s", "replica").row(0) == (0.0, 0.001, 0)


def zeroed(text):
    """The same page before there was any load: counters at 0."""
    return "".join(
        line.rpartition(" ")[0] + " 0\n" if line[0] != "#" else line + "\n" for line in text.split("\n") if line
    )


# TTFT, ITL, latency, queue, prefill, decode in s: sum over count, read off the pages by hand
TIMED = {
    "vllm": (0.25, 0.01, 2.0, 0.05, 0.15, 1.5),
    "vllm_0": (None, 0.01, None, None, None, None),
    "sglang": (0.5, 0.02, 2.0, 0.1, None, None),
    "llamacpp": (None, 0.01, None, None, None, None),
    "tgi": (None, None, 2.0, 0.05, None, None),
    "tensorrt_llm": (0.2, 0.02, 1.0, 0.1, 0.08, 0.8),
    "triton": (None,) * 6,
}


@pytest.mark.parametrize("engine", TIMED)
def test_the_engines_own_times(tmp_path, page, engine):
    found = engine_latencies(of(tmp_path / "j", zeroed(page(engine)), page(engine)))
    names = ("ttft_s", "itl_s", "latency_s", "queue_s", "prefill_s", "decode_s")
    means = [found[name].mean_s if name in found else None for name in names]
    assert means == pytest.approx(list(TIMED[engine]))
    assert all(one.count > 0 and not one.series.endswith("_sum") for one in found.values())


TTFT = "vllm:time_to_first_token_seconds_sum {}\nvllm:time_to_first_token_seconds_count {}\n"


def test_a_window_is_widened_to_whole_scrapes(tmp_path):
    journal = of(tmp_path / "j", *(TTFT.format(total, n) for n, total in enumerate((0.0, 9.0, 10.0, 12.0, 99.0))))
    assert engine_latencies(journal, 1.5, 2.5)["ttft_s"].mean_s == pytest.approx((12.0 - 9.0) / 2)
    assert engine_latencies(journal, 1.0, 3.0)["ttft_s"].mean_s == pytest.approx((12.0 - 9.0) / 2)
    assert engine_latencies(journal)["ttft_s"].mean_s == pytest.approx(99.0 / 4)
    assert engine_latencies(journal, 50.0, 60.0) == {}


def test_a_restart_of_the_engine_is_an_event_and_loses_no_more_than_it_must(tmp_path):
    journal = of(tmp_path / "j", TTFT.format(0, 0), TTFT.format(4.0, 4), TTFT.format(3.0, 1), TTFT.format(6.0, 2))
    found = engine_latencies(journal)["ttft_s"]
    assert (found.mean_s, found.count) == (pytest.approx(10.0 / 6), 6.0)
    (event,) = tables(journal).events.rows()
    assert event[:2] == (2.0, "engine_restarted")
    assert "fell from 4 to" in event[2]


def test_a_process_that_began_anew_is_an_event(tmp_path):
    journal = of(tmp_path / "j", "process_start_time_seconds 1.79e9\n", "process_start_time_seconds 1.8e9\n")
    assert tables(journal).events["kind"].to_list() == ["engine_restarted"]


def test_failures_in_a_row_are_one_event(tmp_path, page):
    pages = [page("tgi"), "no", "no", page("tgi"), "no"]
    found = tables(of(tmp_path / "j", *pages))
    kinds = found.events.select("time_s", "kind").rows()
    assert kinds == [(1.0, "scrape_failed"), (3.0, "scrape_resumed"), (4.0, "scrape_failed")]
    assert found.server.height == 2


def test_all_series_are_kept_with_their_labels(tmp_path, page):
    found = tables(of(tmp_path / "j", page("triton"))).engine_metrics
    waiting = [row for row in found.rows(named=True) if json.loads(row["labels"]).get("request_type") == "waiting"]
    assert [(row["series"], row["value"], row["replica"]) for row in waiting] == [
        ("nv_trt_llm_request_metrics", 1.0, 0)
    ]
    assert found.height == 9 + 2  # without the count of prompts


def test_values_that_are_none_are_unknown(tmp_path):
    page = "vllm:num_requests_running NaN\nvllm:num_requests_waiting +Inf\nvllm:kv_cache_usage_perc x\n"
    row = tables(of(tmp_path / "j", page)).server.row(0, named=True)
    assert [row[name] for name in ("running", "waiting", "kv_used_fraction")] == [None] * 3


def test_labels_may_hold_anything(tmp_path):
    odd = 'vllm:num_requests_running{model_name="a b} \\"c\\" \\\\ é\\n{"} 4\n'
    found = tables(of(tmp_path / "j", odd))
    assert found.server["running"].to_list() == [4.0]
    assert json.loads(found.engine_metrics["labels"][0]) == {"model_name": 'a b} "c" \\ é\n{'}


def test_a_journal_that_is_torn_anywhere_is_read_as_far_as_it_goes(tmp_path, page):
    whole = of(tmp_path / "whole", page("vllm"), page("vllm")).read_bytes()
    for cut in range(0, len(whole), 97):
        torn = tmp_path / "torn"
        torn.write_bytes(whole[:cut])
        assert len(scrapes(torn)) <= 2
        assert tables(torn).server.height == len(scrapes(torn))
    torn.write_bytes(whole[: len(whole) // 2] + b"\n\xff\x00[1]\n7\n" + whole)
    assert len(scrapes(torn)) >= 2


def test_no_journal():
    with pytest.raises(BadInput):
        tables("/nowhere/server.journal")


def test_pages_are_scraped_on_the_clock_of_the_run(serve, scrape, page):
    server = serve({"/metrics": page("vllm")})
    origin_s = time.monotonic() - 100.0
    run = scrape(f"{server.url}/metrics", origin_s=origin_s)
    until(lambda: run.scraper.health.scrapes >= 5)
    health = run.stop()
    found = tables(run.path)
    assert health.scrapes == found.server.height
    assert (health.failures, health.unwritten) == (0, 0)
    times = found.server["time_s"].to_list()
    assert times == sorted(times)
    assert 100.0 <= times[0] <= times[-1] <= time.monotonic() - origin_s
    assert all(0 < one < 1.0 for one in found.server["u_time_s"])
    assert len({port for _, _, port in server.asked}) == 1  # one connection, kept
    assert run.path.read_text().count('"series"') == 1  # names once, values only after that


def test_counters_are_read_once_more_at_the_end(serve, scrape):
    pages = {"/metrics": "vllm:generation_tokens_total 1\n"}
    run = scrape(f"{serve(pages).url}/metrics", interval_s=60.0)
    until(lambda: run.scraper.health.scrapes == 1)
    pages["/metrics"] = "vllm:generation_tokens_total 9\n"
    run.stop()
    assert tables(run.path).server["output_tokens_total"].to_list() == [1.0, 9.0]


def test_endpoints_do_not_wait_for_each_other(serve, scrape, page):
    slow = serve({"/metrics": lambda _: slow.over.wait(20)})
    quick = serve({"/metrics": page("sglang")})
    run = scrape(f"{slow.url}/metrics", f"{quick.url}/metrics")
    until(lambda: run.scraper.health.scrapes >= 3)
    begin = time.monotonic()
    run.stop(0.05)
    assert time.monotonic() - begin < 2.0
    assert set(tables(run.path).server["replica"]) == {1}
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("scraping")])


@pytest.mark.parametrize(
    ("answer", "why"),
    [(401, "answers HTTP 401"), (404, "answers HTTP 404"), (b"\xff\x00{}", None), (b"", None),
     (lambda handler: setattr(handler, "close_connection", True), "unreachable")],
)  # fmt: skip
def test_what_a_server_does_wrong_is_told_and_ends_nothing(serve, scrape, answer, why):
    pages = {"/metrics": answer}
    run = scrape(f"{serve(pages).url}/metrics")
    until(lambda: run.scraper.health.scrapes + run.scraper.health.failures >= 3)
    pages["/metrics"] = "tgi_queue_size 1\n"
    done = run.scraper.health.scrapes
    until(lambda: run.scraper.health.scrapes > done + 1)
    health = run.stop()
    assert (health.failures > 0) == (why is not None)
    assert tables(run.path).server["waiting"][-1] == 1.0


def test_a_server_that_is_not_there(scrape):
    run = scrape("http://127.0.0.1:9/metrics")
    until(lambda: run.scraper.health.failures >= 2)
    assert "Connection refused" in run.stop().last_failure
    assert tables(run.path).events["kind"].to_list() == ["scrape_failed"]


def test_a_page_without_end_is_given_up(serve, scrape, monkeypatch):
    monkeypatch.setattr("inferatlas.measure.bench.server.scraping.MOST_BYTES", 2**20)

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            handler.wfile.write(b"vllm:num_requests_running 1\n" * 4096)

    run = scrape(f"{serve({'/metrics': endless}).url}/metrics", interval_s=60.0)
    until(lambda: run.scraper.health.failures == 1)
    assert run.scraper.health.last_failure == "sends more than 1 MiB"


def test_the_key_does_not_follow_a_redirect_nor_stand_in_the_journal(serve, scrape):
    other = serve({"*": "tgi_queue_size 1\n"})
    server = serve({"/metrics": lambda handler: serve.answer(handler, 302, Location=f"{other.url}/metrics")})
    run = scrape(f"{server.url}/metrics?token=s3cret", headers={"Authorization": "Bearer s3cret"})
    until(lambda: run.scraper.health.failures >= 1)
    run.stop()
    assert server.asked[0][1] == "Bearer s3cret"
    assert other.asked == []
    assert "s3cret" not in run.path.read_text()


def test_tls(serve, scrape, certificates, page):
    server = serve({"/metrics": page("tgi")}, certificates.server)
    run = scrape(f"{server.url}/metrics", context=certificates.client)
    until(lambda: run.scraper.health.scrapes >= 2)


def test_a_second_start_continues_the_journal(serve, scrape, page):
    url = f"{serve({'/metrics': page('tgi')}).url}/metrics"
    run = scrape(url, interval_s=60.0)
    until(lambda: run.scraper.health.scrapes == 1)
    run.stop()
    with run.path.open("ab") as file:
        file.write(b'{"r":0,"t":5')  # a kill tore the last line
    again = scrape(url, interval_s=60.0)
    until(lambda: again.scraper.health.scrapes == 1)
    again.stop()
    assert tables(run.path).server.height == 4


def test_a_full_disk_costs_lines_and_not_the_run(serve, scrape, page, monkeypatch):
    run = scrape(f"{serve({'/metrics': page('tgi')}).url}/metrics")
    until(lambda: run.scraper.health.scrapes >= 1)
    write, full = os.write, threading.Event()

    def half(file, content):
        if content.startswith((b"{", b"\n{")) and not full.is_set():
            return write(file, content[: len(content) // 2])
        return write(file, content)

    monkeypatch.setattr(os, "write", half)
    until(lambda: run.scraper.health.unwritten >= 3)
    full.set()
    done = run.scraper.health.scrapes
    until(lambda: run.scraper.health.scrapes > done + 2)
    health = run.stop()
    assert tables(run.path).server.height == health.scrapes - health.unwritten


def test_a_journal_that_cannot_be_written(tmp_path):
    with pytest.raises(BadInput) as error:
        Scraper(["http://h/metrics"], tmp_path / "none" / "server.journal", origin_s=0.0)
    assert error.value.file.endswith("server.journal")


@pytest.mark.parametrize("interval_s", [0.0, -1.0, math.inf, math.nan])
def test_an_interval_that_is_none(tmp_path, interval_s):
    with pytest.raises(BadInput):
        Scraper([], tmp_path / "j", origin_s=0.0, interval_s=interval_s)


def test_the_mock_engine(mock_url, scrape):
    run = scrape(f"{mock_url}/metrics", interval_s=60.0)
    until(lambda: run.scraper.health.scrapes == 1)
    from inferatlas.measure.bench.server.address import endpoint_at

    body = json.dumps({"model": "mock", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 7}).encode()
    connection = endpoint_at(mock_url).connect()
    reply = connection.ask("/v1/chat/completions", time.monotonic() + 5.0, method="POST", body=body)
    connection.close()
    assert reply.status == 200
    run.stop()
    server = tables(run.path).server
    assert server["output_tokens_total"][1] - server["output_tokens_total"][0] == 7.0
    assert server["running"].to_list() == [0.0, 0.0]
