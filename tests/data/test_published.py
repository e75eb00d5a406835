"""Models by address, from a server on this machine: what arrives is what was published, or nothing is opened."""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import pickle
import re
import shutil
import sys
import threading
import types
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import physlab
from physlab.cli import main
from physlab.data import published, sources
from physlab.data.published import Address, fetch_model
from physlab.downscale import make_downscaler
from physlab.errors import CheckpointError, DownloadError, StoreError
from physlab.nn import CompactResNet
from physlab.store import add_files
from physlab.store.published import listing, publish


class Handler(http.server.SimpleHTTPRequestHandler):
    """A static web server that knows ranges, and can break off."""

    asked: ClassVar[list[str]] = []
    cut = 0
    elsewhere = ""

    def do_GET(self) -> None:
        self.asked.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        if self.elsewhere:
            self.send_response(302)
            self.send_header("Location", self.elsewhere)
            self.end_headers()
            return
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content, told = path.read_bytes(), self.headers.get("Range")
        start = int(told[6:].rstrip("-")) if told else 0
        self.send_response(206 if told else 200)
        if told:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if type(self).cut and path.suffix in (".safetensors", ".zip"):
            end = start + type(self).cut
        self.wfile.write(content[start:end])

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def site(tmp_path, monkeypatch) -> str:
    """Address of a folder on the server, SITE, and an empty cache."""
    (tmp_path / "site").mkdir()
    monkeypatch.setattr(published, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(sources.time, "sleep", lambda seconds: None)
    for name, value in (("asked", []), ("cut", 0), ("elsewhere", "")):
        monkeypatch.setattr(Handler, name, value)
    httpd = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(tmp_path / "site"))
    )
    threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture
def trained(tmp_path) -> Path:
    """A small network with a report beside it."""
    torch.manual_seed(0)
    model = make_downscaler(CompactResNet(4, channels=4, blocks=1), "softmax", 20.0, "tcw", "toy")
    physlab.save(model, tmp_path / "mine")
    return add_files(tmp_path / "mine", {"report.html": "<p>scores</p>"})


def opened(model) -> torch.Tensor:
    """What tells models apart."""
    return model.predict(torch.linspace(1, 20, 64).reshape(1, 1, 8, 8))


@pytest.mark.parametrize("name", ["uk-t2m", "uk-t2m.zip"])
def test_a_published_model_is_loaded_by_its_address_once(site, trained, tmp_path, name: str) -> None:
    made = physlab.publish(trained, tmp_path / "site" / name)
    address = made.address.replace("https://YOUR.SERVER", site)
    first = physlab.load_model(address)
    assert torch.equal(opened(first), opened(physlab.load_model(trained)))
    asked = len(Handler.asked)
    folder = fetch_model(address)
    assert (folder / "report.html").read_text() == "<p>scores</p>" and folder.name == "uk-t2m"
    assert torch.equal(opened(physlab.load_model(address)), opened(first)) and len(Handler.asked) == asked
    assert sorted(p.name for p in folder.parent.iterdir()) == ["published.sha256", "uk-t2m"]
    if name == "uk-t2m":
        assert torch.equal(opened(physlab.load_model(made.path)), opened(first))


def test_packing_twice_gives_the_same_bytes(trained, tmp_path) -> None:
    one, two = (publish(trained, tmp_path / f"{k}.zip") for k in "ab")
    assert one.sha256 == two.sha256 == hashlib.sha256((tmp_path / "a.zip").read_bytes()).hexdigest()
    assert publish(trained, tmp_path / "c").sha256 == publish(trained, tmp_path / "c").sha256


def test_a_new_version_is_fetched_when_it_is_asked_for(site, trained, tmp_path, capsys) -> None:
    old = publish(trained, tmp_path / "site" / "m")
    before = opened(physlab.load_model(f"{site}/m"))
    torch.manual_seed(1)
    physlab.save(make_downscaler(CompactResNet(4, channels=8, blocks=1, zero_start=False), "add", 20.0, "tcw", "toy"),
                 tmp_path / "other")  # fmt: skip
    new = publish(tmp_path / "other", tmp_path / "site" / "m")
    assert torch.equal(opened(physlab.load_model(f"{site}/m")), before)  # from the cache
    with pytest.raises(DownloadError, match=f"has SHA-256 {new.sha256[:12]}.* says {'0' * 12}"):
        fetch_model(f"{site}/m#sha256={'0' * 64}")
    main(["fetch", f"{site}/m"])
    assert physlab.load_model(f"{site}/m").constraint == "add"
    assert capsys.readouterr().out.strip().endswith("/m")
    with pytest.raises(DownloadError, match="another model is there now"):
        physlab.load_model(f"{site}/m#sha256={old.sha256}")


