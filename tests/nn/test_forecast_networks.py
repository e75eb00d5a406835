"""ConvLSTM and AFNO: shapes, counts, what they see, and against formulas written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from physlab.errors import PhysLabError
from physlab.nn import AFNO, ConvLSTM, count_parameters
from physlab.nn.afno import SpectralMixing
from physlab.nn.convlstm import LSTMCell
from physlab.nn.unet import wrap_columns


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def test_lstm_cell_is_its_formula(rng):
    cell = LSTMCell(2, 3).double()
    x, h, c = (torch.randn(1, n, 5, 4, generator=rng, dtype=torch.float64) for n in (2, 3, 3))
    joined = functional.pad(torch.cat([x, h], 1), (1, 1, 1, 1), mode="replicate")
    gates = functional.conv2d(joined, cell.gates.weight, cell.gates.bias)
    i, f, o, g = gates.split(3, dim=1)
    new = torch.sigmoid(f + 1) * c + torch.sigmoid(i) * torch.tanh(g)
    got_h, got_c = cell(x, h, c)
    assert torch.allclose(got_c, new) and torch.allclose(got_h, torch.sigmoid(o) * torch.tanh(new))


def test_spectral_mixing_is_a_two_layer_network_of_each_wavenumber(rng):
    """Against a loop over wavenumbers and groups, with the shrinkage written out."""
    mixing = SpectralMixing(6, 2, shrink=0.02).double()
    torch.nn.init.normal_(mixing.bias, generator=rng)
    x = torch.randn(1, 6, 4, 5, generator=rng)
    modes = torch.fft.rfft2(x, norm="ortho")[0]
    out = torch.zeros_like(modes)
    weight = [torch.complex(w[0], w[1]).to(torch.complex64) for w in (mixing.first, mixing.second)]
    bias = [torch.complex(b[0], b[1]).to(torch.complex64) for b in mixing.bias]
    for k in range(4):
        for m in range(3):
            for group in range(2):
                z = modes[3 * group : 3 * group + 3, k, m] @ weight[0][group] + bias[0][group]
                z = torch.complex(z.real.relu(), z.imag.relu()) @ weight[1][group] + bias[1][group]
                parts = [p.sign() * (p.abs() - 0.02).clamp_min(0) for p in (z.real, z.imag)]
                out[3 * group : 3 * group + 3, k, m] = torch.complex(*parts)
    expected = torch.fft.irfft2(out, s=(4, 5), norm="ortho")
    assert torch.allclose(mixing.float()(x)[0], expected, atol=1e-5)


@pytest.mark.parametrize("net", [ConvLSTM(3, 8, 4, statics=1), AFNO(13, 8)], ids=["convlstm", "afno"])
@pytest.mark.parametrize("shape", [(33, 33), (16, 24), (17, 40)])
def test_any_shape_and_a_start_at_zero(net, shape, rng):
    x = torch.randn(2, 13, *shape, generator=rng)
    y = net(x)
    assert y.shape == (2, 8, *shape) and not y.any()  # untrained: no change
    torch.nn.init.normal_(net.last.weight, std=0.1, generator=rng)
    loss = net(x).square().mean()
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    torch.nn.init.zeros_(net.last.weight)


def test_counts():
    c = 48
    cells = 2 * ((2 * c) * 4 * c * 9 + 4 * c)
    embed, mix, last = 4 * 4 * c + c, 3 * c * 2 * c * 9 + 2 * c, 2 * c * 8 * 4 * 9 + 8 * 4
    assert count_parameters(ConvLSTM(3, 8, 4, statics=1, channels=c)) == cells + embed + mix + last
    c = 64
    spectral = 2 * 2 * 4 * 16 * 16 + 2 * 2 * c
    block = spectral + (c * c * 9 + c) + 2 * 2 * c + (c * 2 * c + 2 * c) + (2 * c * c + c)
    assert count_parameters(AFNO(13, 8)) == 4 * block + (13 * 4 * c + c) + (c * 8 * 4 * 9 + 8 * 4)


def test_the_last_frame_counts_and_the_order_of_frames_too(rng):
    net = ConvLSTM(2, 4, 3)
    torch.nn.init.normal_(net.last.weight, std=0.1, generator=rng)
    x = torch.randn(1, 6, 8, 8, generator=rng)
    turned = torch.cat([x[:, 2:4], x[:, :2], x[:, 4:]], dim=1)
    assert (net(x) - net(turned)).abs().max() > 1e-4


@pytest.mark.parametrize("periodic", [True, False])
def test_afno_on_a_globe_has_no_seam(periodic):
    """Fields that repeat around the globe still do, but not in a region, whose eastern end is none of its west."""
    torch.manual_seed(0)
    net = AFNO(2, 3, channels=8, depth=2, periodic=periodic)
    torch.nn.init.normal_(net.last.weight)
    x = torch.randn(2, 2, 12, 16).repeat(1, 1, 1, 2)
    with torch.no_grad():
        y = net(x)
        assert bool((y - y.roll(16, -1)).abs().max() < 1e-5 * y.std()) == periodic
        assert net(x[..., :7, :29]).shape == (2, 3, 7, 29)
        wrap_columns(net, not periodic)
        z = net(x)
    assert bool((z - z.roll(16, -1)).abs().max() < 1e-5 * z.std()) != periodic


def test_afno_sees_the_whole_field_and_convlstm_its_neighbourhood(rng):
    nets = AFNO(2, 2), ConvLSTM(1, 2, 2, layers=1)
    x = torch.randn(1, 2, 64, 64, generator=rng)
    other = x.clone()
    other[..., 60, 60] += 3
    far = []
    for net in nets:
        torch.nn.init.normal_(net.last.weight, std=0.1, generator=rng)
        far.append((net(x) - net(other))[..., :8, :8].abs().max())
    assert far[0] > 0 and far[1] == 0


def test_wrong_sizes():
    with pytest.raises(PhysLabError, match="groups"):
        AFNO(2, 2, channels=10, groups=4)
    with pytest.raises(PhysLabError, match="at least 1"):
        ConvLSTM(2, 2, 0)
