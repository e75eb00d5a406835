"""Write assimilation.json: analyses of Lorenz-96 members given by closed formulas, by DAPPER (see README.md)."""

import json
from pathlib import Path

import numpy as np


def case(N: int) -> tuple[np.ndarray, np.ndarray]:
    """N members of 40 variables and 40 observations of unit error variance, from formulas only."""
    i, k = np.arange(40), np.arange(N)[:, None]
    ensemble = 2.3 + 3.0 * np.sin(0.7 * i) + 1.2 * np.sin(1.7 * k * i + 0.3 * k + 0.1 * i**2) + 0.2 * np.cos(5.0 * k)
    return ensemble, 2.3 + 3.2 * np.sin(0.7 * i + 0.1) + 0.9 * np.cos(3.1 * i)


def main() -> None:
    from dapper.da_methods.ensemble import EnKF_analysis, local_analyses
    from dapper.mods.Lorenz96.sakov2008 import HMM
    from dapper.tools.localization import nd_Id_localization

    observation = HMM.Obs(1)
    E, y = case(7)
    batches, taper = nd_Id_localization((40,), (1,))(4, "x2y", "GC")
    local, _ = local_analyses(E.copy(), observation(E), observation.noise.C, y, batches, taper, map, None, 0)
    E, y = case(24)
    whole = EnKF_analysis(E.copy(), observation(E), observation.noise, y, "Sqrt")
    text = json.dumps({"letkf": local.tolist(), "etkf": np.asarray(whole).tolist()})
    Path(__file__).with_name("assimilation.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