def test_commands_publish_and_say_the_address(trained, tmp_path, capsys) -> None:
    main(["publish", str(trained), str(tmp_path / "out.zip")])
    said = capsys.readouterr().out
    digest = hashlib.sha256((tmp_path / "out.zip").read_bytes()).hexdigest()
    assert f"https://YOUR.SERVER/out.zip#sha256={digest}" in said


@pytest.mark.parametrize("name", ["m", "m.zip"])
def test_a_truncated_file_is_continued_and_never_opened(site, trained, tmp_path, name: str, monkeypatch) -> None:
    publish(trained, tmp_path / "site" / name)
    Handler.cut = 900
    with pytest.raises(DownloadError, match="bytes are kept"):
        fetch_model(f"{site}/{name}", progress=False)
    cache = tmp_path / "cache"
    assert not any(cache.rglob("*.safetensors")) and not any(cache.rglob("*.zip"))
    Handler.cut = 0
    physlab.load_model(f"{site}/{name}")
    assert any("bytes=2700-" in line for line in Handler.asked)


@pytest.mark.parametrize("file", ["model.safetensors", "card.json", "report.html"])
def test_a_wrong_digest_is_refused(site, trained, tmp_path, file: str) -> None:
    publish(trained, tmp_path / "site" / "m")
    path = tmp_path / "site" / "m" / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DownloadError, match=r"expected \d+ bytes with .* nothing was opened"):
        fetch_model(f"{site}/m", progress=False)
    assert not (Address.of(f"{site}/m").folder).exists()


