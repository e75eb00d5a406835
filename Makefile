# PhysLab. `make` alone prints what there is; each target first sets up what it needs in the virtual environment .venv.
#
#   PYTHON       the interpreter that the environment is made from (>= 3.11)
#   TORCH_INDEX  an extra package index for torch alone:
#                  a build for NVIDIA GPUs  make explore TORCH_INDEX=https://download.pytorch.org/whl/cu126
#                  a build for the CPU      make explore TORCH_INDEX=https://download.pytorch.org/whl/cpu
#                empty: what your package index offers, a CPU build if a wheel folder (PIP_FIND_LINKS) has one
#   PORT         where the explorer listens on localhost
#   RECIPE       what `make train` trains (see physlab/recipes/);  ARGS  anything else for `make train`, `make simulate`
#   WORKERS      processes that tests are spread over: 2 in `make check`, 3 in `make test`, where some wait for a browser

PYTHON ?= python3
TORCH_INDEX ?=
PORT ?= 5006
RECIPE ?= tcw-x4
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
TORCH := $(shell grep '^torch==' requirements.txt)
SHOW := $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname)),--show)
PYTEST = $(BIN)/python -m pytest -p no:nbmake -n $(WORKERS) --dist loadgroup --no-loadscope-reorder
PIP := $(BIN)/python -m pip --disable-pip-version-check

# Links of the chapters into the explorer follow its port.
export PHYSLAB_PORT := $(PORT)
# What one process has compiled serves all: some machines forbid it, and tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE
# The kernel of a notebook is this environment, whatever else Jupyter finds on the machine.
export JUPYTER_PREFER_ENV_PATH := 1
export JUPYTER_PLATFORM_DIRS := 1

.DEFAULT_GOAL := help
.PHONY: help explore style types quick whole check test notebooks lab book pdf browser-edition train gpu-checkpoints simulate wheels clean

help:  ## this list
	@echo "PhysLab: physics in deep learning for the weather. make ..."
	@grep -E '^[a-z-]+:.*  ## ' Makefile | sed -E 's/^([a-z-]+):.*  ## (.*)/  \1\t\2/' | expand -t 20
	@echo "Variables (PYTHON, TORCH_INDEX for a GPU build, PORT, RECIPE): see the head of the Makefile."

$(READY): requirements.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "PhysLab needs Python >= 3.11, but '$(PYTHON)' is not installed: install it, or name one with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "PhysLab needs Python >= 3.11, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1 | cut -d' ' -f2): name a newer one, as in: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "'$(PYTHON)' cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	@echo "Setting up $(VENV): this takes some minutes, once. First torch, on its own, then the pinned list, then PhysLab."
	$(PIP) install --quiet $(TORCH) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
	$(PIP) install --quiet -r requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

explore: $(READY)  ## the dashboard in your browser: compare methods live
	@echo "The explorer: http://localhost:$(PORT)/explorer   (stop it with Ctrl-C; another port: make explore PORT=5007)"
	PHYSLAB_UPLOAD=on $(BIN)/panel serve apps/explorer.py --plugins apps.serving --port $(PORT) --address localhost \
		--allow-websocket-origin localhost:$(PORT) --allow-websocket-origin 127.0.0.1:$(PORT) $(SHOW)

style: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(READY)
	$(BIN)/mypy

quick: WORKERS ?= 2
quick: $(READY)
	$(PYTEST) -m "not slow and not browser" tests

check: $(READY)  ## before each commit, in some minutes: style, types, import order, all that is quick to test
	@$(MAKE) --no-print-directory --jobs 2 --output-sync style types quick

whole: WORKERS ?= 3
whole: $(READY)
	@$(BIN)/python -m compileall -q physlab apps
	$(PYTEST) tests

test: style  ## everything: also what takes long, a real browser, every chapter
	@$(MAKE) --no-print-directory --jobs 2 types whole

notebooks: $(READY)
	$(BIN)/python book/build.py notebooks

lab: notebooks  ## JupyterLab on the chapters
	$(BIN)/jupyter lab --notebook-dir=book/_notebooks $(if $(SHOW),,--no-browser) $(if $(filter 0,$(shell id -u)),--allow-root) \
		--LabApp.news_url=None --LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate

book: $(READY)  ## the book as web pages, built without the network
	$(BIN)/python book/build.py html

pdf: $(READY)  ## the chapters as one PDF, printed by Chromium from the pages (built first if they are not there)
	$(BIN)/python book/build.py pdf

browser-edition: $(READY)  ## two chapters and a network that runs in the page, in book/_build/browser; fetches onnxruntime-web once
	test -f book/_build/html/atmosphere.html || $(BIN)/python book/build.py html
	$(BIN)/python book/browser/build.py book/_build/browser $(if $(RUNTIME),--runtime $(RUNTIME))

train: $(READY)  ## train a recipe: make train RECIPE=tcw-x4 ARGS="--constraint softmax"
	$(BIN)/physlab train $(RECIPE) $(ARGS)

gpu-checkpoints: $(READY)  ## with a GPU: tests, times, published sizes, packed (ARGS="--minutes 15"; again to go on)
	$(BIN)/physlab gpu-checkpoints $(ARGS)

simulate: $(READY)  ## run the laboratory atmosphere: make simulate ARGS="--days 10"
	$(BIN)/physlab simulate $(ARGS)

wheels: $(READY)  ## both wheels in dist/, and a try of them in an empty environment
	$(BIN)/python wheels/build.py --try

clean:  ## remove what was built (the environment, data, runs and checkpoints stay)
	rm -rf book/_build book/_notebooks book/_student book/api build dist .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
	find physlab apps book tests -name __pycache__ -type d -prune -exec rm -rf {} +
