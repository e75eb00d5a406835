"""The data sets that have a name, one function each, entered by :func:`physlab.registry.register`.

A data set is one function in a file of this folder that opens it, with CF names and SI units::

    @register("mine", group="datasets", title="My radar", kind="download", variables="tp", terms="CC BY 4.0")
    def mine() -> xr.Dataset:
        return ...

`kind` is "shipped" (`path` below the assets folder), "download" (once, then cached: files in
:mod:`physlab.data.registry`), "cloud" (lazily, over the network) or "own" (opened wherever the function finds it).
"""
