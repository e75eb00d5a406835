"""Every remote file that PhysLab downloads: address, SHA-256 and size. An address names a commit, so its content
cannot change."""

from __future__ import annotations

from dataclasses import dataclass

HOST = "https://raw.githubusercontent.com"
PYDATA = "pydata/xarray-data/58de68cb45bcbd1557df11a92827758495481b4e"
WAM2LAYERS = "WAM2layers/WAM2layers/0d1afc8e779891aecfa4e64aed5a12ecbf9fa505/tests/test_data/era5_pl"
CFGRIB = "ecmwf/cfgrib/2b58e81ace22c1632b3aded1de86207b103fe382/tests/sample-data"
PYCONTRAILS = "contrailcirrus/pycontrails/cb898dea331a622ce87c5f276aec9b83f89dd501/tests/unit/static"
GEOCAT = "NCAR/geocat-datafiles/c06ec3ec6d1c38711c6d4ac6c327c680a0a8aced/netcdf_files"
NATURAL_EARTH = "martynafford/natural-earth-geojson/0b9a6ceb0a7032713abd9460ac1e995a9c60cd1e/110m/physical"


@dataclass(frozen=True)
class RemoteFile:
    """One file behind a stable address.

    Attributes
    ----------
    name : file name on disk.
    path : address below :data:`HOST`: repository, commit, path.
    sha256 : of the content, lower case hex.
    size : bytes.
    """

    name: str
    path: str
    sha256: str
    size: int


def _files(folder: str, *rows: tuple[str, int, str]) -> tuple[RemoteFile, ...]:
    return tuple(RemoteFile(name, f"{folder}/{name}", sha256, size) for name, size, sha256 in rows)


FILES: dict[str, tuple[RemoteFile, ...]] = {
    "era5-uk-t2m": _files(
        PYDATA,
        ("era5-2mt-2019-03-uk.grib", 2499840, "e5e82609f0e28e84822852e15d20c88dbb4b142a30264a7e6f87b9b5c7501df9"),
    ),
    "era5-moisture": _files(
        WAM2LAYERS,
        ("ERA5_2020-01-01_d2m.nc", 91620, "deea71eeb9cbc530abb11f01a40eada057ae2fc1c153ce69e05ac1f50f1309f3"),
        ("ERA5_2020-01-01_e.nc", 94106, "afb51ef9c7bd6059e8901f391eaf2567b479f90c739c92610abbcbda4c579bdd"),
        ("ERA5_2020-01-01_pl_q.nc", 1627893, "bec7acb2e41abe7905411597ec9e2dcd26f229b6d27c34ddde51d6c74366fddb"),
        ("ERA5_2020-01-01_pl_u.nc", 1627890, "fd5da24dfa40262d777648071bffaacb6a4b6861e04f861983a1637f72fa7703"),
        ("ERA5_2020-01-01_pl_v.nc", 1627888, "36354e11cbea024ee5a9298d599026d6eda587c468df3c9310b6a529ebb25e94"),
        ("ERA5_2020-01-01_sp.nc", 94109, "74cdab1bbc52288760019e2aa2b434746bcf6d385ea37f3c56a97b15fadd7357"),
        ("ERA5_2020-01-01_tcw.nc", 91624, "83a03392e288a16b64b9f48e05997789103e222839cc6e0915fd83a66d8e2235"),
        ("ERA5_2020-01-01_tp.nc", 91622, "5c87d6ea70291e0f08f19203b2c082863d11e226dd9de4dca5838cd33a4b62fc"),
        ("ERA5_2020-01-01_u10.nc", 91620, "b2e5a5ece57d8d8ef0cceed01e47bb8135723a27db5edf5e762fad563f0d51fa"),
        ("ERA5_2020-01-01_v10.nc", 91623, "d1fa2784a4462c70ba1940effb34d698a438730346b4f0887a1b11bfc5b0208e"),
    ),
    "era5-ensemble": _files(
        CFGRIB,
        ("era5-levels-members.grib", 2361600, "c144fde61ca5d53702bf6f212775ef2cc783bdd66b6865160bf597c1b35ed898"),
    ),
    "nam-snapshot": _files(
        CFGRIB,
        ("nam.t00z.awp21100.tm00.grib2", 1200165, "986ee0edfb54dd33a5216f147635edb0b9ca2a6aab58cb29dbba152fa75f7e98"),
    ),
    "erainterim-uvz": _files(
        PYDATA,
        ("eraint_uvz.nc", 4168980, "8f4cd0f75418a8e8f8f957c3b007f49e68a58d1bdd0e028adeeb057889f635d2"),
    ),
    "era5-upper-air": _files(
        PYCONTRAILS,
        ("met-accf-pl.nc", 2266068, "ae240f99dffef0a11cb7843d578338f1bcac2d8edd3df17e44acc2c5eeaa6874"),
    ),
    "storm1996": _files(
        GEOCAT,
        ("Pstorm.cdf", 305064, "b788360247015255de8eb46c4e2be04ea06d7713c2f4af9c85820e568506e934"),
        ("Tstorm.cdf", 305064, "85c860ea1b0815505fc006c4e2156791d7d855ec6957e50830bab4fc10ea7996"),
        ("U500storm.cdf", 305064, "6175dbcdc27b0435e4f7aaaf0902ad842abc0994a2c2e7d58cf21b499b1ca915"),
        ("Ustorm.cdf", 305064, "bc48e58747245f9218c86b840ebbd1512326f654a2fab954d4704442b62a82ba"),
        ("V500storm.cdf", 305064, "bd991a911fc8b6d452d9ee0a9080c700d2be91049a24112ed3825d63b660a5a4"),
        ("Vstorm.cdf", 305064, "c35ade1ba2fd89eb62fd694d0280190e870731f56bf77ba0056c9b420854ed5c"),
    ),
    "natural-earth": _files(
        NATURAL_EARTH,
        ("ne_110m_coastline.json", 236957, "72e93d181b0cd6f5937afcfcd2c4aa0b65e2c428b82c2a10725867ac77f81641"),
        ("ne_110m_land.json", 237355, "6c8b289fed7495ab9c9fdcf99baa24f58001807d0ad30d7726f76d6506f8204d"),
    ),
}
"""Data set name -> its files."""
