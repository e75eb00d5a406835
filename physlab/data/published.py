"""Models by address: fetched once, checked, and opened from the cache from then on.

>>> model = physlab.load_model("https://example.org/models/uk-t2m#sha256=...")     # a folder of physlab publish
>>> model = physlab.load_model("https://example.org/models/uk-t2m.zip")            # or an archive
>>> model = physlab.load_model("hf://someone/uk-t2m")                              # through huggingface_hub

This is the one door of the library to the network beside the catalogue and the cloud stores. Plain http is for this
machine alone; files named elsewhere, larger than they say or than the limit, of other kinds, or with other digests are
refused before anything is opened, and nothing of a model is ever executed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from physlab.data.registry import RemoteFile
from physlab.data.sources import Resumable, cache_folder
from physlab.errors import CheckpointError, DownloadError, one_line
from physlab.store import CARD, MANIFEST, WEIGHTS, lock, recover, verify, write_file
from physlab.store.manifest import LARGEST as MANIFEST_LARGEST
from physlab.store.manifest import digest
from physlab.store.published import disguised, is_plain, listing, settle, unpack

LARGEST = 2 << 30
"""Bytes of a model, unless told otherwise."""
HERE = ("localhost", "127.0.0.1", "::1")
FORM = "https://SERVER/PATH/NAME, the same with .zip, or hf://ORGANISATION/NAME"


@dataclass(frozen=True)
class Address:
    """Where a model is.

    Attributes
    ----------
    url : without its fragment.  name : of the model.  sha256 : of the manifest or the archive, or "".
    """

    url: str
    name: str
    sha256: str

    @classmethod
    def of(cls, text: str) -> Address:
        """From https://SERVER/PATH/NAME#sha256=DIGEST.

        Raises
        ------
        DownloadError : another form; http, but for this machine.
        """
        try:
            parts = urlsplit(text)
            host = parts.hostname or ""
        except ValueError:
            raise DownloadError(f"'{text}' is no address: write {FORM}") from None
        if parts.scheme == "http" and host not in HERE:
            raise DownloadError(f"'{text}' is not encrypted: write https://; http is for this machine alone")
        name = parts.path.rstrip("/").rpartition("/")[2]
        stem = name.removesuffix(".zip")
        steps = parts.path.split("/")
        if parts.scheme not in ("http", "https") or not host or not is_plain(stem) or {"..", "."} & set(steps):
            raise DownloadError(f"'{text}' is no address of a model: write {FORM}")
        if parts.username or parts.query:
            raise DownloadError(f"'{text}' has a password or a question in it: write {FORM}")
        pin = re.fullmatch(r"sha256=([0-9a-fA-F]{64})", parts.fragment)
        if parts.fragment and not pin:
            raise DownloadError(f"'{text}' ends in '#{parts.fragment}': write #sha256= and 64 digits, or nothing")
        url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        return cls(url, stem, pin[1].lower() if pin else "")

    @property
    def is_archive(self) -> bool:
        return self.url.endswith(".zip")

    @property
    def folder(self) -> Path:
        """Where it lies in the cache, with what is known of it beside it."""
        key = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        return cache_folder() / "models" / key / self.name


def is_address(text: str) -> bool:
    """Whether it is meant as one."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def fetch_model(address: str, again: bool = False, largest: int = LARGEST, progress: bool = True) -> Path:
    """Folder of a published model, fetched if it is not here.

    Parameters
    ----------
    address : see the module docstring; with a digest behind it, exactly that model.
    again : ask the server whether there is another version by now.
    largest : bytes that are taken at most.

    Raises
    ------
    DownloadError : no such address, no network, an error of the server, a file that is not what was published.
    CheckpointError : something that is no model, or is too large.
    """
    if address.startswith("hf://"):
        return from_hub(address, largest)
    where = Address.of(address)
    target, known = where.folder, where.folder.with_name("published.sha256")
    recover(target)
    if not again and target.is_dir() and known.is_file():
        if not where.sha256 or known.read_text().strip() == where.sha256:
            verify(target)
            return target
    with lock(target.with_name("fetching"), 3600.0):
        parts = target.with_name("parts")
        parts.mkdir(parents=True, exist_ok=True)
        found = (_archive if where.is_archive else _folder)(where, parts, target, largest, progress)
        write_file(known, found)
        shutil.rmtree(parts, ignore_errors=True)
    return target


def _folder(where: Address, parts: Path, target: Path, largest: int, progress: bool) -> str:
    content = _small(f"{where.url}/{MANIFEST}", MANIFEST_LARGEST)
    found = hashlib.sha256(content).hexdigest()
    _agree(where, found, MANIFEST)
    entries = listing(content, largest)
    _room(parts, sum(entry.size for entry in entries))
    for entry in entries:
        whole = parts / entry.name
        if not (whole.is_file() and digest(whole) == entry.sha256):
            _fetched(f"{where.url}/{entry.name}", RemoteFile(entry.name, "", entry.sha256, entry.size), whole, progress)
    settle(parts, target, entries)
    return found


