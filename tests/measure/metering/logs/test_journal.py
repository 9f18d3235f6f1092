import errno
import json
import os
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import channel

from inferatlas.errors import BadInput
from inferatlas.measure.metering.channel import Fault
from inferatlas.measure.metering.logs.journal import CLOCK, RECORD, Journal, is_journal, read_journal
from inferatlas.measure.metering.scope import Scope

CHANNELS = (channel("counter", update_s=0.1, wrap_j=262.0), channel("average", window_s=1.0, scope=Scope.NODE_AC))


def written(path, records, clocks=()):
    journal = Journal(path)
    journal.begin(CHANNELS, 1_700_000_000 * 10**9)
    for pair in clocks:
        journal.clock(*pair)
    journal.write(np.array(records, dtype=RECORD))
    journal.close()
    return path


RECORDS = [(0, 10, 1.5, 0), (1, 11, np.nan, Fault.TIMEOUT), (0, 20, 2.5, 0), (1, 21, 400.0, 0)]


def test_what_is_written_comes_back(tmp_path):
    log = read_journal(written(tmp_path / "a.journal", RECORDS))
    assert log.channels == CHANNELS and log.unix_ns == 1_700_000_000 * 10**9
    assert log.series[0].t_ns.tolist() == [10, 20] and log.series[0].value.tolist() == [1.5, 2.5]
    assert log.series[1].fault.tolist() == [Fault.TIMEOUT, 0] and np.isnan(log.series[1].value[0])
    assert log.remarks == log.reasons == log.notes == ()


@given(st.integers(0, 4 * RECORD.itemsize - 1))
def test_a_journal_cut_anywhere_keeps_every_whole_reading(tmp_path_factory, cut):
    path = written(tmp_path_factory.mktemp("cut") / "a.journal", RECORDS)
    content = path.read_bytes()
    head = content.index(b"\n") + 1
    path.write_bytes(content[: head + cut])
    log = read_journal(path)
    assert sum(one.t_ns.size for one in log.series) == cut // RECORD.itemsize
    assert bool(log.notes) == bool(cut % RECORD.itemsize)


def test_a_wall_clock_that_was_set_is_remarked(tmp_path):
    lead = 1_700_000_000 * 10**9
    steady = read_journal(written(tmp_path / "a.journal", RECORDS, [(5, lead), (15, lead + 10**6)]))
    assert steady.remarks == ()
    stepped = read_journal(written(tmp_path / "b.journal", RECORDS, [(5, lead), (15, lead - 3600 * 10**9)]))
    assert stepped.remarks == ("clock_step",)
    assert all(one.t_ns.size == 2 for one in stepped.series)  # clocks are no channel
    assert CLOCK not in range(len(CHANNELS))


@pytest.mark.parametrize("content", [b"", b"time_s,power_w\n1,2\n", b'{"format": "other"}\n', b"\xff\xfe\n", b"{}\n"])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "x.journal"
    path.write_bytes(content)
    assert not is_journal(path)
    with pytest.raises(BadInput, match="not a journal"):
        read_journal(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source", 5), ("device", None), ("name", []), ("quantity", "watts"), ("semantics", "mean"), ("scope", 7),
        ("gain", "x"), ("gain", -1), ("wrap_j", 1e300), ("limit_w", float("inf")), ("other", 1),
    ],
)  # fmt: skip
def test_a_channel_that_cannot_be_is_refused(tmp_path, name, value):
    path = written(tmp_path / "a.journal", RECORDS)
    head, _, body = path.read_bytes().partition(b"\n")
    document = json.loads(head)
    document["channels"][0][name] = value
    path.write_bytes(json.dumps(document).encode() + b"\n" + body)
    with pytest.raises(BadInput, match="not a journal"):
        read_journal(path)


@pytest.mark.parametrize("damaged", [(0, 15, 2.0, 99), (7, 15, 2.0, 0), (-9, 15, 2.0, 0)])
def test_readings_that_are_damaged_are_left_out_and_counted(tmp_path, damaged):
    log = read_journal(written(tmp_path / "a.journal", [*RECORDS, damaged]))
    assert sum(one.t_ns.size for one in log.series) == len(RECORDS)
    assert log.notes == ("damaged readings that are left out: 1",)


def test_a_missing_file_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        read_journal(tmp_path / "none")
    with pytest.raises(BadInput, match="cannot be written"):
        Journal(tmp_path / "none" / "a.journal").begin(CHANNELS, 0)


def test_a_journal_is_known_by_its_first_line(tmp_path):
    assert is_journal(written(tmp_path / "a.journal", RECORDS))


def test_what_a_crash_left_is_kept_beside(tmp_path):
    path = written(tmp_path / "a.journal", RECORDS)
    for n in (1, 2):
        again = Journal(path)
        again.begin(CHANNELS, 5)
        again.close()
        assert again.notes == (f"an older journal was there: kept as a.journal.{n}",)
    assert read_journal(tmp_path / "a.journal.1").series[0].value.tolist() == [1.5, 2.5]
    assert read_journal(path).unix_ns == 5
    assert Journal(path).notes == ()


def test_records_come_back_though_the_folder_went(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    journal = Journal(folder / "a.journal")
    journal.begin(CHANNELS, 0)
    journal.write(np.array(RECORDS[:2], dtype=RECORD))
    shutil.rmtree(folder)
    journal.write(np.array(RECORDS[2:], dtype=RECORD))
    assert journal.records()["t_ns"].tolist() == [10, 11, 20, 21]
    journal.close()


def test_a_write_that_fails_halfway_leaves_whole_records_and_none_twice(tmp_path, monkeypatch):
    journal, pwrite = Journal(tmp_path / "a.journal"), os.pwrite
    journal.begin(CHANNELS, 0)
    journal.write(np.array(RECORDS[:1], dtype=RECORD))
    left = [RECORD.itemsize + 7]  # as much room as the disk has

    def nearly_full(descriptor, content, at):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = pwrite(descriptor, content[: left[0]], at)
        left[0] -= done
        return done

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", nearly_full)
        with pytest.raises(BadInput, match="No space left"):
            journal.write(np.array(RECORDS[1:], dtype=RECORD))
    assert journal.records()["t_ns"].tolist() == [10]
    assert read_journal(journal.path).notes == ()
    journal.write(np.array(RECORDS[1:], dtype=RECORD))  # somebody made room
    journal.close()
    assert [one.t_ns.tolist() for one in read_journal(journal.path).series] == [[10, 20], [11, 21]]


def test_a_journal_that_cannot_begin_leaves_no_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(BadInput, match="No space left"):
        Journal(tmp_path / "a.journal").begin(CHANNELS, 0)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses_at_the_end_is_told_as_such(tmp_path, monkeypatch):
    def broken(_):
        raise OSError(errno.EIO, "Input/output error")

    journal = Journal(tmp_path / "a.journal")
    journal.begin(CHANNELS, 0)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(BadInput, match="Input/output error"):
        journal.close()
    journal.close()  # a second time is nothing
