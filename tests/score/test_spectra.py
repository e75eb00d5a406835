"""Spectra: Parseval, a single wave, white noise, slopes; the divergence: zero, positive, per sample."""

import math

import numpy as np
import pytest
import torch

from physlab.errors import PhysLabError
from physlab.score import radial_spectrum, spectral_divergence


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(32, 32), (33, 33), (24, 40), (41, 20)])
def test_parseval(shape):
    x = noise(3, *shape) + 7
    _, power = radial_spectrum(x, total=True, corners=True)
    assert torch.allclose(power.sum(-1), x.var((-2, -1), correction=0), rtol=1e-12)


@pytest.mark.parametrize(("ky", "kx"), [(0, 5), (7, 0), (3, 4), (6, 8)])
def test_a_single_wave_sits_in_its_ring(ky, kx):
    """2 cos has mean square 2."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wave = 2 * torch.cos(2 * math.pi * (ky * y + kx * x) / 64 + 0.3)
    k, power = radial_spectrum(wave, total=True)
    ring = round(math.hypot(ky, kx))
    assert power[k == ring].item() == pytest.approx(2, rel=1e-5) and power[k != ring].max() < 1e-9


def test_a_wave_has_the_same_wavenumber_whichever_way_it_runs_on_an_oblong():
    """Eight cells per wave on 32 x 64: eight waves per longer side, along either axis."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(64.0), indexing="ij")
    for phase in (y, x):
        k, power = radial_spectrum(torch.cos(2 * math.pi * phase / 8), total=True)
        assert k[power.argmax()] == 8 and len(k) == 32


def test_white_noise_is_flat():
    """Each mode of unit white noise carries 1 / (H W)."""
    k, power = radial_spectrum(noise(400, 32, 32))
    assert k.tolist() == list(range(1, 17)) and power.shape == (400, 16)
    assert torch.allclose(power.mean(0) * 32 * 32, torch.ones(16, dtype=torch.float64), atol=0.06)
    _, tapered = radial_spectrum(noise(400, 32, 32), window="hann")
    assert torch.allclose(tapered.mean(0)[2:] * 32 * 32, torch.ones(14, dtype=torch.float64), atol=0.1)


def test_a_field_with_a_given_slope_has_that_slope():
    """Amplitudes k^-2 make power per mode k^-4 and E(k) = 2 pi k times that, so k^-3."""
    fy, fx = np.fft.fftfreq(128)[:, None] * 128, np.fft.rfftfreq(128)[None] * 128
    k = np.hypot(fy, fx)
    phase = np.fft.rfft2(np.random.default_rng(0).normal(size=(20, 128, 128)))
    field = np.fft.irfft2(phase * np.where(k > 0, np.maximum(k, 1) ** -2.0, 0), s=(128, 128))
    for total, slope in ((False, -4), (True, -3)):
        wavenumber, power = radial_spectrum(field, total=total)
        part = slice(3, 60)
        fit = np.polyfit(np.log(wavenumber[part].numpy()), np.log(power.mean(0)[part].numpy()), 1)[0]
        assert fit == pytest.approx(slope, abs=0.06)


def test_hann_window_stops_the_leakage_of_a_trend():
    ramp = torch.linspace(0, 1, 64).expand(64, 64)
    _, plain = radial_spectrum(ramp)
    _, tapered = radial_spectrum(ramp, window="hann")
    assert tapered[-1] / tapered[0] < 1e-3 * plain[-1] / plain[0]
    with pytest.raises(PhysLabError, match="hann"):
        radial_spectrum(ramp, window="box")