def _archive(where: Address, parts: Path, target: Path, largest: int, progress: bool) -> str:
    size = _size(where.url)
    if size > largest + (1 << 20):
        raise CheckpointError(
            f"{where.url} has {size / 1e6:.0f} MB, at most {largest / 1e6:.0f} MB are taken: raise the limit "
            "(--largest, in MB) if you trust it"
        )
    _room(parts, 3 * size)
    whole = parts / "model.zip"
    _fetched(where.url, RemoteFile("model.zip", "", where.sha256, size), whole, progress)
    unpack(whole, target, largest)
    return digest(whole)


def _fetched(url: str, file: RemoteFile, whole: Path, progress: bool) -> None:
    """One file, under its name only if it is what was published."""
    part = whole.with_name(f".{whole.name}.part")
    arriving = Resumable(file, part, progress, "check the address, or ask who published it", _encrypted)
    for _ in range(2):
        if file.size == 0:
            part.write_bytes(b"")
        arriving.fetch(url)
        if arriving.received == file.size and file.sha256 in ("", arriving.digest):
            part.replace(whole)
            return
        part.unlink(missing_ok=True)
        if not arriving.resumed:
            break
    raise DownloadError(
        f"{url} delivered {arriving.received} bytes with SHA-256 {arriving.digest[:12]}..., expected {file.size} bytes"
        + (f" with {file.sha256[:12]}..." if file.sha256 else "")
        + ": the bad file was removed and nothing was opened; try again, or ask who published it"
    )


def _agree(where: Address, found: str, what: str) -> None:
    if where.sha256 and found != where.sha256:
        raise DownloadError(
            f"{where.url}: its {what} has SHA-256 {found[:12]}..., the address says {where.sha256[:12]}...: another "
            "model is there now; nothing was opened"
        )


def _small(url: str, largest: int) -> bytes:
    """A small file, into memory."""
    with _asked("get", url) as answer:
        content = answer.raw.read(largest + 1, decode_content=True)
    if len(content) > largest:
        raise DownloadError(f"{url} is larger than {largest} bytes: this is no published model")
    return content


def _size(url: str) -> int:
    """Bytes of a file, before it is fetched."""
    with _asked("head", url) as answer:
        told = answer.headers.get("Content-Length", "")
    if not told.isdigit():
        raise DownloadError(f"{url}: the server does not say how large it is, so it is not fetched; use a folder")
    return int(told)


def _asked(how: str, url: str):
    import requests

    try:
        answer = requests.request(how, url, headers={"Accept-Encoding": "identity"}, stream=True, timeout=20.0,
                                  allow_redirects=True)  # fmt: skip
        _encrypted(answer)
        answer.raise_for_status()
    except requests.HTTPError as error:
        code = error.response.status_code if error.response is not None else "?"
        raise DownloadError(f"{url} is not there, or was refused (HTTP {code}): check the address") from None
    except requests.RequestException as error:
        raise DownloadError(
            f"no connection to {urlsplit(url).netloc} ({type(error).__name__}): connect to the network, or pass the "
            "folder of the model"
        ) from None
    return answer


def _encrypted(answer) -> None:
    """Refuse a server that sends elsewhere over plain http."""
    steps = [urlsplit(step.url) for step in (*answer.history, answer)]
    for step in steps:
        if step.scheme != "https" and {step.hostname, steps[0].hostname} - set(HERE):
            raise DownloadError(f"{step.geturl()} is not encrypted, and a redirection led there: refused")


def _room(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if 2 * wanted > free:
        raise DownloadError(f"the model needs {2 * wanted / 1e6:.0f} MB in {folder}, {free / 1e6:.0f} are free")


def from_hub(address: str, largest: int = LARGEST) -> Path:
    """Folder of hf://ORGANISATION/NAME[@REVISION], through the client of the hub and its cache."""
    match = re.fullmatch(r"hf://([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?", address)
    if not match or ".." in address:
        raise DownloadError(f"'{address}' is no address on the hub: write hf://ORGANISATION/NAME, or ...@REVISION")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise DownloadError(
            "hf:// addresses need the package huggingface_hub, which is not installed: pip install 'physlab[hub]', "
            "or use an https:// address"
        ) from None
    repo, revision = match[1], match[2]
    try:
        first = Path(hf_hub_download(repo, MANIFEST, revision=revision))
        entries = listing(first.read_bytes(), largest)
        for entry in entries:
            path = Path(hf_hub_download(repo, entry.name, revision=revision))
            if path.stat().st_size != entry.size or digest(path) != entry.sha256:
                raise DownloadError(f"{address}: {entry.name} is not what was published: nothing was opened")
    except (DownloadError, CheckpointError):
        raise
    except Exception as error:  # the client raises its own
        line = one_line(error)
        raise DownloadError(f"{address}: the hub gave no model ({type(error).__name__}: {line})") from None
    disguised(first.parent / WEIGHTS)
    verify(first.parent, (CARD, WEIGHTS))
    return first.parent
