#!/bin/sh
# Serve the explorer, from the environment that install.sh made; arguments are folders and options of physlab explore.
#   VENV          where that is (default: .venv-explorer)
#   PHYSLAB_HOST  the name under which browsers see it (default: localhost:PORT)
#   PORT          where it listens (default: 5006)
#   LISTEN        on which address (default: 0.0.0.0, as a container must; whoever runs it says who reaches that)
set -eu
cd "$(dirname "$0")/.."
PORT=${PORT:-5006}
exec "${VENV:-.venv-explorer}/bin/physlab" explore --port "$PORT" --host "${PHYSLAB_HOST:-localhost:$PORT}" \
    --listen "${LISTEN:-0.0.0.0}" "$@"
