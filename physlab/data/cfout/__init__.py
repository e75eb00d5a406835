"""Clean output: what a file of PhysLab says, so that other programs read it as it is meant (CF conventions 1.11).

:mod:`.attributes` makes attributes safe and leaves out those that were true of the input alone, :mod:`.times` encodes
times, :mod:`.template` puts a data set into the form in which it is written, :mod:`.layout` decides on chunks and
blocks, :mod:`.netcdf` and :mod:`.zarr` write them. The one way in is :func:`physlab.data.writer.write_dataset`.
"""
