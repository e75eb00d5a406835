"""Networks of several frames: published sizes, causality, and that a flow moves what it should where it should."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from physlab.errors import FieldError, PhysLabError
from physlab.nn import ConvGRU, ERUNet, FlowConvGRU, Upscaler, VoxelFlow, bicubic, count_parameters, warp
from physlab.nn.erunet import advection_residual
from physlab.nn.voxelflow import between

SMALL = {
    "gru": (ConvGRU, {"channels": 4, "blocks": 1}),
    "gru shuffle": (ConvGRU, {"channels": 4, "blocks": 1, "upsample": "shuffle"}),
    "flow": (FlowConvGRU, {"channels": 4, "blocks": 1, "flow_channels": [3, 4, 5]}),
    "flow bare": (FlowConvGRU, {"channels": 4, "blocks": 1, "flow_channels": [3, 4, 5], "norm": False}),
    "flow given": (FlowConvGRU, {"channels": 4, "blocks": 1, "frames": [3, 3], "upsample": "shuffle"}),
    "eru": (ERUNet, {"channels": 4, "blocks": 1, "flow_channels": 3}),
}


def small(name: str, factor: int, **more) -> Upscaler:
    make, arguments = SMALL[name]
    return make(factor, **arguments, **more)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blob(x: float, y: float, shape: tuple[int, int] = (20, 24), width: float = 3.0) -> torch.Tensor:
    """A Gaussian at column x and row y, (h, w), float64."""
    rows = torch.arange(shape[0], dtype=torch.float64)[:, None]
    columns = torch.arange(shape[1], dtype=torch.float64)
    return torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))


def test_sizes_identify_the_published_networks() -> None:
    assert count_parameters(ConvGRU(4)) == 960_513
    assert count_parameters(VoxelFlow()) == 3_815_491
    assert count_parameters(FlowConvGRU(4)) == 4_776_004 == 960_513 + 3_815_491
    assert count_parameters(FlowConvGRU(4, frames=(3, 3))) == 960_513
    assert count_parameters(ConvGRU(4, frames=5)) == 960_513, "the same weights for every frame"
    assert count_parameters(ConvGRU(8)) - count_parameters(ConvGRU(4)) == 2 * 64 * 64 * 9, "one block per doubling"


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("factor", [2, 3, 8])
def test_refines_any_shape(name: str, factor: int) -> None:
    network = small(name, factor)
    raw, full = network.run(draw(2, network.frames[0], 3, 5))
    assert raw.shape == (2, 3, 3 * factor, 5 * factor) and raw.dtype == torch.float32
    assert full.shape == (2, 3, 3, 5)
    with pytest.raises(FieldError, match=r"pass \(batch"):
        network(draw(2, 1, 3, 5))


@pytest.mark.parametrize("name", SMALL)
def test_zero_start_is_linear_in_time_and_the_skip_in_space(name: str) -> None:
    network = small(name, 4, zero_start=True, skip="bicubic", shift=280.0, spread=3.0)
    coarse = 280 + draw(2, network.frames[0], 5, 6)
    full = coarse if network.frames[0] == 3 else torch.stack([coarse[:, 0], coarse.mean(1), coarse[:, 1]], dim=1)
    raw, completed = network.run(coarse)
    torch.testing.assert_close(completed, full)
    torch.testing.assert_close(raw, bicubic(full, 4))


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    network = small(name, 4, skip="bicubic")
    if name == "eru":  # its flow starts at zero, where only its last layer has a gradient
        torch.nn.init.normal_(network.flow.last.weight, std=0.1)
    network(draw(2, network.frames[0], 9, 8)).square().sum().backward()
    still = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not still


@pytest.mark.parametrize("name", SMALL)
def test_half_precision_and_memory_format_change_little(name: str) -> None:
    torch.manual_seed(0)
    network = small(name, 2, skip="bicubic").eval()
    coarse = draw(2, network.frames[0], 6, 7)
    expected = network(coarse)
    torch.testing.assert_close(network.to(memory_format=torch.channels_last)(coarse), expected, atol=1e-4, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(coarse)
    assert half.dtype == torch.float32 and float((half - expected).detach().abs().max()) < 0.1


@pytest.mark.parametrize("name", ["gru", "gru shuffle", "flow given"])
@torch.no_grad()
def test_recurrence_is_causal_and_remembers(name: str) -> None:
    torch.manual_seed(0)
    network, coarse = small(name, 2), draw(2, 3, 6, 6)
    fine = network(coarse)
    later, earlier = coarse.clone(), coarse.clone()
    later[:, 2] += 1.0
    earlier[:, 0] += 1.0
    torch.testing.assert_close(network(later)[:, :2], fine[:, :2], atol=1e-6, rtol=0)
    assert float((network(earlier)[:, 2] - fine[:, 2]).abs().max()) > 1e-4, "the third frame knows the first"
    alone = torch.stack([network(coarse[:, t : t + 1].expand(-1, 3, -1, -1))[:, 0] for t in range(3)], dim=1)
    torch.testing.assert_close(alone[:, 0], fine[:, 0], atol=1e-6, rtol=0)
    assert float((alone - fine)[:, 1:].abs().max()) > 1e-4, "not frame by frame"
    swapped = network(coarse.flip(0)).flip(0)
    torch.testing.assert_close(swapped, fine, atol=1e-6, rtol=0)


def test_gates_hold_or_replace_the_state() -> None:
    """z = 1 keeps the state, z = 0 takes the candidate: the closed forms of the recurrence."""
    network = ConvGRU(2, channels=4, blocks=1)
    cell, x, state = network.cell, draw(1, 4, 5, 5), draw(1, 4, 5, 5, seed=1)
    torch.nn.init.zeros_(cell.gates.weight)
    for bias, expected in (
        (50.0, state),
        (-50.0, cell.candidate(torch.cat([x, 0.5 * state], dim=1)).tanh()),
    ):
        with torch.no_grad():
            cell.gates.bias[:4], cell.gates.bias[4:] = bias, 0.0
        torch.testing.assert_close(cell(x, state), expected)


def test_decoder_keeps_the_cell_centres() -> None:
    """A decoder that hands its input on is bilinear interpolation at cell centres: a linear field stays linear."""
    network = ConvGRU(4, channels=1, blocks=0, frames=1, state_blocks=0)
    for block in network.decode:
        if hasattr(block, "second"):
            torch.nn.init.zeros_(block.second.weight)
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    fine = network.decode(ramp)[0, 0, 16, 4:-4]
    torch.testing.assert_close(fine, (torch.arange(4.0, 28.0) + 0.5) / 4 - 0.5)


def test_warp_is_a_shift() -> None:
    x = draw(2, 3, 6, 7)
    whole = torch.tensor([2.0, -1.0])[None, :, None, None].expand(2, 2, 6, 7)
    moved = warp(x, whole)
    torch.testing.assert_close(moved[..., 1:, :-2], x[..., :-1, 2:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., 0, -2:], x[..., 0, -1:].expand(-1, -1, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(warp(x, torch.zeros(2, 2, 6, 7)), x, atol=1e-5, rtol=0)
    half = warp(x, torch.tensor([0.5, 0.0])[None, :, None, None].expand(2, 2, 6, 7))
    torch.testing.assert_close(half[..., :-1], (x[..., :-1] + x[..., 1:]) / 2, atol=1e-5, rtol=0)
    scipy = pytest.importorskip("scipy.ndimage")
    flow = draw(1, 2, 6, 7, seed=3).double()
    field = draw(1, 1, 6, 7, seed=4).double()
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    expected = scipy.map_coordinates(
        field[0, 0].numpy(), [(rows + flow[0, 1]).numpy(), (columns + flow[0, 0]).numpy()], order=1, mode="nearest"
    )
    torch.testing.assert_close(warp(field, flow)[0, 0], torch.from_numpy(expected), atol=1e-12, rtol=0)


def test_flow_moves_a_blob_to_the_middle_and_none_leaves_two() -> None:
    """Linear interpolation of a moving blob is two half blobs; the flow of half an interval gives the one between."""
    first, middle, last = (blob(8 + 4 * t, 11 - 2 * t, width=1.5)[None, None] for t in (0.0, 1.0, 2.0))
    flow = torch.tensor([4.0, -2.0])[None, :, None, None].expand(1, 2, 20, 24)
    share = torch.full((1, 1, 20, 24), 0.5)
    moved = between(first, last, flow, share)
    linear = between(first, last, torch.zeros_like(flow), share)
    torch.testing.assert_close(moved, middle, atol=1e-4, rtol=0)
    torch.testing.assert_close(linear, (first + last) / 2)
    assert float((linear - middle).abs().max()) > 0.5
    one_sided = between(first, last, flow, torch.ones_like(share))
    torch.testing.assert_close(one_sided, warp(first, -flow))


def test_voxel_flow_set_by_hand_reaches_the_completed_frame() -> None:
    network = FlowConvGRU(2, channels=4, blocks=1, flow_channels=(3, 4, 5), reach=5.0, zero_start=True, norm=False)
    with torch.no_grad():
        network.flow.last.bias.copy_(torch.tensor([3.0 / 5.0, -1.0 / 5.0, 0.0]).atanh())
    first, middle, last = (10 + blob(8 + 3 * t, 11 - t, width=1.5) for t in (0.0, 1.0, 2.0))
    coarse = torch.stack([first, last])[None].float()
    full = network.complete(coarse)
    assert torch.equal(full[:, [0, 2]], coarse), "what is given stays as it is"
    torch.testing.assert_close(full[0, 1], middle.float(), atol=1e-5, rtol=0)


def test_voxel_flow_learns_a_motion() -> None:
    """A blob that moves by 4 cells: a few steps on the middle frame beat linear interpolation."""
    torch.manual_seed(0)
    network = VoxelFlow((4, 8, 8), norm=False, reach=4.0, zero_start=True)
    starts = [(6.0, 6.0), (9.0, 12.0), (12.0, 8.0)]
    frames = [torch.stack([blob(x + 2 * t, y, width=2.0) for x, y in starts]).float() for t in (0, 1, 2)]
    pair, middle = torch.stack([frames[0], frames[2]], dim=1), frames[1][:, None]
    adam = torch.optim.Adam(network.parameters(), lr=1e-2)
    errors = []
    for _ in range(80):
        error = (between(pair[:, :1], pair[:, 1:], *network(pair)) - middle).square().mean()
        errors.append(float(error.detach()))
        adam.zero_grad()
        error.backward()
        adam.step()
    linear = float(functional.mse_loss(pair.mean(1, keepdim=True), middle))
    assert errors[0] == pytest.approx(linear, rel=1e-3) and errors[-1] < 0.2 * linear


def set_motion(network: ERUNet, u: float, v: float) -> None:
    """Set a uniform motion by hand: the last layer of the flow has zero weights and the motion as bias."""
    motion = network.reach * (torch.tensor([u, v]) / network.reach).atanh()
    with torch.no_grad():
        network.flow.last.bias.copy_(torch.tensor([*motion.tolist(), 0.0]))


def test_eru_motion_fills_in_the_middle_and_costs_nothing_when_exact() -> None:
    """A wave that moves with the motion: right middle frame; the residual is that of the differences, O(h^2)."""
    assert small("eru", 2).penalty(draw(1, 2, 5, 6), torch.ones(1, 3, 10, 12)) == 0
    penalties = []
    for refinement in (1, 2):
        cells = 32 * refinement
        places = torch.arange(cells * 2, dtype=torch.float64) / (2 * cells) * 2 * torch.pi
        x, y = places, places[:, None]
        # by 0.4 and -0.2 radians per interval; half the interval on half the cells is the same motion in cells
        moments = [t / refinement for t in (0.0, 0.5, 1.0)]
        fine = torch.stack([10 + torch.sin(x - 0.4 * t) * torch.cos(y + 0.2 * t) for t in moments])[None]
        u = 0.4 * 32 / (2 * torch.pi)
        network = ERUNet(2, channels=4, blocks=1, flow_channels=3, advection=1.0, smoothness=0.0).double()
        network.motion = lambda coarse, u=u: (
            torch.tensor([u, -u / 2], dtype=torch.float64)[None, :, None, None].expand(1, 2, *coarse.shape[-2:]),
            torch.full((1, 1, *coarse.shape[-2:]), 0.5, dtype=torch.float64),
        )
        coarse = functional.avg_pool2d(fine, 2)
        completed = network.complete(coarse[:, [0, 2]])
        inside = (slice(None), 1, slice(4, -4), slice(4, -4))
        assert float((completed - coarse)[inside].abs().max()) < 0.01 / refinement**2
        penalties.append(float(network.penalty(coarse[:, [0, 2]], fine)))
    still_cost = float(advection_residual(coarse, torch.zeros(1, 2, cells, cells)).square().mean())
    assert penalties[1] < 1e-4 * still_cost, "without its motion the same field costs all of its tendency"
    assert 40 < penalties[0] / penalties[1] < 90, "the squared residual: (2 * 4)^2 = 64 for h and t halved"


@torch.no_grad()
def test_eru_motion_set_by_hand_moves_a_blob() -> None:
    network = small("eru", 2, shift=10.0, spread=2.0)
    set_motion(network, 6.0, -2.0)
    first, middle, last = (10 + blob(8 + 3 * t, 11 - t, width=1.5) for t in (0.0, 1.0, 2.0))
    coarse = torch.stack([first, last])[None].float()
    full = network.complete(coarse)
    assert torch.equal(full[:, [0, 2]], coarse)
    torch.testing.assert_close(full[0, 1], middle.float(), atol=1e-5, rtol=0)
    set_motion(network, 6.0, 2.0)
    assert float((network.complete(coarse)[0, 1] - middle).abs().max()) > 0.3, "the rows have a sign"


def test_eru_penalty_teaches_the_motion_and_smooths_it() -> None:
    """Only the penalty, on a moving pattern: the mean motion goes to the true one; a rough motion costs more."""
    torch.manual_seed(0)
    x, y = torch.arange(24) / 24 * 2 * torch.pi, torch.arange(20)[:, None] / 20 * 2 * torch.pi
    u = 1.2 * 2 * torch.pi / 24  # 1.2 coarse cells per interval to the right
    coarse = torch.stack([torch.sin(x - u * t) + 0.5 * torch.sin(y + 2 * x - 2 * u * t) for t in (0, 0.5, 1)])[None]
    fine = coarse.repeat_interleave(2, -1).repeat_interleave(2, -2)
    network = ERUNet(2, channels=4, blocks=1, levels=2, flow_channels=4, advection=1.0, smoothness=1e-3)
    adam = torch.optim.Adam(network.flow.parameters(), lr=1e-2)
    for _ in range(100):
        adam.zero_grad()
        network.penalty(coarse[:, [0, 2]], fine).backward()
        adam.step()
    motion = network.motion(coarse[:, [0, 2]])[0].detach()
    assert float(motion[:, 0].mean()) == pytest.approx(1.2, abs=0.2)
    assert float(motion[:, 1].mean()) == pytest.approx(0.0, abs=0.2)
    rough = ERUNet(2, channels=4, blocks=1, flow_channels=3, advection=0.0, smoothness=0.5, spread=3.0)
    slope = 0.25 * torch.arange(6.0).expand(1, 2, 5, 6)
    rough.motion = lambda coarse: (slope, torch.full((1, 1, 5, 6), 0.5))
    cost = float(rough.penalty(torch.zeros(1, 2, 5, 6), torch.zeros(1, 3, 10, 12)))
    assert cost == pytest.approx(0.5 * 3.0**2 * 0.25**2)


def test_eru_penalty_reaches_the_predicted_frames() -> None:
    network = small("eru", 2)
    fine = draw(1, 3, 10, 12).requires_grad_()
    network.penalty(draw(1, 2, 5, 6), fine).backward()
    assert fine.grad.abs().amax((-1, -2)).squeeze()[[0, 2]].min() > 0
    with torch.autocast("cpu", torch.bfloat16):
        assert network.penalty(draw(1, 2, 5, 6), fine).dtype == torch.float32


def test_refuses_frames_that_it_cannot_make() -> None:
    with pytest.raises(PhysLabError, match=r"pass \(2, 3\)"):
        FlowConvGRU(2, frames=(1, 3))
    with pytest.raises(PhysLabError, match="1 or more"):
        ConvGRU(2, frames=0)
    with pytest.raises(PhysLabError, match="> 0"):
        VoxelFlow(reach=0)
    with pytest.raises(PhysLabError, match=r"pass \(2, 3\)"):
        ERUNet(2, frames=(3, 3))
    with pytest.raises(PhysLabError, match="weights >= 0"):
        ERUNet(2, advection=-1.0)
    with pytest.raises(PhysLabError, match="bilinear, shuffle"):
        ConvGRU(2, upsample="steps")


def test_motion_network_starts_as_the_frame_by_frame_one_and_sees_its_neighbours() -> None:
    from physlab.nn import CompactResNet, MotionResNet
    from physlab.train.run import start_from

    single = CompactResNet(2, channels=6, blocks=1, skip="bicubic", shift=0.1, spread=0.5, gain=0.2)
    torch.nn.init.normal_(single.last.weight, generator=torch.Generator().manual_seed(0))
    motion = MotionResNet(2, channels=6, blocks=1, skip="bicubic")
    start_from(motion, single)
    x = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(1))
    expected = torch.cat([single(x[:, t : t + 1]) for t in range(3)], dim=1)
    torch.testing.assert_close(motion(x), expected)
    torch.nn.init.normal_(motion.head.weight, generator=torch.Generator().manual_seed(2))
    changed = x.clone()
    changed[:, 2] += 0.1 * torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(3))
    difference = (motion(changed) - motion(x)).abs().amax((0, 2, 3))
    assert difference[1] > 1e-4 and difference[2] > 1e-4 and difference[0] == 0  # a frame sees its neighbours only
