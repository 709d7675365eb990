import json

import pytest

from archpress.errors import StoreError
from archpress.report.record import read_result


def write(folder, content):
    (folder / "result.json").write_text(
        content if isinstance(content, str) else json.dumps(content)
    )
    return folder


def test_a_whole_result_is_read(tmp_path, make):
    result = read_result(write(tmp_path, make.result()))
    assert result.compressed is not None
    assert result.compressed.distilled
    assert not result.source.distilled
    assert result.data.input_shape == (1, 28, 28)
    assert result.surrogate is not None
    assert result.surrogate.kendall == 0.74


def test_a_run_without_a_result_is_said_to_be_unfinished(tmp_path):
    with pytest.raises(StoreError, match=r"holds no result\.json.*not finished"):
        read_result(tmp_path)


def test_what_is_no_json_is_refused_with_its_path(tmp_path):
    with pytest.raises(StoreError, match=r"cannot read .*result\.json"):
        read_result(write(tmp_path, "{"))


def test_a_newer_version_asks_for_a_newer_archpress(tmp_path, make):
    with pytest.raises(StoreError, match=r"version 2.*a newer one is needed"):
        read_result(write(tmp_path, make.result() | {"version": 2}))


def test_another_format_is_refused(tmp_path, make):
    with pytest.raises(StoreError, match=r"format: .*found 'something'"):
        read_result(write(tmp_path, make.result() | {"format": "something"}))


def test_a_wrong_field_is_named_with_its_place(tmp_path, make):
    content = make.result()
    content["source"]["parameters"] = "many"
    with pytest.raises(StoreError, match=r"source\.parameters: .*found 'many'"):
        read_result(write(tmp_path, content))


def test_a_list_is_refused(tmp_path):
    with pytest.raises(StoreError, match="the whole"):
        read_result(write(tmp_path, [1]))
