"""The ingest contract: what a file of anyone is taken to mean, and what is said about it.

A file gives right numbers with an account of what was understood, converted and left out, or one line that names file,
place, value and remedy. One module for each question: which file it is (:mod:`.files`), which variable is which
quantity (:mod:`.quantities`), its units (:mod:`.units`), what is missing or impossible (:mod:`.missing`), when it holds
(:mod:`.time`), at which height (:mod:`.vertical`), and where (:mod:`.horizontal`, :mod:`.projection`).
:func:`physlab.data.ingest.contract.understand` puts them together.

A data set that has passed
--------------------------
* dims `member`, `time`, `level` (pressure, hPa), `latitude`, `longitude`, as far as they are there, by these names;
  heights, depths and model levels keep their own name and are dims of their own;
* `time` is the time at which the field holds, as datetime64 or, in a calendar that has no such, as cftime;
* longitudes are monotonic, as stored where that is so; latitudes as stored, sorted if they were not;
* **a projected grid keeps its dims, named `y` and `x`**, with the one-dimensional coordinates `y` and `x` (of a rotated
  pole: degrees on the rotated sphere, standard names grid_latitude and grid_longitude; of other maps: metres),
  two-dimensional coordinates `latitude` (y, x) and `longitude` (y, x) in degrees, and a scalar coordinate `crs` whose
  attributes are the CF grid mapping, `crs_wkt` among them; fields on it have the attribute ``grid_mapping = "crs"``.
  Areas of its cells, m2, are the coordinate `cell_area` (y, x) where the file has them;
* ``ds.attrs["history"]`` ends with the account, one line "PhysLab read FILE: ...", see :func:`physlab.data.account`.
"""
