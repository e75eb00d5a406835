"""Downloads: checked, resumed, never half-written; every failure is one line that says what to do."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import numpy as np
import pytest

from physlab.data import catalog, sources
from physlab.data.registry import FILES, RemoteFile
from physlab.errors import DownloadError

CONTENT = np.random.default_rng(1).bytes(300_000)
FILE = RemoteFile("field.nc", "repo/commit/field.nc", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server) -> Path:
    """An empty cache, a catalogue with one file, and the local server in place of the network."""
    server.content = CONTENT
    monkeypatch.setenv("PHYSLAB_MIRROR", server.url)
    monkeypatch.delenv("PHYSLAB_DATA", raising=False)
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(sources.time, "sleep", lambda _seconds: None)
    monkeypatch.setitem(FILES, "toy", (FILE,))
    return tmp_path / "cache" / "toy"


def visible(folder: Path) -> list[str]:
    """File names in a folder, hidden ones too."""
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def failure() -> str:
    with pytest.raises(DownloadError) as caught:
        catalog.fetch("toy", progress=False)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("toy: ")
    return message


def test_downloads_once_then_uses_the_cache(cache, server):
    first = catalog.fetch("toy")
    assert first == [cache / "field.nc"]
    assert first[0].read_bytes() == CONTENT
    assert catalog.fetch("toy") == first
    assert len(server.asked) == 1
    assert visible(cache) == ["field.nc"]
    assert sources.is_cached("toy")


def test_a_broken_connection_is_continued_within_one_call(cache, server):
    server.cut, server.cuts = 12 * sources.CHUNK, 2
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT
    assert server.asked == ["", f"bytes={12 * sources.CHUNK}-", f"bytes={24 * sources.CHUNK}-"]


def test_an_interrupted_download_is_resumed_by_the_next_call(cache, server):
    server.cut, server.cuts = 6 * sources.CHUNK + 5, sources.ATTEMPTS
    kept = sources.ATTEMPTS * (6 * sources.CHUNK + 5)  # every byte that came
    message = failure()
    assert f"{kept} of {len(CONTENT)} bytes are kept" in message
    assert visible(cache) == [".field.nc.part"], "no file may stand under the final name"
    server.asked.clear()
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT
    assert server.asked == [f"bytes={kept}-"]
    assert visible(cache) == ["field.nc"]


def test_a_server_without_ranges_starts_anew(cache, server):
    server.ranges = False
    server.cut, server.cuts = 100_000, 1
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT


@pytest.mark.parametrize("content", [CONTENT[:-1] + b"?", CONTENT + b"more", b"<html>log in first</html>"])
def test_corrupt_content_is_refused_and_removed(cache, server, content):
    server.content = content
    message = failure()
    assert "the bad file was removed" in message
    assert FILE.sha256[:12] in message
    assert visible(cache) == []
    server.content = CONTENT
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT


def test_a_spoiled_part_file_is_discarded_and_the_download_repeated(cache, server):
    cache.mkdir(parents=True)
    (cache / ".field.nc.part").write_bytes(b"x" * 1000)
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", ""]


@pytest.mark.parametrize("size", [len(CONTENT), len(CONTENT) + 7])
def test_a_spoiled_part_file_of_full_length_is_discarded_too(cache, server, size):
    cache.mkdir(parents=True)
    (cache / ".field.nc.part").write_bytes(b"x" * size)
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_replaced(cache):
    path = catalog.fetch("toy", progress=False)[0]
    path.write_bytes(b"damaged")
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT


def test_a_failed_replacement_keeps_the_old_file(cache, server):
    path = catalog.fetch("toy", progress=False)[0]
    path.write_bytes(b"older version")
    server.content = b"corrupt"
    failure()
    assert path.read_bytes() == b"older version"


def test_a_mirror_that_drips_is_given_up(cache, server, monkeypatch):
    """Each byte comes within the time-out: without a least speed it would take for ever."""
    monkeypatch.setattr(sources, "PATIENCE", 0.2)
    server.drip = 0.03
    start = time.monotonic()
    message = failure()
    assert "no connection" in message and "(TooSlow)" in message and "are kept and continued" in message
    assert time.monotonic() - start < 5.0 and visible(cache) == [".field.nc.part"]
    server.drip = 0.0
    assert catalog.fetch("toy", progress=False)[0].read_bytes() == CONTENT
    assert visible(cache) == ["field.nc"]


def test_not_found(cache, server):
    server.code = 404
    message = failure()
    assert "HTTP 404" in message
    assert visible(cache) == []


def test_no_network(cache, monkeypatch):
    monkeypatch.setenv("PHYSLAB_MIRROR", "http://127.0.0.1:9")
    message = failure()
    assert "nothing was stored" in message
    assert "PHYSLAB_DATA/toy/" in message
    assert visible(cache) == []


def test_a_cache_that_cannot_be_written(cache, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(sources, "cache_folder", lambda: tmp_path / "file")
    assert "cannot store" in failure()


def test_two_at_once_download_once(cache, server):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: catalog.fetch("toy", progress=False)[0], range(4)))
    assert set(paths) == {cache / "field.nc"}
    assert paths[0].read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_own_folder_is_used_if_the_checksum_is_right(cache, server, monkeypatch, tmp_path):
    own = tmp_path / "own" / "toy"
    own.mkdir(parents=True)
    (own / "field.nc").write_bytes(CONTENT)
    monkeypatch.setenv("PHYSLAB_DATA", str(tmp_path / "own"))
    assert catalog.fetch("toy") == [own / "field.nc"]
    assert server.asked == []
    (own / "field.nc").write_bytes(b"other")
    with pytest.warns(UserWarning, match="another checksum"):
        assert catalog.fetch("toy", progress=False) == [cache / "field.nc"]
    assert (own / "field.nc").read_bytes() == b"other", "the user's own folder is never written to"


def test_unknown_names_list_near_ones():
    with pytest.raises(FileNotFoundError, match="did you mean era5-moisture"):
        catalog.fetch("era5-moistur")


def test_every_address_names_a_commit_and_every_file_a_checksum():
    for files in FILES.values():
        for file in files:
            assert len(file.path.split("/")[2]) == 40
            assert len(file.sha256) == 64
            assert sources.address(file).startswith("https://raw.githubusercontent.com/")


@pytest.mark.real_data
@pytest.mark.parametrize("name", sorted(FILES))
def test_the_real_files_have_the_checksums_of_the_catalogue(name, real_data):
    for path, file in zip(catalog.fetch(name, progress=False), FILES[name], strict=True):
        assert path == real_data / name / file.name
        assert path.stat().st_size == file.size
