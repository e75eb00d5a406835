"""``physlab gpu-checkpoints``."""

from __future__ import annotations

from pathlib import Path


def gpu_checkpoints(
    output: Path = Path("gpu-checkpoints"),
    minutes: float = 15.0,
    device: str = "auto",
    rehearse: bool = False,
    only: tuple[str, ...] = (),
    data: Path | None = None,
) -> None:
    """On a machine with a graphics card: tests, times and the published sizes of every chapter, packed.

    Steps come in the order of their worth and say how many minutes they take; run it again to go on.

    Args:
        output: folder of checkpoints, table and archives.
        minutes: there are; a step that would end later is left for the next time.
        device: cpu, cuda, cuda:1, mps, or auto: a CUDA device if there is one.
        rehearse: the same way with small networks and few steps, to see that all is here.
        only: names of steps, kinds, recipes or presets, such as report.
        data: folder with the nature runs twin/run-8 and terrain/run-10; without it what ships is trained on.
    """
    from physlab.benchmark import gpu
    from physlab.cli.output import show

    written = gpu.gpu_checkpoints(output, minutes, device, rehearse, only, data or "")
    for title, table in gpu.STUDY.shown(gpu.STUDY.read(written[0])) if written else ():
        show(title, table)
    for path in written:
        print(path)