def forged(folder: Path, **changes) -> None:
    """Change the manifest of a folder, digests and sizes of its files made again."""
    path = folder / "manifest.json"
    told = json.loads(path.read_text())
    for name in list(told["sha256"]):
        told["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        told["size"][name] = (folder / name).stat().st_size
    for key, value in changes.items():
        told[key].update(value)
    path.write_text(json.dumps(told))


HOSTILE = ["../evil.json", "..\\evil.json", "/etc/evil.json", "a/b.json", "C:evil.json", ".hidden.json", "evil.pkl",
           "evil.pt", "evil.py", "a..json", "x\n.json", "", "ü.json"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_fetched(site, trained, tmp_path, name) -> None:
    publish(trained, tmp_path / "site" / "m")
    forged(tmp_path / "site" / "m", sha256={name: "0" * 64}, size={name: 1})
    with pytest.raises(CheckpointError, match="cannot be a file of a published model"):
        fetch_model(f"{site}/m")
    assert Handler.asked == ["/m/manifest.json"]
    with zipfile.ZipFile(tmp_path / "site" / "m.zip", "w") as archive:
        for path in (tmp_path / "site" / "m").iterdir():
            archive.write(path, path.name)
        if name:
            archive.writestr(name, "x")
    with pytest.raises(CheckpointError, match="cannot be a file of a published model"):
        fetch_model(f"{site}/m.zip")
    assert not list(tmp_path.rglob("evil*"))


def test_an_archive_with_more_than_it_names_is_refused(site, trained, tmp_path) -> None:
    publish(trained, tmp_path / "site" / "m.zip")
    with zipfile.ZipFile(tmp_path / "site" / "m.zip", "a") as archive:
        archive.writestr("../../evil.json", "x")
    with pytest.raises(CheckpointError, match="does not name: nothing was unpacked"):
        fetch_model(f"{site}/m.zip")
    (tmp_path / "site" / "n.zip").write_bytes(b"PK no")
    with pytest.raises(CheckpointError, match="no ZIP archive"):
        fetch_model(f"{site}/n.zip")
    assert not list(tmp_path.rglob("evil*")) and not list((tmp_path / "cache").rglob("*.safetensors"))


class Evil:
    def __reduce__(self):
        return (print, ("opened",))


def test_a_pickle_in_disguise_is_not_opened(site, trained, tmp_path, capsys) -> None:
    """With right digests: whoever publishes it can make those."""
    publish(trained, tmp_path / "site" / "m")
    for content in (pickle.dumps(Evil()), b"PK\x03\x04" + bytes(100), (2**60).to_bytes(8, "little") + b"{}"):
        (tmp_path / "site" / "m" / "model.safetensors").write_bytes(content)
        forged(tmp_path / "site" / "m")
        with pytest.raises(CheckpointError, match=r"is not safetensors, it looks like (a pickle|something else)"):
            fetch_model(f"{site}/m", again=True, progress=False)
        shutil.rmtree(tmp_path / "cache")
    assert "opened" not in capsys.readouterr().out


def test_what_is_too_large_is_refused_before_it_is_fetched(site, trained, tmp_path, monkeypatch) -> None:
    for name in ("m", "m.zip"):
        publish(trained, tmp_path / "site" / name)
    forged(tmp_path / "site" / "m", size={"model.safetensors": 5 << 30})
    with pytest.raises(CheckpointError, match="has 5369 MB, at most 2147 MB"):
        fetch_model(f"{site}/m")
    (tmp_path / "site" / "m.zip").write_bytes(bytes(3 << 20))
    with pytest.raises(CheckpointError, match="at most 0 MB"):
        fetch_model(f"{site}/m.zip", largest=1000)
    assert Handler.asked == ["/m/manifest.json"]  # and one question for a size
    monkeypatch.setattr(published.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=10))
    forged(tmp_path / "site" / "m")
    with pytest.raises(DownloadError, match=r"MB in .*, 0 are free"):
        fetch_model(f"{site}/m")


@pytest.mark.parametrize(("text", "said"), [
    ("http://example.org/m", "not encrypted"), ("ftp://example.org/m", "no address of a model"),
    ("file:///etc/passwd", "no address of a model"), ("https://example.org/", "no address of a model"),
    ("https://example.org/a/../m", "no address of a model"), ("https://example.org/..", "no address of a model"),
    ("https://me:word@example.org/m", "password"), ("https://example.org/m?x=1", "question"),
    ("https://example.org/m#sha256=12", "64 digits"), ("https://[::1/m", "no address"),
    ("hf://only", "no address on the hub"), ("hf://a/../b", "no address on the hub"),
])  # fmt: skip
def test_other_addresses_are_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(DownloadError, match=said) as caught:
        physlab.load_model(text)
    assert "\n" not in str(caught.value)


def test_a_redirection_to_plain_http_is_refused(site, trained, tmp_path) -> None:
    publish(trained, tmp_path / "site" / "m")
    steps = [types.SimpleNamespace(url="https://example.org/m"), types.SimpleNamespace(url="http://localhost/m")]
    with pytest.raises(DownloadError, match="a redirection led there"):
        published._encrypted(types.SimpleNamespace(url=steps[1].url, history=steps[:1]))
    Handler.elsewhere = "http://example.invalid/m"
    with pytest.raises(DownloadError, match="no connection"):  # no such host; were there one, it would be refused
        fetch_model(f"{site}/m")


def test_no_server_and_no_model_are_said(site, tmp_path) -> None:
    with pytest.raises(DownloadError, match=r"manifest.json is not there, or was refused .HTTP 404."):
        fetch_model(f"{site}/nothing")
    with pytest.raises(DownloadError, match=r"no connection to 127.0.0.1:9"):
        fetch_model("http://127.0.0.1:9/m")


def test_only_models_are_published(trained, tmp_path) -> None:
    with pytest.raises(CheckpointError):
        physlab.publish(tmp_path, tmp_path / "out")
    (trained / "card.json").write_text((trained / "card.json").read_text().replace("softmax", "mult"))
    with pytest.raises(CheckpointError):
        physlab.publish(trained, tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"lacks model.safetensors"):
        listing(json.dumps({"physlab": 1, "sha256": {"card.json": "0" * 64}, "size": {"card.json": 1}}).encode(), 9)
    for content in (b"[]", b"{", b'{"physlab":1}', b"[" * 100_000):
        with pytest.raises(CheckpointError, match=r"not that of a published model"):
            listing(content, 9)


def test_names_that_cannot_stand_in_an_address_are_refused(trained, tmp_path) -> None:
    for name in ("with space", "ü", "a..b"):
        with pytest.raises(StoreError, match="part of an address"):
            publish(trained, tmp_path / name)
    add_files(trained, {"notes.docx": "x"})
    with pytest.raises(StoreError, match=re.escape("'notes.docx'")):
        publish(trained, tmp_path / "out")


def test_the_hub_is_asked_through_its_client(trained, tmp_path, monkeypatch) -> None:
    """The client is not a requirement; here one of the same signature stands in its place."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(DownloadError, match="huggingface_hub, which is not installed"):
        physlab.load_model("hf://someone/model")
    made = publish(trained, tmp_path / "hub").path
    asked = []

    def hf_hub_download(repo_id: str, filename: str, *, revision: str | None = None) -> str:
        asked.append((repo_id, filename, revision))
        return str(made / filename)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=hf_hub_download))
    model = physlab.load_model("hf://someone/model@v1")
    assert torch.equal(opened(model), opened(physlab.load_model(trained)))
    assert asked[0] == ("someone/model", "manifest.json", "v1") and len(asked) == 4
    (made / "report.html").write_text("other")
    with pytest.raises(DownloadError, match=r"report.html is not what was published"):
        physlab.load_model("hf://someone/model")
