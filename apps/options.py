"""What can be chosen: the name of each option in a link, and its label on the page."""

from __future__ import annotations

DATASETS = {
    "tcw": "Water vapour · nature run",
    "tcw-t1": "Water vapour · three hours",
    "tcw-t2": "Water vapour · the missing hour",
    "era5-uk-t2m": "Temperature · ERA5, UK",
}
HOURS = {"tcw-t1": 3, "tcw-t2": 3}  # frames of a sequence; one in all other data sets
FACTORS = (2, 4, 8)
METHODS = {"network": "Network", "statistical": "Statistical", "bicubic": "Bicubic", "nearest": "Nearest"}
MODES = {"trained": "In training", "applied": "Afterwards"}
CONSTRAINTS = {
    "none": "None",
    "soft": "Soft penalty",
    "add": "Additive",
    "scaled_add": "Scaled additive",
    "mult": "Multiplicative",
    "softmax": "Softmax",
}
NETWORKS = {
    "compact": "Compact network",
    "edsr": "EDSR",
    "srcnn": "SR-CNN",
    "srcnn-plain": "SR-CNN as published",
    "espcn": "ESPCN",
    "espcn-distilled": "ESPCN, distilled",
    "dong": "SRCNN of Dong",
    "deepsd": "DeepSD",
    "convgru-plain": "ConvGRU as reported",
    "gan": "GAN, tuned",
    "gan-report": "GAN as reported",
    "srgan": "SRGAN",
    "esrgan": "ESRGAN",
    "convgru": "ConvGRU",
    "pid-gan": "PID-GAN",
    "flowgru": "Voxel flow + ConvGRU",
    "erunet": "ERU-Net",
}
STATISTICS = {  # those of physlab.downscale.STATISTICAL that are fitted within seconds
    "linear": "Multiple regression",
    "bcsd": "BCSD",
    "eqm": "Quantile mapping",
    "qdm": "Quantile delta mapping",
    "analog": "Analogs",
    "weather types": "Weather types",
    "random forest": "Random forest",
    "svr": "Support vectors",
    "mlp": "Perceptron",
}
MEMBERS = 10
SHOWS = {"mean": f"Mean of {MEMBERS}", **{f"member-{i}": f"Member {i}" for i in range(1, MEMBERS + 1)}}
VIEWS = {
    "downscale": "Downscale",
    "ensemble": "Ensemble",
    "assimilate": "Assimilate",
    "continuous": "Continuous",
    "benchmark": "Benchmark",
}
AGAINST = {
    "conservation_error": "Conservation error",
    "spectral_divergence": "Spectral divergence",
    "s_per_megapixel": "Seconds per megapixel",
}
VARIABLES = {  # of the continuous fields: symbol and name
    "u": ("u", "wind to the east"),
    "v": ("v", "wind to the north"),
    "t": ("T", "temperature"),
    "z": ("Φ", "geopotential"),
    "q": ("q", "specific humidity"),
    "tcw": ("W", "column water"),
}
FIELDS = {"equations": "With equations", "no-equations": "Without"}
ZOOMS = (1, 2, 4, 8)
NUMBERS = {  # least, largest, step: hours after the first, and degrees within the window of the continuous fields
    "moment": (0.0, 240.0, 0.25),
    "east": (-60.0, -16.0, 0.5),
    "north": (22.0, 66.0, 0.5),
}
STATES = 3  # times of the twin experiment
GRID = (64, 128)  # rows and columns of its grid points
LEVELS = (200, 300, 400, 500, 700, 850, 925)  # hPa
_UPPER = {
    "z": ("Φ", "geopotential"),
    "t": ("T", "temperature"),
    "u": ("u", "wind to the east"),
    "v": ("v", "wind to the north"),
    "q": ("q", "specific humidity"),
}
_LOWEST = {"t_low": ("T", "temperature"), "u_low": ("u", "wind to the east"), "v_low": ("v", "wind to the north")}
CHANNELS = {  # of a whole state: label and name
    **{
        f"{v}{p}": (f"{symbol} at {p} hPa", f"{name} at {p} hPa")
        for v, (symbol, name) in _UPPER.items()
        for p in LEVELS
    },
    **{v: (f"{symbol}, lowest layer", f"{name}, lowest layer") for v, (symbol, name) in _LOWEST.items()},
    "sp": ("Surface pressure", "surface pressure"),
    "tcw": ("Column water", "column water"),
}
GROUPS = {  # heading -> channels
    **{name.capitalize(): tuple(f"{v}{p}" for p in LEVELS) for v, (_, name) in _UPPER.items()},
    "Near the ground": (*_LOWEST, "sp"),
    "Column": ("tcw",),
}
SHARES = (10.0, 5.0, 2.0, 1.0, 0.5, 0.0)  # observed, per cent of the grid points
ASSIMILATORS = {
    "phyda": "PhyDA",
    "phyda-without-prdo": "PhyDA without physics in the loss",
    "phyda-without-vre": "PhyDA without its encoder",
    "phyda-convolution-for-vre": "PhyDA with convolutions",
    "slam": "SLAM",
    "sda": "SDA",
    "vaevar": "VAE-Var",
    "fnp": "FNP",
    "convcnp": "ConvCNP",
    "adas": "Adas",
    "letkf": "LETKF, static members",
    "3dvar": "3D-Var",
}
NOISES = {0.0: "Exact", 0.25: "¼", 0.5: "½", 1.0: "1 ×"}  # of the background error
SIZES = (1, 2, 4, 8, 16)  # of an ensemble
SEEDS = 20
OWN = 50  # stations at most
DAYS = 3  # times of the fields over terrain
WEIGHTS = {"live": "Live", "0": "0", "0.1": "0.1", "0.3": "0.3", "1": "1", "3": "3"}  # a draw, or stored members
DRAWS = (2, 4, 8, 16)  # members of a live draw
WHICH = tuple(range(1, max(DRAWS) + 1))
CONSISTENCIES = {"none": "None", "add": "Additive"}
THRESHOLDS = tuple(round(273.15 + t, 2) for t in range(-35, 36, 5))  # K
LAWS = {"thickness": "Thickness", "geostrophic": "Geostrophic"}
HIDEABLE = (
    *("view", "dataset", "frame", "hour", "factor", "method", "network", "statistic", "mode", "constraint", "show"),
    *("against", "variable", "field", "moment", "zoom", "where", "east", "north"),  # controls
    *("when", "channel", "share", "assimilator", "noise", "members", "seed", "own", "balance"),
    *("day", "weight", "draws", "consistency", "threshold", "which"),
    *("input", "result", "truth", "error", "residual", "spectrum", "spread", "ranks"),  # panels
    *("mean", "probability"),
    *("given", "interpolation", "continuous", "law", "bare", "force"),
    *("background", "analysis", "before", "increment", "member", "of_truth", "of_background", "of_analysis"),
    *("scores", "coefficients", "card", "code", "help", "prompt"),  # words and numbers
)