def by_definition(pred, truth, top):
    """SpecDiv of one pair in plain numpy: rings of |k| rounded, mean power, normalised, sum S log(S / S^)."""
    n = truth.shape[-1]
    k = np.rint(np.hypot(np.fft.fftfreq(n)[:, None], np.fft.fftfreq(n)[None]) * n)
    rings = np.arange(1, n // 2 + 1)
    p, t = (np.array([np.abs(np.fft.fft2(a))[k == r].__pow__(2).mean() for r in rings]) for a in (pred, truth))
    if top:
        keep = rings >= np.quantile(rings, 0.9)
        p, t = p[keep], t[keep]
    p, t = p / p.sum(), t / t.sum()
    return (t * np.log(t / p)).sum()


@pytest.mark.parametrize("top", [False, True])
def test_divergence_by_its_definition(top):
    truth, pred = noise(4, 48, 48).cumsum(-1), noise(4, 48, 48, seed=1).cumsum(-2) + 2
    each = spectral_divergence(pred, truth, top_decile=top, mean=False)
    expected = [by_definition(p, t, top) for p, t in zip(pred.numpy(), truth.numpy(), strict=True)]
    assert np.allclose(each, expected, rtol=1e-8)
    assert float(spectral_divergence(pred, truth, top_decile=top)) == pytest.approx(np.mean(expected), rel=1e-8)


@pytest.mark.parametrize("top", [False, True])
def test_divergence_is_zero_for_identical_fields_and_positive_otherwise(top):
    truth = noise(6, 1, 64, 64)
    assert abs(float(spectral_divergence(truth, truth, top))) < 1e-14
    assert abs(float(spectral_divergence(3 * truth + 5, truth, top))) < 1e-12  # shape of the spectrum, not its size
    smooth = torch.nn.functional.avg_pool2d(truth, 3, 1, 1)
    assert float(spectral_divergence(smooth, truth, top)) > 1e-3
    assert torch.isfinite(spectral_divergence(torch.zeros_like(truth), truth, top))
    assert float(spectral_divergence(torch.zeros_like(truth), torch.zeros_like(truth), top)) == 0


def test_spectra_are_averaged_after_the_transform():
    """Averaging independent fields first removes their variance; averaging spectra does not."""
    x = noise(100, 32, 32)
    _, after = radial_spectrum(x)
    _, before = radial_spectrum(x.mean(0))
    assert float(after.mean(0).sum() / before.sum()) > 50


def test_one_dimension_is_refused():
    with pytest.raises(PhysLabError, match="at least 2"):
        radial_spectrum(torch.zeros(16))


@pytest.mark.parametrize("top", [False, True])
def test_wavenumbers_beyond_the_largest_do_not_count(top):
    """By the definition on the rings that are left; what happens above them has no effect."""
    truth, pred = noise(3, 48, 48).cumsum(-1), noise(3, 48, 48, seed=1).cumsum(-2)
    k = np.rint(np.hypot(np.fft.fftfreq(48)[:, None], np.fft.fftfreq(48)[None]) * 48)
    rings, expected = np.arange(1, 11), []
    for p, t in zip(pred.numpy(), truth.numpy(), strict=True):
        p, t = (np.array([np.abs(np.fft.fft2(a))[k == r].__pow__(2).mean() for r in rings]) for a in (p, t))
        if top:
            p, t = (s[rings >= np.quantile(rings, 0.9)] for s in (p, t))
        p, t = p / p.sum(), t / t.sum()
        expected.append((t * np.log(t / p)).sum())
    found = spectral_divergence(pred, truth, top_decile=top, largest=10)
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-8, abs=1e-12)
    modes = torch.from_numpy(np.fft.ifft2(np.where(k > 10.5, 50.0, 0) * np.fft.fft2(noise(48, 48).numpy())).real)
    assert float(spectral_divergence(pred + modes, truth, top, largest=10)) == pytest.approx(float(found), abs=1e-9)
    assert abs(float(spectral_divergence(pred + modes, truth, top)) - float(found)) > 1e-3
    whole = spectral_divergence(pred, truth, top)
    assert torch.equal(spectral_divergence(pred, truth, top, largest=24), whole)
    assert torch.equal(spectral_divergence(pred, truth, top, largest=999), whole)
