import pytest

from archpress.data import places


@pytest.fixture(autouse=True)
def no_other_data(tmp_path, monkeypatch):
    """Nothing of this machine is found, and nothing is downloaded."""
    cache = tmp_path / "cache"
    monkeypatch.delenv(places.VARIABLE, raising=False)
    monkeypatch.setattr(places, "SYSTEM", tmp_path / "system")
    monkeypatch.setattr(places, "cache_folder", lambda: cache)
    monkeypatch.setattr("archpress.data.named.cache_folder", lambda: cache)

    def offline(address, file, md5, folder):
        raise ConnectionError("offline")

    monkeypatch.setattr("archpress.data.named.download", offline)
    return cache


@pytest.fixture
def given(tmp_path, monkeypatch):
    """The folder that the environment variable names."""
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setenv(places.VARIABLE, str(folder))
    return folder
