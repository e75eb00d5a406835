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
VIEWS = {"downscale": "Downscale", "continuous": "Continuous", "benchmark": "Benchmark"}
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
HIDEABLE = (
    *("view", "dataset", "frame", "hour", "factor", "method", "network", "statistic", "mode", "constraint", "show"),
    *("against", "variable", "field", "moment", "zoom", "where", "east", "north"),  # controls
    *("input", "result", "truth", "error", "residual", "spectrum", "spread", "ranks"),  # panels
    *("given", "interpolation", "continuous", "law", "bare", "force"),
    *("scores", "coefficients", "card", "code", "help", "prompt"),  # words and numbers
)
