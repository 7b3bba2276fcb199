"""The faults of a machine are real: the kernel refuses, even root, and afterwards all is well."""

from __future__ import annotations

import errno
import sqlite3

import pytest

from tests.helpers.disk import CLIENT_FAULTS, MB, small_disk, vanished


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path, 4 * MB) as mounted:
        yield mounted


def refused(path) -> int | None:
    try:
        with path.open("wb") as file:
            file.write(bytes(MB))
    except OSError as error:
        return error.errno
    return None


def test_a_full_disk_has_no_room_and_then_has(disk):
    with disk.full():
        assert refused(disk.path / "a") == errno.ENOSPC
    assert refused(disk.path / "b") is None
    with disk.full(leave_bytes=2 * MB):
        assert refused(disk.path / "c") is None
        assert 0 < disk.free_bytes < 2 * MB


def test_a_read_only_disk_refuses_root_as_well(disk):
    with disk.read_only():
        assert refused(disk.path / "a") == errno.EROFS
    assert refused(disk.path / "a") is None


def test_a_database_on_a_full_disk_says_so_and_keeps_what_it_had(disk):
    with sqlite3.connect(disk.path / "x.sqlite") as db:
        db.execute("CREATE TABLE t (v)")
        db.execute("INSERT INTO t VALUES ('kept')")
        db.commit()
        with disk.full(), pytest.raises(sqlite3.OperationalError):
            db.execute("INSERT INTO t VALUES (zeroblob(1000000))")
            db.commit()
        db.rollback()
        assert db.execute("SELECT v FROM t").fetchall() == [("kept",)]
    db.close()


def test_a_folder_that_vanished_comes_back_as_it_was(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "kept").write_text("here")
    with vanished(folder):
        assert not folder.exists()
        folder.mkdir()
    assert (folder / "kept").read_text() == "here"


@pytest.mark.parametrize("fault", CLIENT_FAULTS, ids=lambda fault: fault.name)
def test_every_row_refuses_a_large_file(disk, fault):
    folder = disk.path / "run"
    folder.mkdir()
    with fault.strike(disk, folder):
        assert refused(folder / "large") in (errno.ENOSPC, errno.EROFS, errno.ENOENT)
    assert refused(folder / "large") is None
