"""Files that are there whole or not at all."""

import pytest

from archpress.whole_files import whole_file, write_bytes, write_text


def test_what_was_written_is_there_and_nothing_else(tmp_path):
    write_text(tmp_path / "text", "größer")
    write_bytes(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_text(encoding="utf-8") == "größer"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert {path.name for path in tmp_path.iterdir()} == {"text", "bytes"}


def test_files_are_readable_as_other_new_files_are_whatever_wrote_them(tmp_path):
    with whole_file(tmp_path / "private") as unfinished:
        unfinished.touch(mode=0o600)
    (tmp_path / "usual").touch()
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes["private"] == modes["usual"]


def break_off(place):
    with whole_file(place) as unfinished:
        unfinished.write_text("half")
        raise ValueError("in mid-write")


def test_a_failure_in_mid_write_leaves_what_was_there(tmp_path):
    place = tmp_path / "kept"
    write_text(place, "before")
    with pytest.raises(ValueError, match="in mid-write"):
        break_off(place)
    assert place.read_text() == "before"
    assert list(tmp_path.iterdir()) == [place]


def test_nothing_written_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "none"):
        pass
    assert not list(tmp_path.iterdir())
