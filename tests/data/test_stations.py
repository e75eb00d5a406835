"""Station files as people keep them: each family of encoding, separator, unit, code, time and place."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import xarray as xr

from physlab.data import read_stations
from physlab.data.stations import cells, times, units, words
from physlab.errors import FieldError

PLAIN = "station,lat,lon,value,error,variable\nMünster #4,54.25,-2,283.2,1,t2m\nB,55,0.5,282.4,1,t2m\n"


def written(tmp_path, text, encoding="utf-8", name="st.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def same_as_plain(ds: xr.Dataset) -> None:
    np.testing.assert_allclose(ds["latitude"], [54.25, 55])
    np.testing.assert_allclose(ds["longitude"], [-2, 0.5])
    np.testing.assert_allclose(ds["value"], [283.2, 282.4])
    assert list(ds["station"].values) == ["Münster #4", "B"] and set(ds["variable"].values) == {"t2m"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path, encoding, newline):
    same_as_plain(read_stations(written(tmp_path, PLAIN.replace("\n", newline), encoding)))


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", " | ").replace(" | ", "|"),
        PLAIN.replace(",", ";").replace(".", ","),
        PLAIN.replace(",", "\t").replace(".", ","),
        PLAIN.replace(",", ", "),
        PLAIN.replace("Münster #4", '"Münster #4"').replace("54.25", '"54.25"'),
        PLAIN.replace("54.25", '"54,25"')
        .replace("283.2", '"283,2"')
        .replace("282.4", '"282,4"')
        .replace("0.5", '"0,5"'),
        "# two stations\n\n" + PLAIN.replace("\nB", "\n\n# the second\n,,,,,\nB") + "\n\n",
        "sep=;\n" + PLAIN.replace(",", ";"),
        "\n".join(line + ";" for line in PLAIN.replace(",", ";").split("\n")[:3]),
        PLAIN.replace("lat,lon", "Breite,Länge").replace("value", "Messwert").replace("error", "Fehler"),
        PLAIN.replace("lat,lon,value", "Latitude (deg),LONGITUDE [degrees_east],value [K]"),
        PLAIN.replace("54.25", "54.25N").replace("-2", "2.0W"),
        PLAIN.replace("54.25", "54°15'N").replace(",-2,", ",2°W,"),
        PLAIN.replace("-2", "\u22122"),
        "station,lat,lon,value,error,variable\n-,degrees_north,degrees_east,K,K,-\n" + PLAIN.split("\n", 1)[1],
    ],
)
def test_dialects(tmp_path, text):
    same_as_plain(read_stations(written(tmp_path, text)))


def test_spaces_and_a_header_in_a_comment(tmp_path):
    text = "# lat lon value error variable\n54.25  -2   283.2 1 t2m\n55 0.5\t282.4   1   t2m\n"
    ds = read_stations(written(tmp_path, text))
    np.testing.assert_allclose(ds["latitude"], [54.25, 55])
    np.testing.assert_allclose(ds["value"], [283.2, 282.4])


def test_packed_tables(tmp_path):
    path = tmp_path / "st.csv.gz"
    path.write_bytes(gzip.compress(PLAIN.encode()))
    same_as_plain(read_stations(path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no line of text"),
        (b"# only words\n\n", "no line of text"),
        (b"lat,lon,value,error,variable\n", "no row below"),
        (b"54,0,283.2,1\n55,1,283,1\n", "no line of names"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"PK\x03\x04broken", "cannot be unpacked"),
        (b"lat,lon,value,error,variable\n54,25,0,5,283,2,1,0,t2m\n", "line 2: 9 cells for 5 names.*decimal commas"),
        (b"lat,lon,value,error,variable\n54,0,warm,1,t2m\n", "line 2: 'warm' in column 'value'"),
        (b"lat,lon,value,error,variable\nhere,0,283,1,t2m\n", "line 2: 'here' is no latitude"),
        (b"lat;lon;value;error;variable\n54,5;0.5;283;1;t2m\n", "line 2: '54,5'.*write all numbers in one way"),
        (b"lat,lon,value,error,variable\n54,0,283,1,\n", "line 2: no name of a variable"),
        (b"lat,lon,value,error,variable\n120,50,283,1,t2m\n", "line 2: 120 N.*swapped"),
        (b"lat,lon,value,error,variable\n5823000,412000,283,1,t2m\n", "line 2.*not metres"),
        (b"lat,lon,value,error,variable,units\n54,0,283,1,t2m,m\n", "line 2: t2m is in 'm'.*its unit is K"),
        (
            b"lat,lon,value,error,variable,units\n54,0,283,1,t2m,warmth\n",
            "line 2: t2m is in 'warmth', which is no unit",
        ),
        (b"lat,lon,value,variable\n54,0,283,t2m\n", "lacks error.*--std"),
        (b"lat,lon,t2m_qc\n54,0,1\n", "lacks value"),
        (b"lat,lon,value,error,variable,level [m]\n54,0,283,1,t,1500\n", "levels of pressure"),
        (b"\x00\x01\x02\x03\xff" * 40, "no text"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, said):
    path = tmp_path / "st.csv"
    path.write_bytes(content)
    with pytest.raises(FieldError, match=said) as caught:
        read_stations(path)
    assert "\n" not in str(caught.value) and "st.csv" in str(caught.value)


# --- units ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("heading", "value", "variable", "expected"),
    [
        ("value [degC]", 10.05, "t2m", 283.2),
        ("value (°C)", 10.05, "t2m", 283.2),
        ("value / F", 50.0, "t2m", 283.15),
        ("value [hPa]", 1013.25, "sp", 101325.0),
        ("value [mb]", 1013.25, "msl", 101325.0),
        ("value [kn]", 10, "u10", 5.1444),
        ("value [inHg]", 29.92, "msl", 101320.0),
        ("value [km/h]", 36, "v10", 10.0),
        ("value [g/kg]", 8, "q", 0.008),
        ("value [gpm]", 5500, "z", 53936.6),
        ("value [gpdm]", 550, "z", 53936.6),
        ("value [%]", 55, "rh", 0.55),
        ("value [mm]", 3, "tp", 3.0),
        ("value [cm]", 2, "tcw", 20.0),
        ("value_hPa", 1013.25, "sp", 101325.0),
    ],
)
def test_units_are_converted(tmp_path, heading, value, variable, expected):
    text = f"lat,lon,{heading},error,variable\n54,0,{value},1,{variable}\n"
    ds = read_stations(written(tmp_path, text))
    assert float(ds["value"][0]) == pytest.approx(expected, rel=1e-4)
    column = f"lat,lon,value,error,variable,units\n54,0,{value},1,{variable},{words.heading(heading).units}\n"
    assert float(read_stations(written(tmp_path, column))["value"][0]) == pytest.approx(expected, rel=1e-4)


def test_errors_are_converted_as_differences(tmp_path):
    text = "lat,lon,value,error,variable,units\n54,0,50,1.8,t2m,degF\n54,1,10,1,t2m,degC\n54,2,1000,1,sp,hPa\n"
    ds = read_stations(written(tmp_path, text))
    np.testing.assert_allclose(ds["error"], [1.0, 1.0, 100.0])
    np.testing.assert_allclose(ds["value"], [283.15, 283.15, 1e5])


def test_units_by_option_and_errors_by_option(tmp_path):
    path = written(tmp_path, "lat,lon,temperature,pmsl\n54,0,10,1013\n")
    ds = read_stations(path, units={"t": "degC", "msl": "hPa"}, error={"t": 0.5, "msl": 100.0})
    np.testing.assert_allclose(ds["value"], [283.15, 101300.0])
    np.testing.assert_allclose(ds["error"], [0.5, 100.0])


def test_unknown_units_stay_and_no_units_stay_unknown(tmp_path):
    ds = read_stations(written(tmp_path, "lat,lon,value [ug m-3],error,variable\n54,0,12,1,pm10\n54,1,10.2,1,pm10\n"))
    assert list(ds["units"].values) == ["ug m-3", "ug m-3"]
    assert list(read_stations(written(tmp_path, PLAIN))["units"].values) == ["", ""]
    with pytest.raises(FieldError, match="does not measure"):
        units.convert(np.ones(1), "K", "Pa")
    assert units.parse("C").dimensionality == units.parse("K").dimensionality  # no coulomb
    assert units.same("mb", "hPa") and units.same("m s**-1", "m/s")


# --- missing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "cell",
    [
        "-9999",
        "-999",
        "-999.9",
        "9999",
        "9999.9",
        "999.9",
        "1e20",
        "9.96921e+36",
        "NaN",
        "M",
        "",
        "NA",
        "null",
        "///",
        "-32768",
        "99999",
        "--",
    ],
)
def test_what_is_missing_is_no_number(tmp_path, cell):
    ds = read_stations(written(tmp_path, f"lat,lon,value,error,variable\n54,0,{cell},1,t2m\n55,0,282.4,1,t2m\n"))
    assert np.isnan(ds["value"][0]) and float(ds["value"][1]) == 282.4
    if cell.lower() not in ("nan", "m", "", "na", "null", "///", "--"):
        assert "taken as missing" in ds.attrs["history"]


def test_a_code_that_can_be_a_measurement_is_one():
    assert (
        not cells.codes(np.array([999.9]), "msl", "hPa").any() and cells.codes(np.array([999.9]), "t2m", "degC").all()
    )
    assert (
        not cells.codes(np.array([9999.0]), "z", "m2 s-2").any() and cells.codes(np.array([9999.0]), "msl", "hPa").all()
    )
    assert not cells.codes(np.array([99.9]), "rh", "%").any() and cells.codes(np.array([99.9]), "t2m", "degC").all()
    assert cells.codes(np.array([-1.0]), "t2m", "K", more=[-1.0]).all()
    assert cells.codes(np.array([999.0]), "wind_direction", "degree").all()


# --- columns ----------------------------------------------------------------------------------------------------------
def test_name_is_a_station_beside_variable_and_a_variable_alone(tmp_path):
    ds = read_stations(written(tmp_path, "name,variable,lat,lon,value,error\nAlpha,t2m,54,0,283.2,1\n"))
    assert list(ds["variable"].values) == ["t2m"] and list(ds["station"].values) == ["Alpha"]
    ds = read_stations(written(tmp_path, "name,lat,lon,value,error\nt2m,54,0,283.2,1\n"))
    assert list(ds["variable"].values) == ["t2m"]
    ds = read_stations(written(tmp_path, "name,lat,lon,value,error\nAlpha,54,0,283.2,1\n"), "t2m")
    assert list(ds["variable"].values) == ["t2m"] and list(ds["station"].values) == ["Alpha"]


def test_a_wide_table_of_a_metar_archive(tmp_path):
    text = (
        "station,valid,lon,lat,elevation,tmpf,dwpf,relh,drct,sknt,mslp,skyc1\n"
        "EGXX,2024-01-01 11:50,-2.1,54.2,120.0,50.00,41.00,71.2,270.00,10.00,1013.20,OVC\n"
        "EGYY,2024-01-01 11:50,-1.1,55.2,M,M,41.00,M,M,M,M,CLR\n"
    )
    ds = read_stations(written(tmp_path, text), units={"msl": "hPa"}, error=1.0)
    frame = ds.to_dataframe()
    first = frame[frame["station"] == "EGXX"].set_index("variable")["value"]
    assert first["t2m"] == pytest.approx(283.15) and first["d2m"] == pytest.approx(278.15)
    assert first["wind_speed"] == pytest.approx(5.14444, rel=1e-4) and first["wind_direction"] == 270
    assert first["msl"] == pytest.approx(101320.0) and first["rh"] == pytest.approx(0.712)
    assert list(frame[frame["station"] == "EGYY"]["variable"]) == ["d2m"]
    assert frame["elevation"].iloc[0] == 120.0 and "columns not used: skyc1" in ds.attrs["history"]
    assert frame["time"].iloc[0] == np.datetime64("2024-01-01T11:50")


def test_noaas_global_hourly(tmp_path):
    text = (
        '"STATION","DATE","LATITUDE","LONGITUDE","ELEVATION","NAME","WND","TMP","DEW","SLP"\n'
        '"03501","2024-01-01T12:00:00","54.2","-2.1","120","LAKE, UK","270,1,N,0051,1","+0106,1","+0050,1","10132,1"\n'
        '"03502","2024-01-01T12:00:00","55.2","-2.1","20.0","B","999,9,9,9999,9","+9999,9","-0010,3","99999,9"\n'
    )
    frame = read_stations(written(tmp_path, text), error=1.0).to_dataframe()
    value = frame[frame["station"] == "03501"].set_index("variable")["value"]
    assert value["t2m"] == pytest.approx(283.75) and value["msl"] == pytest.approx(101320.0)
    assert value["wind_speed"] == pytest.approx(5.1) and value["wind_direction"] == 270
    assert not (frame["station"] == "03502").any()  # missing, and a dew point called suspect


def test_columns_by_option_and_one_variable_of_a_wide_table(tmp_path):
    path = written(tmp_path, "B,L,Luft,Messhoehe,pm25\n54,0,283.2,120,12\n")
    ds = read_stations(
        path, columns={"B": "latitude", "L": "longitude", "Luft": "t2m", "Messhoehe": "elevation"}, error=1
    )
    assert float(ds["value"][0]) == 283.2 and float(ds["elevation"][0]) == 120
    with pytest.raises(FieldError, match="no column 'X'"):
        read_stations(path, columns={"X": "latitude"})
    path = written(tmp_path, "lat,lon,pm25,t2m\n54,0,12,283.2\n")
    assert list(read_stations(path, "pm25", error=1)["value"].values) == [12]
    assert list(read_stations(path, "t2m", error=1)["value"].values) == [283.2]


def test_a_pressure_is_a_level_of_a_sounding_and_the_surface_of_a_station(tmp_path):
    ds = read_stations(
        written(tmp_path, "lat,lon,pressure [hPa],temperature [degC]\n54,0,850,2\n54,0,500,-20\n"), error=1
    )
    assert list(ds["level"].values) == [850, 500] and list(ds["variable"].values) == ["t", "t"]
    ds = read_stations(written(tmp_path, "lat,lon,pressure [hPa]\n54,0,1000\n55,0,990\n"), error=1)
    assert list(ds["variable"].values) == ["sp", "sp"] and list(ds["value"].values) == [1e5, 99000]


def test_a_pressure_at_sea_level_is_told_from_one_at_the_station(tmp_path):
    """By the heights of the stations: 1016 hPa at 800 m are reduced, 921 are not; lowlands cannot tell."""
    head = "lat,lon,elevation,pressure [hPa]\n54,0,10,1015\n55,1,"
    reduced = read_stations(written(tmp_path, head + "800,1016\n56,1,450,1014\n"), error=1)
    assert set(reduced["variable"].values) == {"msl"} and "1016.0 hPa at 800 m (line 3)" in reduced.attrs["history"]
    for rows in ("800,921\n56,1,450,962\n", "80,1003\n"):
        assert set(read_stations(written(tmp_path, head + rows), error=1)["variable"].values) == {"sp"}
    pascals = read_stations(written(tmp_path, "lat,lon,elevation,pressure\n54,0,1500,101600\n"), error=1)
    assert list(pascals["variable"].values) == ["msl"]


HISTORY = """"USAF","WBAN","STATION NAME","CTRY","STATE","ICAO","LAT","LON","ELEV(M)","BEGIN","END"
"037720","99999","HEATHROW","UK","","EGLL","+51.478","-000.461","+0025.3","19480101","20240101"
"""
LITE = """2019 07 25 14   370   121 10098   130    46     2     0 -9999
2019 07 25 15   379   118 10092   140    51     2    -1 -9999
2019 07 25 16 -9999 -9999 -9999     0     0 -9999 -9999 -9999
"""


@pytest.mark.parametrize("packed", [False, True])
def test_isd_lite_has_no_names_of_columns_and_no_place(packed, tmp_path):
    name = "037720-99999-2019" + (".gz" if packed else "")
    path = tmp_path / name
    path.write_bytes(gzip.compress(LITE.encode()) if packed else LITE.encode())
    with pytest.raises(FieldError, match=r"where station 037720-99999 lies: put NOAA's list isd-history.csv"):
        read_stations(path, error=1)
    (tmp_path / "isd-history.csv").write_text(HISTORY)
    ds = read_stations(path, error={"t2m": 0.5, "d2m": 1, "msl": 50, "wind_speed": 1, "wind_direction": 5})

    def of(variable):
        return ds["value"].values[ds["variable"].values == variable]

    np.testing.assert_allclose(of("t2m"), [310.15, 311.05])
    np.testing.assert_allclose(of("d2m"), [285.25, 284.95])
    np.testing.assert_allclose(of("msl"), [100980, 100920])
    np.testing.assert_allclose(of("wind_speed"), [4.6, 5.1, 0])
    assert set(ds["latitude"].values) == {51.478} and set(ds["longitude"].values) == {-0.461}
    assert set(ds["elevation"].values) == {25.3} and set(ds["station"].values) == {"037720-99999"}
    assert str(ds["time"].values[ds["variable"].values == "t2m"][1])[:16] == "2019-07-25T15:00"
    other = tmp_path / f"999999-00001-2019{'.gz' if packed else ''}"
    other.write_bytes(path.read_bytes())
    with pytest.raises(FieldError, match="no place of station 999999-00001"):
        read_stations(other, error=1)
    (tmp_path / "037720-99999-2020").write_text(LITE + "2020 01 01 00 12\n")
    with pytest.raises(FieldError, match="line 4: '2020 01 01 00 12' is not of ISD-Lite"):
        read_stations(tmp_path / "037720-99999-2020", error=1)
    (tmp_path / "mine.txt").write_text(LITE)
    with pytest.raises(FieldError, match="its name no station"):
        read_stations(tmp_path / "mine.txt", error=1)


def test_levels_in_pascals(tmp_path):
    for head, value in (("level [Pa]", "85000"), ("level", "85000"), ("level", "850"), ("plev (hPa)", "850")):
        ds = read_stations(written(tmp_path, f"lat,lon,value,error,variable,{head}\n54,0,283,1,t,{value}\n"))
        assert float(ds["level"][0]) == 850


def test_quality_is_used_where_it_is_said_and_mentioned_where_not(tmp_path):
    path = written(tmp_path, "lat,lon,value,error,variable,qc_flag\n54,0,299,1,t2m,9\n55,-2,282.4,1,t2m,0\n")
    ds = read_stations(path)
    assert ds.sizes["observation"] == 2 and "column qc_flag (9, 0) is not used" in ds.attrs["history"]
    ds = read_stations(path, good=["0"])
    assert list(ds["value"].values) == [282.4] and "1 not of the quality" in ds.attrs["history"]
    wide = written(tmp_path, "lat,lon,t2m,t2m_qc,u10,u10_qc\n54,0,283,4,5,1\n")
    assert list(read_stations(wide, good=[1.0], error=1)["variable"].values) == ["u10"]


def test_places_that_are_missing_are_counted(tmp_path):
    rows = [",0,283.2", "55,-2,282.4", "-9999,0,283", "95,500,283", "55,1,283"]
    text = "\n".join(["lat,lon,value,error,variable", *(f"{row},1,t2m" for row in rows)])
    ds = read_stations(written(tmp_path, text))
    assert ds.sizes["observation"] == 2
    assert "2 without a place (line 2, line 4)" in ds.attrs["history"]
    assert "1 at no place on Earth (line 5)" in ds.attrs["history"]


# --- times ------------------------------------------------------------------------------------------------------------
NOON = np.datetime64("2024-01-13T12:00", "ns")


@pytest.mark.parametrize(
    "cell",
    [
        "2024-01-13T12:00Z",
        "2024-01-13 12:00",
        "2024-01-13T13:00+01:00",
        "2024-01-13T07:00-0500",
        "2024-01-13T12Z",
        "2024-01-13 12:00:00 UTC",
        "20240113T1200Z",
        "2024011312",
        "202401131200",
        "2024/01/13 12:00",
        "13.01.2024 12:00",
        "13/01/2024 12:00",
        "01/13/2024 12:00",
        "13.01.2024 13:00 MEZ",
        "13-Jan-2024 12:00",
        "2024-01-13 12:00:00.000",
        "13.01.2024 12:00 Uhr",
        "01/13/2024 12:00 PM",
        "2024-01-12 24:00 -12:00",
        "2024-01-13 13:00 Europe/Berlin",
    ],
)
def test_times(cell):
    found = times.parse([cell], np.array([2]), "st.csv", [])
    assert found[0] == NOON


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["1705147200"], "line 2: time '1705147200' is a number"),
        (["45304.5"], "is a number"),
        (["noon"], "not understood"),
        (["05.07.2019 12:00"], "may have the day or the month first"),
        (["2024-02-30 12:00"], "no day or hour"),
        (["13.01.2024", "01.13.2024"], "has the day first"),
        (["2024-01-13 12:00 EST"], "zone 'EST'"),
        (["011200Z"], "not understood|a number"),
        (["12.01.24 12:00"], "not understood"),
        (["2024-01-13 25:00"], "no day or hour"),
    ],
)
def test_times_that_can_be_read_in_two_ways_or_none(cells, said):
    with pytest.raises(FieldError, match=said) as caught:
        times.parse(cells, np.arange(2, 2 + len(cells)), "st.csv", [])
    assert "2024-01-31T15:00Z" in str(caught.value)


@pytest.mark.parametrize(
    ("head", "cells"),
    [
        ("date,time", "2024-01-13,12:00"),
        ("date,time", "2024-01-13,1200"),
        ("date,hour", "2024-01-13,12"),
        ("year,month,day,hour", "2024,1,13,12"),
        ("date,hour", "20240113,12"),
        ("time (UTC)", "2024-01-13 12:00"),
        ("year,month,day,hour,minute", "2024,01,13,12,00"),
        ("MESS_DATUM", "2024011312"),
        ("time [CET]", "2024-01-13 13:00"),
        ("time,timezone", "2024-01-13 13:00,+01:00"),
        ("valid(UTC)", "2024-01-13 12:00"),
        ("valid_time", "2024-01-13 12:00"),
    ],
)
def test_columns_of_times(tmp_path, head, cells):
    ds = read_stations(written(tmp_path, f"{head},lat,lon,value,error,variable\n{cells},54,0,283,1,t2m\n"))
    assert ds["time"].values[0] == NOON


def test_naive_times_and_days_are_said():
    notes: list[str] = []
    found = times.parse(["2024-01-13", ""], np.array([2, 3]), "st.csv", notes)
    assert np.isnat(found[1]) and notes == [
        "times without a zone are taken as UTC",
        "dates without an hour are taken as 00 UTC",
    ]


# --- NetCDF -----------------------------------------------------------------------------------------------------------
def test_netcdf_of_stations_and_times(tmp_path):
    ds = xr.Dataset(
        {
            "tas": (
                ("station", "time"),
                np.array([[9.5, 10.2, -9999.0], [8.0, 8.5, 9.0]]),
                {"units": "degC", "missing_value": -9999.0},
            ),
            "tas_qc": (
                ("station", "time"),
                np.array([[1, 1, 1], [1, 4, 1]], dtype="i1"),
                {"flag_values": np.array([1, 4], dtype="i1"), "flag_meanings": "good_data bad_data"},
            ),
            "crs": ((), 0, {"grid_mapping_name": "latitude_longitude"}),
        },
        {
            "lat": ("station", [54.0, 55.0]),
            "lon": ("station", [0.0, 358.0]),
            "alt": ("station", [10.0, 250.0], {"units": "m"}),
            "station_name": ("station", np.array(["A", "M\u00fcnster"], dtype=object)),
            "time": np.array(["2024-01-01T06", "2024-01-01T12", "2024-01-01T18"], dtype="datetime64[ns]"),
        },
    )
    ds.to_netcdf(tmp_path / "st.nc")
    found = read_stations(tmp_path / "st.nc", error={"t2m": 1.0})
    frame = found.to_dataframe()
    np.testing.assert_allclose(frame["value"], [282.65, 283.35, 281.15, 282.15])
    assert set(frame["variable"]) == {"t2m"} and list(frame["station"])[-1] == "Münster"
    assert list(frame["elevation"]) == [10, 10, 250, 250]
    assert frame["time"].iloc[1] == np.datetime64("2024-01-01T12")


def test_netcdf_scaled_named_by_standard_name_and_in_characters(tmp_path):
    ds = xr.Dataset(
        {
            "x1": ("obs", np.array([283.2, np.nan, 282.0]), {"standard_name": "air_temperature", "units": "K"}),
            "name_of_site": ("obs", np.array([b"AB", b"CD", b"EF"])),
            "y1": ("obs", [54.0, 55.0, 56.0], {"standard_name": "latitude", "units": "degrees_north"}),
            "z1": ("obs", [0.0, 1.0, 2.0], {"standard_name": "longitude", "units": "degrees_east"}),
        }
    )
    ds.to_netcdf(
        tmp_path / "st.nc",
        encoding={"x1": {"dtype": "i2", "scale_factor": 0.1, "add_offset": 250.0, "_FillValue": -32767}},
    )
    found = read_stations(tmp_path / "st.nc", error=1.0)
    np.testing.assert_allclose(found["value"], [283.2, 282.0])
    np.testing.assert_allclose(found["latitude"], [54, 56])
    assert set(found["variable"].values) == {"t"} and set(found["units"].values) == {"K"}


def test_netcdf_ragged_arrays(tmp_path):
    base = {"lat": ("station", [54.0, 55.0]), "lon": ("station", [0.0, 1.0])}
    value = {"value": ("obs", [10.0, 11.0, 12.0], {"units": "degC"}), "error": ("obs", [1.0, 1.0, 1.0], {"units": "K"})}
    contiguous = xr.Dataset({**value, **base, "row_size": ("station", [1, 2], {"sample_dimension": "obs"})})
    indexed = xr.Dataset({**value, **base, "of": ("obs", [0, 1, 1], {"instance_dimension": "station"})})
    for ds in (contiguous, indexed):
        ds.to_netcdf(tmp_path / "st.nc")
        found = read_stations(tmp_path / "st.nc", "t2m")
        np.testing.assert_allclose(found["latitude"], [54, 55, 55])
        np.testing.assert_allclose(found["value"], [283.15, 284.15, 285.15])
        np.testing.assert_allclose(found["error"], 1.0)


def test_netcdf_called_csv_and_text_called_netcdf(tmp_path):
    xr.Dataset(
        {"value": ("obs", [283.0]), "error": ("obs", [1.0]), "lat": ("obs", [54.0]), "lon": ("obs", [0.0])}
    ).to_netcdf(tmp_path / "st.csv")
    assert float(read_stations(tmp_path / "st.csv", "t2m")["value"][0]) == 283.0
    with pytest.raises(FieldError, match="as NetCDF"):
        read_stations(written(tmp_path, PLAIN, name="st.nc"))


def test_a_table_goes_through_a_file_unchanged(tmp_path):
    ds = read_stations(
        written(tmp_path, "time,alt,station,lat,lon,value [degC],error,variable\n2024-01-01,5,A,54,0,10,1,t2m\n")
    )
    ds.to_netcdf(tmp_path / "again.nc")
    again = read_stations(tmp_path / "again.nc")
    for name in ("variable", "latitude", "value", "error", "time", "elevation", "station", "units"):
        np.testing.assert_array_equal(again[name], ds[name])


def test_netcdf_has_a_range_that_it_calls_valid(tmp_path):
    ds = xr.Dataset(
        {
            "t2m": ("obs", [283.0, 299.0, 150.0], {"units": "K", "valid_min": 200.0, "valid_max": 290.0}),
            "sp": ("obs", [1.0e5, 0.9e5, 0.5e5], {"units": "Pa", "valid_range": np.array([6000, 9500], dtype="i2")}),
            "lat": ("obs", [54.0, 55.0, 56.0]),
            "lon": ("obs", [0.0, 1.0, 2.0]),
        }
    )
    ds.to_netcdf(tmp_path / "st.nc", encoding={"sp": {"dtype": "i2", "scale_factor": 10.0, "_FillValue": -1}})
    frame = read_stations(tmp_path / "st.nc", error=1.0).to_dataframe()
    assert list(frame[frame["variable"] == "t2m"]["value"]) == [283.0]
    assert list(frame[frame["variable"] == "sp"]["value"]) == [0.9e5]


def test_heights_of_a_sounding_are_those_of_its_levels(tmp_path):
    text = "lat,lon,pressure [hPa],height [m],temperature [degC]\n54,0,850,1428,2\n54,0,500,5506,-20\n"
    frame = read_stations(written(tmp_path, text), error=1.0).to_dataframe()
    assert list(frame[frame["variable"] == "z"]["value"]) == pytest.approx([14003.9, 53995.4], abs=0.1)
    assert frame["elevation"].isna().all()


def test_a_wind_without_a_direction_is_none(tmp_path):
    ds = read_stations(written(tmp_path, "lat,lon,drct,sknt\n54,0,VRB,2\n55,0,270,4\n"), error=1.0)
    assert list(ds["variable"].values) == ["wind_direction", "wind_speed", "wind_speed"]
