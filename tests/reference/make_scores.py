"""Write scores.json: scores of pairs given by closed formulas, computed with independent codes (see README.md)."""

import json
from pathlib import Path

import numpy as np


def images(size: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair of (size, size) images in kg m-2, smooth waves and a distorted, noisy copy, from formulas only."""
    y, x = np.mgrid[:size, :size] / size
    truth = (
        30 + 12 * np.sin(7 * x + 3 * np.cos(5 * y)) + 8 * np.cos(23 * y - 11 * x) + 3 * np.sin(97 * x) * np.cos(71 * y)
    )
    pred = (
        30
        + 11 * np.sin(7 * x + 3 * np.cos(5 * y) + 0.05)
        + 7 * np.cos(23 * y - 11 * x)
        + 1.5 * np.sin(1e4 * x * (1 + y))
    )
    return pred, truth


def main() -> None:
    import scoringrules
    import torch
    from pytorch_msssim import ms_ssim
    from skimage.metrics import structural_similarity

    pairs = {}
    for size in (64, 192, 256):
        pred, truth = images(size)
        span = float(truth.max() - truth.min())
        entry = {"data_range": span}
        entry["ssim"] = structural_similarity(
            pred, truth, data_range=span, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        if size > 176:
            tensors = (torch.tensor(a)[None, None] for a in (pred, truth))
            weights = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # Wang et al. 2003; they sum to 1.0001
            normalised = (weights / weights.sum()).tolist()
            entry["ms_ssim"] = float(ms_ssim(*tensors, data_range=span, win_size=11, win_sigma=1.5, weights=normalised))
        pairs[str(size)] = {key: float(value) for key, value in entry.items()}
    index = np.arange(7 * 40).reshape(40, 7)
    members, truth = np.sin(1.7 * index) + 0.1 * index % 1, np.cos(2.3 * np.arange(40))
    crps = {
        "standard": scoringrules.crps_ensemble(truth, members, estimator="nrg").tolist(),
        "fair": scoringrules.crps_ensemble(truth, members, estimator="fair").tolist(),
    }
    text = json.dumps({"pairs": pairs, "crps": crps}, indent=1)
    Path(__file__).with_name("scores.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
