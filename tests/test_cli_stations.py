"""``physlab assimilate`` with files as people bring them: the account, the rules, one line for what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from physlab import cli

AXES = {
    "time": np.array(["2024-01-01T00:00", "2024-01-01T12:00"], dtype="datetime64[ns]"),
    "latitude": np.linspace(60, 52, 9),
    "longitude": np.linspace(-6, 4, 11),
}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    t = 283 + rng.standard_normal((12, 2, 9, 11))
    ds = xr.Dataset(
        {
            "t2m": (("number", "time", "latitude", "longitude"), t, {"units": "K"}),
            "orog": (("latitude", "longitude"), np.full((9, 11), 100.0), {"units": "m"}),
        },
        AXES,
    )
    ds.to_netcdf(tmp_path / "members.nc")
    ds[["t2m"]].to_netcdf(tmp_path / "flat.nc")
    ds[["orog"]].to_netcdf(tmp_path / "hills.nc")
    return tmp_path


def run(folder, capsys, text: str, *options: str, background: str = "members.nc") -> tuple[int, str, str]:
    (folder / "st.csv").write_text(text)
    code = 0
    try:
        cli.main(
            [
                "assimilate",
                str(folder / background),
                str(folder / "st.csv"),
                str(folder / "a.nc"),
                "--time",
                "1",
                *options,
            ]
        )
    except SystemExit as ended:
        code = int(ended.code or 0)
    said = capsys.readouterr()
    return code, said.out.replace("\n", " "), said.err


def test_the_account_is_told_and_kept(folder, capsys):
    text = (
        "station,time,lat,lon,alt,value [degC],error,variable,qc\n"
        "Site #4,2024-01-01T12:00Z,56,-1,150,10,0.5,t2m,0\n"
        "Site #4,2024-01-01T11:00Z,56,-1,150,9,0.5,t2m,0\n"
        "B,2024-01-01T12:00Z,55,0,100,-9999,0.5,t2m,0\n"
        "C,2024-01-01T12:00Z,70,0,100,5,0.5,t2m,0\n"
        "D,2019-07-25T15:00Z,55,0,100,30,0.5,t2m,0\n"
        "E,2024-01-01T12:00Z,54,1,900,5,0.5,t2m,0\n"
        "F,2024-01-01T12:00Z,54,2,100,32,0.5,t2m,0\n"
    )
    code, out, err = run(folder, capsys, text)
    assert code == 0 and "letkf, 1 observations (1 missing, 0 merged)" in out
    for said in (
        "PhysLab read st.csv: 7 rows, 7 of t2m (K)", "column qc (0) is not used", "taken as missing: -9999 (1)",
        "1 outside the grid (52 to 60 N, -6 to 4 E) (line 5: 70 N 0 E)",
        "1 further than 1.5 h from the background's 2024-01-01T12:00Z (line 6 at 2019-07-25T15:00Z)",
        "1 not the nearest in time", "1 further than 500 m above or below", "1 rejected, more than 5 standard",
        "(line 8, 54 N 2 E: t2m 305.15",
    ):  # fmt: skip
        assert said in err, (said, err)
    with xr.open_dataset(folder / "a.nc") as made:
        assert "1 rejected" in made.attrs["observations_account"] and "analysis by letkf" in made.attrs["history"]
        assert float(made["t2m"].sel(latitude=56, longitude=-1).mean()) == pytest.approx(283.15 + 0.325, abs=0.35)
        assert float(made["orog"].mean()) == 100


@pytest.mark.slow
def test_options_reach_the_rules(folder, capsys):
    text = "time,lat,lon,alt,wert,qc\n2024-01-01T09:00Z,56,-1,1000,10,ok\n2024-01-01T12:00Z,56,-1,100,10,bad\n"
    options = ["--columns", "wert=t2m", "--std", "t2m=0.5", "--units", "degC", "--good", "ok", "--lapse", "0"]
    code, _, err = run(folder, capsys, text, *options)
    assert code == 2 and "none of 1 observations can be used" in err and "--window" not in err
    code, _, err = run(folder, capsys, text, *options, "--window", "3")
    assert code == 2 and "further than 500 m" in err
    code, out, _ = run(folder, capsys, text, *options, "--window", "3", "--height", "1000")
    assert code == 0 and "1 observations" in out
    code, out, err = run(folder, capsys, text, *options, "--window", "3", background="flat.nc")
    assert code == 0 and "heights of the stations are not used" in err
    code, out, err = run(
        folder, capsys, text, *options, "--window", "3", "--orography", str(folder / "hills.nc"), background="flat.nc"
    )
    assert code == 2 and "further than 500 m" in err
    code, out, _ = run(folder, capsys, text.replace(",10,", ",40,"), *options, "--window", "3", "--height", "1000",
                       "--check", "0")  # fmt: skip
    assert code == 0 and "1 observations" in out
    for wrong, said in (("--std", "t2m=warm"), ("--window", "-1"), ("--time", "2024-01-03")):
        code, _, err = run(folder, capsys, text, *options, wrong, said)
        assert code == 2 and len(err.strip().splitlines()[-1]) < 300


def test_the_time_of_a_background_may_be_written(folder, capsys):
    text = "time,lat,lon,value [degC],error,variable\n2024-01-01T00:00Z,56,-1,10,0.5,t2m\n"
    code, _, err = run(folder, capsys, text)
    assert code == 2 and "2024-01-01T12:00Z (line 2 at 2024-01-01T00:00Z)" in err
    for time in ("0", "2024-01-01T00:00", "2024-01-01T00:00Z", "2024-01-01 00:00"):
        code, out, _ = run(folder, capsys, text, "--time", time)
        assert code == 0 and "1 observations" in out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lat,lon,value,error,variable\n56,0,10.2,1,t2m\n", "line 2, 56 N 0 E.*cannot be in K.*degC"),
        ("lat,lon,value,error,variable\n0,56,283,1,t2m\n", "seem to be swapped"),
        ("lat,lon,value,error,variable\n56,0,279,1,d2m\n", "which the background lacks"),
        ("lat,lon,value,error,variable,level\n56,0,283,1,t2m,500\n", "t2m at 500 hPa"),
        ("lat,lon,value,error,variable\n56,0,283,0,t2m\n", "not above 0 .the first 0, line 2"),
        ("lat,lon,value,variable\n56,0,283,t2m\n", "lacks error"),
        ("lat,lon,value,error,variable\n56,0,1e308,1,t2m\n", "cannot be|none of 1"),
    ],
)
def test_one_line_and_no_file_for_what_is_refused(folder, capsys, text, said):
    import re

    code, _, err = run(folder, capsys, text)
    last = err.strip().splitlines()[-1]
    assert code == 2 and last.startswith("physlab: st.csv") and re.search(said, last)
    assert not (folder / "a.nc").exists()
