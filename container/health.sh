#!/bin/sh
# Whether the explorer answers: exit status 0 or 1, and what it said.
exec "${VENV:-.venv-explorer}/bin/python" - "${PORT:-5006}" <<'PYTHON'
import json
import sys
import urllib.request

address = f"http://127.0.0.1:{sys.argv[1]}/health"
try:
    with urllib.request.urlopen(address, timeout=8) as answer:
        told = json.load(answer)
except (OSError, ValueError) as error:
    sys.exit(f"no answer at {address}: {error}")
print(json.dumps(told))
sys.exit(0 if told.get("status") == "ok" else 1)
PYTHON
