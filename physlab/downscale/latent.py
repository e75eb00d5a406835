r"""Residual latent diffusion: an ensemble of fine temperature fields from coarse temperature and wind over terrain.

After Tomasi et al. (2025, LDM_res) and its PDE-informed form (arXiv 2510.23866), in four networks:

1. a U-Net gives the mean field, :math:`U = \uparrow\bar T + d\, u(\uparrow\bar x, s)`, from the coarse drivers x,
   interpolated, and static fields s of the fine grid;
2. an autoencoder (:class:`~physlab.nn.vae.VAE`) takes the residual :math:`(T - U) / \rho` to latents z, one column of
   channels for each coarse cell, so that latents and drivers share a grid;
3. a conditioner makes features of the drivers (1x1 convolution, then residual or AFNO blocks on the coarse grid) and of
   the static fields (convolutions of stride 2 down to it);
4. a denoiser names the velocity v of noisy latents, given the features (:mod:`physlab.diffusion`).

A member is :math:`T = U + \rho\, G(z)`, G the decoder and z a draw. That field, in kelvin, is what a physical law is
about: see :func:`physlab.train.latent.penalty`.

None but the AFNO blocks, which get the whole coarse grid, normalises over a field or looks further than `halo` coarse
cells: a large domain is computed in tiles, each network call on overlapping ones, and gives what the whole domain would
have given.

>>> model = physlab.load_model("nature-t-low-x4-s0")
>>> fine = model.downscale(coarse, members=16)       # coarse: t_low, u_low, v_low; fine: (member, ...)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn
from torch.nn import functional

from physlab import cf
from physlab.constrain import make_constraint
from physlab.diffusion import DDIM, MMPS, AdamsBashforth, Denoiser, Heun, NoiseSchedule, Observation, Sampler
from physlab.diffusion.denoise import PosteriorMean
from physlab.downscale.base import Cancel, GriddedDownscaler, Progress
from physlab.downscale.masks import masked, without_gaps
from physlab.downscale.place import space_of, weights_of, with_edges
from physlab.downscale.several import with_names
from physlab.downscale.static import statics_on
from physlab.downscale.tiles import HALO, TILE, in_tiles
from physlab.errors import FieldError, PhysLabError
from physlab.fields import standardise, to_dataset, to_tensor
from physlab.grid import Grid, ProjectedGrid
from physlab.nn.afno import AFNOBlock
from physlab.nn.parts import choose
from physlab.nn.stored import Stored
from physlab.nn.unet import GridConv, ResBlock, UNet, wrap_columns
from physlab.nn.upscaler import bicubic
from physlab.nn.vae import VAE
from physlab.registry import Spec

MEMBERS = 8
TOGETHER = 16  # fields that go through a network at a time
SAMPLERS: dict[str, type[Sampler]] = {"heun": Heun, "ddim": DDIM, "adams": AdamsBashforth}
MIXING = ("convolution", "afno")
CONSTRAINTS = ("none", "add", "mult")


class Conditioner(nn.Module):
    """Drivers (B, D, h, w) and static fields (S, h*N, w*N) -> features (B, width, h, w)."""

    def __init__(self, drivers: int, statics: int, width: int, factor: int, mixing: str, periodic: bool) -> None:
        super().__init__()
        self.periodic = periodic
        options = {"periodic": periodic, "normalise": False}
        if mixing == "afno":
            blocks: list[nn.Module] = [AFNOBlock(width, 4, 2, periodic) for _ in range(2)]
        else:
            blocks = [ResBlock(width, width, **options)]
        self.dynamics = nn.Sequential(nn.Conv2d(drivers, width, 1), *blocks)
        steps = factor.bit_length() - 1
        ground: list[nn.Module] = []
        for k in range(steps if statics else 0):
            ground += [GridConv(statics if k == 0 else width, width, stride=2, periodic=periodic), nn.SiLU()]
        self.ground = nn.Sequential(*ground) if statics else None
        self.blend = nn.Sequential(
            GridConv(width * (2 if statics else 1), width, periodic=periodic), ResBlock(width, width, **options)
        )

    def flow(self, drivers: Tensor) -> Tensor:
        """Features of the drivers alone, from the whole domain."""
        y, x = 3, 0 if self.periodic else 3  # the transform of the AFNO blocks takes its field as periodic
        wide = self.dynamics(functional.pad(drivers, (x, x, y, y), mode="replicate"))
        return wide[..., y : wide.shape[-2] - y, x : wide.shape[-1] - x]

    def forward(self, flow: Tensor, static: Tensor) -> Tensor:
        """Features of the drivers (B, width, h, w) and static fields (1, S, h*N, w*N) -> (B, width, h, w)."""
        if self.ground is None:
            return self.blend(flow)
        return self.blend(torch.cat([flow, self.ground(static).expand(len(flow), -1, -1, -1)], dim=1))


class LatentDownscaler(Stored, GriddedDownscaler):
    """See the head of this module.

    Parameters
    ----------
    variable : what is refined; the first of the drivers.
    drivers : coarse fields that are given, e.g. t_low, u_low, v_low.
    statics : names of fine static fields, see :data:`physlab.downscale.static.FIELDS`, or others if `static` is given.
    factor : N, a power of two.
    latitude, longitude : of the fine training grid, degrees; longitude only where the method is bound to its place.
    periodic : the training fields were whole latitude circles.
    static : (S, H, W) static fields of a domain of one's own; they go with the weights, and bind the method to it.
    unet, vae, levels : widths of the U-Net, the autoencoder (as many as there are doublings in N / patch, and one) and
        the denoiser.
    latent, features : channels of the latents and of the conditioner.
    mixing : "convolution" or "afno", of the conditioner.
    patch : edge of the square of fine cells that U-Net and autoencoder take as one (sub-pixel convolution): 1 / patch^2
        of the time.

    Attributes
    ----------
    sampler, steps : "heun", "ddim" or "adams" (multistep: half the calls of Heun), and its steps. Choose their number
        by the spread of the members, see :func:`physlab.diffusion.steps_by_spread`: the CRPS is content with too few.
    constraint : "none", or "add" or "mult": members are moved, or multiplied, to agree with the coarse field;
        "mult" for what cannot be negative.
    observe : ``observe(finished, grid)`` gives what is known of the fields ``finished(latents)`` (B, 1, H, W) on a
        fine grid, as observations of the latents: members are then drawn given these, by moment matching
        (:class:`physlab.diffusion.MMPS`); None: by the coarse field alone. It is no part of a checkpoint.
    tile : coarse cells along an edge of a tile.
    halo : coarse cells by which tiles overlap on each side, as far as the networks look.
    """

    title = "latent diffusion"
    observe: Callable[[Callable[[Tensor], Tensor], Grid], Observation] | None = None
    variable: str
    mean: Tensor
    std: Tensor
    detail: Tensor
    rho: Tensor
    static: Tensor | None
    kept = ("unet.", "vae.", "conditioner.", "denoiser.")  # not the units: 98000 Pa is beyond half precision

    def __init__(
        self, variable: str, drivers: Sequence[str], statics: Sequence[str], factor: int,
        latitude: Sequence[float] | np.ndarray, longitude: Sequence[float] | np.ndarray | None = None,
        periodic: bool = False, static: Tensor | None = None,
        unet: Sequence[int] = (32, 64), vae: Sequence[int] | None = None, levels: Sequence[int] = (40, 80),
        latent: int = 4, features: int = 24, mixing: str = "convolution", patch: int = 2,
    ) -> None:  # fmt: skip
        super().__init__()
        if factor < 2 or factor & (factor - 1):
            raise PhysLabError(f"factor {factor}: latent diffusion refines by a power of two, pass 2, 4 or 8")
        if not drivers or drivers[0] != variable:
            raise PhysLabError(f"drivers {tuple(drivers)}: the first one must be {variable}, which is refined")
        choose("mixing", mixing, MIXING)
        if patch not in (1, 2) or patch > factor:
            raise PhysLabError(f"patch is {patch}: pass 1 or 2")
        count = (factor // patch).bit_length()
        vae = (24, *[48] * (count - 1)) if vae is None else tuple(vae)
        if len(vae) != count:
            raise PhysLabError(f"autoencoder of widths {vae}: factor {factor} in patches of {patch} has {count} levels")
        if static is not None and longitude is None:
            raise PhysLabError("static fields of one's own bind the method to its place: pass its longitude, too")
        self.arguments: dict[str, Any] = {
            "variable": variable, "drivers": list(drivers), "statics": list(statics), "factor": factor,
            "latitude": [float(x) for x in latitude], "periodic": bool(periodic),
            "longitude": None if longitude is None else [float(x) for x in longitude],
            "unet": list(unet), "vae": list(vae), "levels": list(levels), "latent": latent, "features": features,
            "mixing": mixing, "patch": patch,
        }  # fmt: skip
        self.variable, self.factor, self.name = variable, factor, f"latent diffusion, x{factor}"
        self.drivers, self.statics, self.periodic = tuple(drivers), tuple(statics), bool(periodic)
        self.training_grid = {"latitude": latitude} | ({} if longitude is None else {"longitude": longitude})
        self.domain = None if longitude is None else (len(latitude) // factor, len(longitude) // factor)
        self.sampler, self.steps, self.constraint, self.tile = "heun", 16, "none", TILE
        count = len(self.drivers)
        options = {"periodic": periodic, "normalise": False}
        self.unet = UNet((count + len(self.statics)) * patch**2, patch**2, unet, 1, **options)
        self.vae = VAE(1, latent, vae, 1, periodic, patch)
        self.conditioner = Conditioner(count, len(self.statics), features, factor, mixing, periodic)
        network = UNet(latent, latent, levels, 1, level=True, condition=features, **options)
        self.denoiser = Denoiser(network, NoiseSchedule("cosine"), "v")
        looks = max(self.unet.reach * patch / factor, network.reach)
        self.halo = max(HALO, math.ceil(looks / 8) * 8)
        for name, shape in (("mean", (count, 1, 1)), ("std", (count, 1, 1)), ("detail", ()), ("rho", ())):
            self.register_buffer(name, torch.zeros(shape) if name == "mean" else torch.ones(shape))
        self.register_buffer("static", static, persistent=True)

    # --- the networks, in kelvin --------------------------------------------------------------------------------------
    def upsample(self, x: Tensor) -> Tensor:
        """Bicubic, (..., h, w) -> (..., h*N, w*N), across the date line on a globe."""
        if not self.periodic:
            return bicubic(x, self.factor)
        n, margin = self.factor, 3
        wide = torch.cat([x[..., -margin:], x, x[..., :margin]], dim=-1)
        return bicubic(wide, n)[..., margin * n : -margin * n]

    def standardised(self, coarse: Tensor) -> Tensor:
        """(B, D, h, w), SI units -> the same in standard deviations of the training block."""
        return (coarse - self.mean) / self.std

    def regress(self, coarse: Tensor, static: Tensor) -> Tensor:
        """The mean field U, (B, 1, H, W), K, from drivers (B, D, h, w) and static fields (S, H, W)."""
        base = self.upsample(coarse[:, :1])
        fine = torch.cat([self.upsample(self.standardised(coarse)), static.expand(len(coarse), -1, -1, -1)], dim=1)
        patch = self.arguments["patch"]
        made = self.tiled(self.unet, [functional.pixel_unshuffle(fine, patch)], [self.factor // patch])
        return base + self.detail * functional.pixel_shuffle(made, patch)

    def features(self, coarse: Tensor, static: Tensor) -> Tensor:
        """What the denoiser is given, (B, features, h, w)."""
        flow = self.conditioner.flow(self.standardised(coarse))
        if self.conditioner.ground is None:
            return self.tiled(lambda a: self.conditioner(a, static), [flow], [1])
        return self.tiled(self.conditioner, [flow, static[None]], [1, self.factor])

    def encode(self, residual: Tensor) -> Tensor:
        """Residual T - U (B, 1, H, W), K -> latents (B, latent, h, w), standardised."""
        return self.vae.encode(residual / self.rho)

    def field(self, base: Tensor, latents: Tensor) -> Tensor:
        """The temperature that latents stand for: U + rho G(z), (B, 1, H, W), K."""
        return base + self.rho * self.tiled(self.vae.decode, [latents], [1])

    def tiled(self, apply: Callable[..., Tensor], fields: Sequence[Tensor], scales: Sequence[int]) -> Tensor:
        """A network on overlapping tiles of a domain, see :func:`in_tiles`."""
        return in_tiles(apply, fields, scales, self.tile, self.periodic, self.halo)

    # --- ensembles ----------------------------------------------------------------------------------------------------
    def make_sampler(self, seen: Observation | None = None) -> Sampler:
        """The sampler by the attributes `sampler` and `steps`; its draws are given what was seen of the latents."""
        kind = SAMPLERS[choose("sampler", self.sampler, tuple(SAMPLERS))]
        prior = Tiled(self.denoiser, self)
        return kind(prior if seen is None else MMPS(prior, seen), steps=self.steps)

    @torch.no_grad()
    def sample(
        self, coarse: Tensor, weights: Tensor | None = None, members: int = MEMBERS,
        generator: torch.Generator | None = None, static: Tensor | None = None, progress: Progress | None = None,
        cancel: Cancel | None = None, grid: Grid | None = None,
    ) -> Tensor:  # fmt: skip
        """Distinct members, (B, D, h, w) -> (members, B, H, W), K.

        Parameters
        ----------
        weights : fine cell areas, for the constraint.
        generator : of the noise, on the CPU; a new one of seed 0 by default.
        static : (S, H, W); None where the method has none, or its own.
        progress : called with (steps done, steps in all);  cancel : asked before each step.
        grid : the fine grid, for `observe`.

        Raises
        ------
        PhysLabError : fewer than one member, observations without a grid, or a constraint that the training data did
            not allow.
        Cancelled : `cancel` returned True.
        """
        if members < 1:
            raise PhysLabError(f"members is {members}: pass at least 1")
        self.check_constraint()
        if static is None:
            static = self.static
        if static is None:
            if self.statics:
                raise FieldError(
                    f"{self.name} needs the static fields {', '.join(self.statics)}: pass static=(S, H, W)"
                )
            static = coarse.new_zeros(0, *(n * self.factor for n in coarse.shape[-2:]))
        generator = torch.Generator().manual_seed(0) if generator is None else generator
        base, given = (torch.cat([apply(part, static) for part in coarse.split(TOGETHER)]).repeat_interleave(members, 0)
                       for apply in (self.regress, self.features))  # fmt: skip
        shape = (self.arguments["latent"], *coarse.shape[-2:])
        noise = torch.randn((len(base), *shape), generator=generator).to(coarse)
        if self.observe is not None and grid is None:
            raise PhysLabError("observations need the fine grid: pass grid, or use downscale()")
        sampler, made = self.make_sampler(), []
        layer = None if self.constraint == "none" else make_constraint(self.constraint, self.factor)
        block = coarse[:, :1].repeat_interleave(members, 0)
        top = float(self.denoiser.schedule.sigma(sampler.times()[0]))
        parts = list(zip(*(x.split(TOGETHER) for x in (base, given, noise, block)), strict=True))
        for k, (mean, feature, start, low) in enumerate(parts):

            def finished(z: Tensor, mean: Tensor = mean, low: Tensor = low) -> Tensor:
                made = self.field(mean, z)
                return made if layer is None else layer(made, low, weights)

            if self.observe is not None and grid is not None:
                sampler = self.make_sampler(self.observe(finished, grid))
            tell = None if progress is None else lambda n, of, _, k=k: progress(k * of + n, len(parts) * of)
            z = sampler(start=top * start, generator=generator, condition=feature, progress=tell, cancel=cancel)
            made.append(finished(z))
        return torch.cat(made)[:, 0].unflatten(0, (len(coarse), members)).transpose(0, 1)

    def check_constraint(self) -> None:
        """Refuse to tie members to a coarse field that is not the block mean of the fine one."""
        if choose("constraint", self.constraint, CONSTRAINTS) != "none" and not self.card.get("coarsening", False):
            raise PhysLabError(
                f"constraint {self.constraint!r}: the coarse fields of the training were no block means of the fine "
                "ones, so that members must not be tied to them: use 'none'"
            )

    @property
    def spec(self) -> Spec:
        place = "the domain that it has learned" if self.domain else "regular in latitude and longitude"
        return replace(super().spec, title="Latent diffusion", kind="latent diffusion", ensemble=True, grid=place,
                       inputs=dict.fromkeys(self.drivers, ""), statics=self.statics)  # fmt: skip

    def downscale(
        self, coarse: xr.DataArray | xr.Dataset, *, statics: xr.Dataset | None = None, members: int | None = None,
        seed: int = 0, progress: Progress | None = None, cancel: Cancel | None = None,
    ) -> xr.Dataset:  # fmt: skip
        """An ensemble of fine fields.

        Parameters
        ----------
        coarse : the drivers on ([time,] latitude, longitude), SI units; further variables are left out. A method with
            one driver takes it as a DataArray, too. Rows may run either way.
        statics : static fields of your own on the fine grid.
        members, seed : of the ensemble; eight members unless told otherwise.
        progress, cancel : see :meth:`sample`.

        Returns
        -------
        Dataset with the refined variable on (member, [time,] latitude, longitude).

        Raises
        ------
        FieldError : a driver that is missing, other units or dimensions, missing values, or a domain that the method
            is not for.
        """
        self.check_members(members)
        members = MEMBERS if members is None else members
        if isinstance(coarse, xr.DataArray):
            coarse = coarse.to_dataset(name=self.variable)
        if cf.is_projected(coarse) and (self.statics or self.domain):
            known = f"the static fields {', '.join(self.statics)}" if self.statics else "its place"
            raise FieldError(
                f"{self.name} knows {known} by latitude and longitude, the field lies on a projected grid: train one "
                f"on your map, or take a method such as bicubic+add-x{self.factor}"
            )
        coarse = with_names(coarse, self.drivers, self.name)
        grid, rows = Grid.from_dataset(coarse), self.training_grid["latitude"]
        if northward(grid) != (rows[0] < rows[-1]):  # the networks know north from south
            turn = {space_of(coarse)[0]: slice(None, None, -1)}
            statics = None if statics is None else standardise(statics).isel(turn)
            turned = self.downscale(
                coarse.isel(turn), statics=statics, members=members, seed=seed, progress=progress, cancel=cancel
            )
            return turned.isel(turn)
        self.check_grid(grid)
        fine = self.refine_grid(grid)
        coarse, missing = without_gaps(coarse, self.drivers, grid.periodic)
        x = to_tensor(coarse, self.drivers)
        if x.ndim != 4 or x.shape[1] != len(self.drivers):
            sizes = dict(coarse[list(self.drivers)].sizes)
            raise FieldError(f"drivers have {sizes}: {self.name} takes (time, latitude, longitude), select one member "
                             "and one level, e.g. with .isel")  # fmt: skip
        static = self.statics_of(fine, statics)
        device = self.mean.device
        trained, self.periodic = self.periodic, grid.periodic
        wrap_columns(self, grid.periodic)
        try:
            generator = torch.Generator().manual_seed(seed)
            weights = weights_of(fine).float().to(device)
            made = self.sample(x.to(device), weights, members, generator, static.to(device), progress, cancel,
                               fine)  # fmt: skip
        finally:
            self.periodic = trained
            wrap_columns(self, trained)
        out = to_dataset(made[:, :, None], coarse, self.variable, grid=fine)
        out[self.variable] = masked(out[self.variable], missing, self.factor)
        out = out if "time" in coarse.dims else out.squeeze("time", drop="time" not in coarse.coords)
        title = f"{members} members, downscaled by {self.factor} with {self.name}, seed {seed}"
        out = with_edges(out, fine).assign_coords(member=range(members))
        return out.assign_attrs({**coarse.attrs, "title": title})

    def statics_of(self, fine: Grid, own: xr.Dataset | None = None) -> Tensor:
        """(S, H, W) static fields of a fine grid."""
        if self.static is not None and own is None:
            return self.static
        if not self.statics and own is not None:
            raise FieldError(f"{self.name} takes no static fields: leave out {', '.join(map(str, own.data_vars))}")
        return statics_on(self.statics, fine, own)

    # --- files, see Stored --------------------------------------------------------------------------------------------
    def describe(self) -> dict:
        own = {"sampler": self.sampler, "steps": self.steps, "constraint": self.constraint}
        return {"arguments": self.arguments, **own}

    @classmethod
    def build(cls, card: Mapping, tensors: Mapping[str, Tensor]) -> LatentDownscaler:
        model = cls(**card["arguments"], static=tensors.get("static"))
        model.sampler, model.steps, model.constraint = card["sampler"], card["steps"], card["constraint"]
        return model


def northward(grid: Grid) -> bool:
    """Whether the rows of a grid run from south to north."""
    rows = grid.places[0].mean(1) if isinstance(grid, ProjectedGrid) else grid.latitude
    return bool(rows[0] < rows[-1])


class Tiled(PosteriorMean):
    """A denoiser of latents on overlapping tiles: each step of a sampler sees all of them, so that no seam can grow."""

    def __init__(self, denoiser: Denoiser, model: LatentDownscaler) -> None:
        super().__init__(denoiser.schedule)
        self.denoiser, self.tiled = denoiser, model.tiled

    def forward(self, x: Tensor, t: float | Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None  # the features
        return self.tiled(lambda a, c: self.denoiser(a, t, c), [x, condition], [1, 1])
