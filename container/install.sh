#!/bin/sh
# Make an environment for the explorer, from the folder of PhysLab.
#   VENV       where (default: .venv-explorer)
#   PYTHON     the interpreter it is made from (default: python3)
#   VENV_ARGS  further arguments of venv
#   PIP_ARGS   further arguments of pip, as an index for torch
set -eu
cd "$(dirname "$0")/.."
VENV=${VENV:-.venv-explorer}
"${PYTHON:-python3}" -m venv ${VENV_ARGS:-} "$VENV"
# of the versions that PhysLab was tested with, those that the explorer needs
"$VENV/bin/python" -m pip --disable-pip-version-check install --no-cache-dir ${PIP_ARGS:-} \
    --constraint requirements.txt --editable ".[explorer]"
"$VENV/bin/python" -m compileall -q physlab apps || true
"$VENV/bin/physlab" list data >/dev/null
echo "The explorer is installed in $VENV"
