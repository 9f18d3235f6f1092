"""Questions in SQL: over records of both kinds together, and closed to everything else."""

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from inferatlas.errors import BadInput
from inferatlas.measure.bench.record.finding import Record, find
from inferatlas.measure.bench.record.querying import query, schema

Measured = Callable[..., Path]


@pytest.fixture
def records(measured: Measured, simulated: Path) -> tuple[Record, ...]:
    return find([measured("c4", power=True), simulated]).records


def test_columns_of_both_kinds_are_united(records: tuple[Record, ...]):
    found = query(
        records,
        "SELECT r.kind, count(*) n, sum(q.output_tokens)::INT t, sum(len(q.token_s))::INT s, count(q.due_s) d,"
        " count(q.admitted_s) a, avg(q.ttft_s) ttft FROM requests q JOIN runs r USING (run) GROUP BY 1 ORDER BY 1",
    )
    rows = found.rows()
    assert [(row["kind"], row["n"], row["d"], row["a"]) for row in rows] == [
        ("measured", 200, 0, 0), ("simulated", 600, 0, 600),
    ]  # fmt: skip
    for row, record in zip(rows, records, strict=True):
        frame = pl.read_parquet(record.path / "requests.parquet")
        assert row["t"] == row["s"] == frame["output_tokens"].sum()
        assert row["ttft"] == pytest.approx(frame["ttft_s"].mean())


def test_a_run_has_a_name_in_every_table(records: tuple[Record, ...]):
    for table in ("requests", "power", "server", "events"):
        names = query(records, f"SELECT DISTINCT run FROM {table}").columns["run"]
        assert set(names) <= {one.name for one in records} and names


def test_columns_of_another_type_do_not_stop_a_question(records: tuple[Record, ...]):
    folder = records[0].path
    frame = pl.read_parquet(folder / "requests.parquet")
    frame.with_columns(replica=pl.lit("left")).write_parquet(folder / "requests.parquet")
    assert "left" in query(records, "SELECT DISTINCT replica FROM requests").columns["replica"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM glob('/etc/*')", "SELECT * FROM read_parquet('{other}')", "SELECT * FROM '{other}'",
        "COPY runs TO '{out}'", "COPY (SELECT 1) TO '{table}'", "EXPLAIN ANALYZE COPY (SELECT 1) TO '{table}'",
        "ATTACH '{out}'", "INSTALL httpfs", "LOAD httpfs", "EXPORT DATABASE '{out}'",
        "SET enable_external_access = true",
        "SET lock_configuration = false", "RESET allowed_paths", "PRAGMA enable_external_access = true",
        "DROP VIEW requests",
        "CREATE TABLE t AS SELECT 1", "DELETE FROM runs", "INSERT INTO runs (run) VALUES ('x')", "SELECT 1; SELECT 2",
        "SELECT 1; COPY runs TO '{out}'", "CALL pragma_version()", "PREPARE p AS SELECT 1", "", ";", "SELEC",
        "SELECT nothing FROM runs", "SELECT * FROM records", "SELECT * FROM secrets_of_this_process",
        "SELECT * FROM query('COPY runs TO ''{out}''')", "SELECT getenv('HOME')",
        "WITH x AS (COPY runs TO '{out}') SELECT 1", "SELECT 1/0 FROM runs WHERE error('x')",
    ],
)  # fmt: skip
def test_nothing_else_can_be_read_or_done(records: tuple[Record, ...], tmp_path: Path, sql: str):
    secrets_of_this_process = pl.DataFrame({"a": [1]})  # DuckDB could take it for a table
    other = tmp_path / "other.parquet"
    secrets_of_this_process.write_parquet(other)
    table = records[0].path / "requests.parquet"
    before, listed = table.read_bytes(), sorted(tmp_path.iterdir())
    words = sql.format(other=other, out=tmp_path / "out", table=table)
    if "requests" not in words:
        words = words.replace("SELECT", "SELECT /* requests */", 1)  # so that files are open to the question
    with pytest.raises(BadInput) as refused:
        query(records, words)
    assert refused.value.exit_code == 2 and refused.value.field == "sql"
    assert table.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == listed


def test_a_misspelt_column_gets_the_columns_there_are(records: tuple[Record, ...]):
    with pytest.raises(BadInput) as refused:
        query(records, "SELECT ttft FROM requests")
    assert "ttft" in refused.value.message and "ttft_s" in (refused.value.hint or "")


def test_a_table_that_cannot_be_read_is_left_out_and_told(records: tuple[Record, ...]):
    (records[0].path / "requests.parquet").write_bytes(b"PAR1 no more")
    found = query(records, "SELECT count(DISTINCT run) AS runs FROM requests")
    assert found.columns == {"runs": [1]}
    assert len(found.remarks) == 1 and "c4/requests.parquet left out" in found.remarks[0]


def test_a_name_with_a_quote_is_no_way_out(measured: Measured):
    folder = measured("it's')--")
    assert query(find([folder]).records, "SELECT count(*) n FROM requests").columns == {"n": [200]}


def test_a_path_that_is_a_pattern_is_told(measured: Measured):
    found = query(find([measured("a[1]")]).records, "SELECT count(*) n FROM requests")
    assert found.columns == {"n": [0]} and "pattern" in found.remarks[0]


def test_values_of_every_type_are_plain():
    found = query(
        [],
        "SELECT INTERVAL 90 SECOND i, 1.25::DECIMAL(5,2) d, 'nan'::DOUBLE n, DATE '2026-11-29' t, 'x'::BLOB b,"
        " {'a': [1, NULL]} s, 1::HUGEINT << 100 h, uuid() IS NOT NULL u, TIME '12:30:00' c, 1 i",
    )
    assert found.rows() == [
        {"i": 90.0, "d": 1.25, "n": None, "t": "2026-11-29", "b": "78", "s": {"a": [1, None]}, "h": 2.0**100, "u": True,
         "c": "12:30:00", "i_2": 1},
    ]  # fmt: skip


def test_the_schema_names_every_table(records: tuple[Record, ...]):
    found = schema(records)
    assert list(dict.fromkeys(found.columns["table"])) == ["runs", "requests", "power", "server", "events"]
    assert query(records, "SHOW TABLES").columns["name"] == ["events", "power", "requests", "runs", "server"]


def test_without_records_tables_are_empty():
    assert query([], "SELECT * FROM runs").rows() == []
    assert query([], "SELECT * FROM requests").columns == {"run": []}


def test_ctrl_c_ends_a_question_that_never_ends():
    """DuckDB sees no signal while it works: the question is put by another thread, and told to end."""
    endless = "SELECT sum(a.range) FROM range(1000000) a, range(1000000) b, range(1000000) c"
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored in some shells
    try:
        threading.Timer(0.05, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            query([], endless)
    finally:
        signal.signal(signal.SIGINT, before)
