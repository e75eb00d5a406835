"""Files and folders: replaced whole, never over what is not ours, one writer at a time, strays swept."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from physlab.errors import CheckpointError, StoreError
from physlab.store import CARD, MANIFEST, WEIGHTS, lock, new_folder, read_card, recover, verify, write_file
from physlab.store import files as store
from physlab.store.manifest import write_manifest


def write_model(folder: Path, seed: int = 0) -> Path:
    with new_folder(folder, "model") as part:
        (part / CARD).write_text(f'{{"seed": {seed}}}')
        (part / WEIGHTS).write_bytes(b"weights")
        write_manifest(part)
    return folder


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_a_file_replaces_the_old_one_and_makes_its_folders(tmp_path) -> None:
    path = tmp_path / "a" / "b" / "x.csv"
    assert write_file(path, "one") == path and path.read_text() == "one"
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    write_file(link, memoryview(b"two"))
    assert path.read_text() == "two" and link.is_symlink()
    assert tree(tmp_path) == ["a", "a/b", "a/b/x.csv", "link.csv"]


def test_a_name_of_any_length_that_the_system_takes_is_written(tmp_path) -> None:
    assert write_file(tmp_path / ("x" * 255), "y").read_text() == "y"
    with pytest.raises(OSError, match="too long"):
        write_file(tmp_path / ("x" * 256), "y")
    assert len(tree(tmp_path)) == 1


def test_what_is_no_file_is_not_replaced_by_one(tmp_path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="a folder has that name"):
        write_file(tmp_path / "folder", "")
    with pytest.raises(StoreError, match="a device has that name"):
        write_file("/dev/null", "")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match="a file has that name"):
        write_model(tmp_path / "file")
    with pytest.raises(OSError, match="Not a directory"):
        write_file(tmp_path / "file" / "x", "")
    assert tree(tmp_path) == ["file", "folder"] and (tmp_path / "file").read_text() == "mine"


def test_a_failing_block_leaves_neither_files_nor_the_folders_above(tmp_path) -> None:
    with pytest.raises(KeyError), new_folder(tmp_path / "a" / "b" / "model", "model") as part:
        (part / CARD).write_text("{}")
        raise KeyError("no")
    assert tree(tmp_path) == []


@pytest.mark.parametrize("system", ["exchanges", "does not exchange"])
def test_a_folder_replaces_one_of_its_kind_alone(tmp_path, monkeypatch, system) -> None:
    if system != "exchanges":
        monkeypatch.setattr(store, "exchange", lambda *names: False)
    folder = write_model(tmp_path / "m")
    write_model(folder, 1)
    assert read_card(folder) == {"seed": 1} and tree(tmp_path) == sorted(
        ["m", f"m/{CARD}", f"m/{WEIGHTS}", f"m/{MANIFEST}"]
    )
    (folder / MANIFEST).unlink()  # as those that ship
    write_model(folder, 2)
    assert read_card(folder) == {"seed": 2}
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds notes\.txt, which is not of a model that PhysLab wrote"):
        write_model(folder, 3)
    with pytest.raises(StoreError, match="zarr"), new_folder(folder, "zarr"):
        pass
    assert read_card(folder) == {"seed": 2} and (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "names", [["card.json"], ["manifest.json"], ["thesis.tex"], ["model.safetensors"], [".zgroup"]]
)
def test_a_folder_of_somebody_else_is_not_a_model(tmp_path, names) -> None:
    for name in names:
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / name).write_text("{}")
    with pytest.raises(StoreError, match="nothing was changed"):
        write_model(tmp_path / "m")
    assert tree(tmp_path / "m") == names


def test_a_foreign_file_that_comes_while_we_write_is_seen(tmp_path) -> None:
    folder = write_model(tmp_path / "m")
    with pytest.raises(StoreError, match="late"), new_folder(folder, "model"):
        (folder / "late.txt").write_text("mine")
    assert read_card(folder) == {"seed": 0} and (folder / "late.txt").exists() and len(tree(tmp_path)) == 5


def test_an_interrupted_swap_without_exchange_is_set_right(tmp_path, monkeypatch) -> None:
    folder = write_model(tmp_path / "m")
    monkeypatch.setattr(store, "exchange", lambda *names: False)
    rename, calls = os.rename, []

    def failing(source, target):
        calls.append(target)
        if len(calls) > 1:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        write_model(folder, 1)
    assert not folder.exists()  # no call works any more: both versions are there, and the lock file that tells so
    monkeypatch.setattr(os, "rename", rename)
    assert read_card(folder) == {"seed": 0}
    assert len(tree(tmp_path)) == 4


def test_two_writers_of_one_name(tmp_path, monkeypatch) -> None:
    with lock(tmp_path / "run"):
        with pytest.raises(StoreError, match="another process is writing"), lock(tmp_path / "run", 0.0):
            pass
        recover(tmp_path / "run")
        assert len(tree(tmp_path)) == 1  # the lock of a living one stays
        write_file(tmp_path / "other", "x")
        monkeypatch.setattr(store, "WAIT", 0.1)
    write_file(tmp_path / "run", "y")
    assert tree(tmp_path) == ["other", "run"]


def test_a_second_process_waits_for_the_first(tmp_path) -> None:
    code = (
        "import sys, time; from physlab.store import lock\n"
        "with lock(sys.argv[1]): print('in', flush=True); time.sleep(0.5)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "in\n"
    start = time.monotonic()
    write_file(tmp_path / "x", "second")
    assert time.monotonic() - start > 0.2 and child.wait() == 0 and tree(tmp_path) == ["x"]


def test_strays_of_a_killed_writer_are_swept_by_whoever_comes_next(tmp_path) -> None:
    code = (
        "import os, signal, sys; from physlab.store import new_folder\n"
        "with new_folder(sys.argv[1], 'model') as part:\n"
        "    (part / 'card.json').write_text('{}'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for sweep in (lambda: write_file(tmp_path / "z", ""), lambda: recover(tmp_path / "any")):
        assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")]).returncode == -9
        assert len([name for name in tree(tmp_path) if name.startswith(".physlab-")]) == 3
        sweep()
        assert tree(tmp_path) in (["z"], [])


def test_digests_tell_what_was_changed(tmp_path) -> None:
    folder = write_model(tmp_path / "m")
    verify(folder)
    (folder / WEIGHTS).write_bytes(b"weightz")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is not what was saved"):
        verify(folder)
    verify(folder, (CARD,))
    (folder / MANIFEST).write_text('{"physlab": 2, "sha256": {}}')
    with pytest.raises(CheckpointError, match="layout 2, this PhysLab reads up to 1"):
        verify(folder)
    for damaged in ("{", "[]", '{"physlab": 1, "sha256": {"a": 1}}', "[" * 100_000):
        (folder / MANIFEST).write_text(damaged)
        with pytest.raises(CheckpointError, match="is damaged"):
            verify(folder)
    (folder / MANIFEST).unlink()
    verify(folder)  # older: there is nothing to compare with


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": ' * 100_000 + "1" + "}" * 100_000, "nested more than 32 deep"),
        ("[" * 100_000, "nested more than 32 deep"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ("[]", "lacks everything"),
        ("{", "cannot be read"),
        ('{"a": "' + '\\"' * 1_000_000, "cannot be read"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ("x" * ((1 << 23) + 1), "more than"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)  # fmt: skip
def test_cards_are_read_with_limits(tmp_path, content, words) -> None:
    (tmp_path / CARD).write_bytes(content if isinstance(content, bytes) else content.encode())
    start = time.monotonic()
    with pytest.raises(CheckpointError, match=words) as error:
        read_card(tmp_path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400 and time.monotonic() - start < 1.0
