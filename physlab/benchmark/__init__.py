"""Methods side by side: shipped checkpoints scored anew, and the tables that are run as a whole and resumed."""

from __future__ import annotations

from physlab.benchmark.assimilation import assimilation_summary, benchmark_assimilation, read_assimilation
from physlab.benchmark.checkpoints import benchmark
from physlab.benchmark.continuous import benchmark_continuous, continuous_summary, read_continuous
from physlab.benchmark.divergence import benchmark_divergence, divergence_summary, read_divergence
from physlab.benchmark.downscaling import PAPER, PLANS, Run, benchmark_downscaling, read_runs, summary
from physlab.benchmark.ensemble import benchmark_ensemble, compare_on, ensemble_summary, read_ensemble
from physlab.benchmark.forecasting import benchmark_forecasting, forecasting_summary, read_forecasting
from physlab.benchmark.speed import compare, read_speed, write_speed
from physlab.benchmark.study import Study, studies

__all__ = [
    "PAPER",
    "PLANS",
    "Run",
    "Study",
    "assimilation_summary",
    "benchmark",
    "benchmark_assimilation",
    "benchmark_continuous",
    "benchmark_divergence",
    "benchmark_downscaling",
    "benchmark_ensemble",
    "benchmark_forecasting",
    "compare",
    "compare_on",
    "continuous_summary",
    "divergence_summary",
    "ensemble_summary",
    "forecasting_summary",
    "read_assimilation",
    "read_continuous",
    "read_divergence",
    "read_ensemble",
    "read_forecasting",
    "read_runs",
    "read_speed",
    "studies",
    "summary",
    "write_speed",
]
