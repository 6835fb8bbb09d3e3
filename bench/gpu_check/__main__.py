"""What tests on a CPU cannot show: a dual model on the device at hand, in a few minutes.

    python -m bench.gpu_check [--device cuda] [--tiny] [--only NAME,...] [--skip NAME,...] [--seconds 360]
                              [--json gpu.json]

Every check runs in a process of its own and prints its rows as they come; one that fails, crashes or runs out of time
becomes a row, and the others go on. `--json` is written anew after each. Exit code 1 when anything failed or is wrong.

- `choices`: device, types and GPUs that the code chooses by itself;
- `reference`, `training-reference`: a CPU in float32, which the others are compared with (run them in the same call);
- `head`: loss and gradients at the output head of a Qwen3-4B with a dual vocabulary, full softmax against phase-exact;
- `sampling`: forbidden tokens (must be 0), greedy and drawn agreement with the CPU, tokens a second by batch;
- `logprobs`: the sampler's log-probabilities against the trainer's, and the scorer's scores against the CPU's;
- `training`: LoRA and full training against the CPU, resuming, seconds a step, peak memory;
- `large`: a random dual model of Qwen3-4B's shape: sampling, and training passes with both losses;
- `rl`: two steps each of grpo, of an agent, and of an agent with ppo;
- `compressor`: strings in float32 and bfloat16 against the CPU's, texts a second;
- `memory`: what a worker keeps warm is given back;
- `workers`: two workers on one card;
- `vllm`, `vllm-v2`: the constraint in vLLM, where it is installed.

Needs torch, transformers and this repository; a check that needs more (peft and trl for training, vLLM) is skipped
where that is not installed. Prefect and MLflow are not used. `--tiny` makes everything small, to try the checks
themselves on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.record import add_json_option, measured
from latent_core.atomic import atomic_file

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # so that asking whether there is a GPU starts no CUDA, and forks can use it
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
IMPORT_SECONDS = 30.0  # that a process which is no fork may take before its check begins
LEAST_SECONDS = 5.0  # of what is left of the whole, for a check to be started


def main() -> None:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from bench.gpu_check.checks import CHECKS, NAMES
    from bench.gpu_check.findings import FAULTY, Row
    from bench.gpu_check.place import Place
    from bench.gpu_check.runner import context_for, run, skipped

    arguments = _arguments(NAMES)
    started = time.monotonic()
    chosen = [
        check for check in CHECKS
        if (not arguments.only or check.name in arguments.only) and check.name not in arguments.skip
    ]  # fmt: skip
    record: dict[str, Any] = {"device": arguments.device, "tiny": arguments.tiny, "rows": [], "checks": {}}
    about = _measured()

    def said(row: Row) -> None:
        print(f"{row.check:<18} {row.what:<44} {row.status:<7} {row.found}", flush=True)

    with tempfile.TemporaryDirectory(prefix="gpu_check_") as scratch:
        place = Place(arguments.device, arguments.tiny, Path(scratch))
        context = context_for(arguments.device, len(chosen), arguments.patience)
        record["processes"] = context.get_start_method()
        start = IMPORT_SECONDS if record["processes"] == "spawn" else 0.0
        for check in chosen:
            left = arguments.seconds - (time.monotonic() - started)
            if left < LEAST_SECONDS:
                outcome = skipped(check, f"not run: the {arguments.seconds:.0f} seconds are over")
                said(outcome.rows[0])
            else:
                outcome = run(check, place, context, min((check.seconds + start) * arguments.patience, left), said)
            record["rows"] += [row._asdict() for row in outcome.rows]
            record["checks"][check.name] = {"seconds": outcome.seconds, "tracebacks": outcome.tracebacks}
            record["seconds"] = time.monotonic() - started
            _write(arguments.json, {"measured": about, "results": record})
    faults = [row for row in record["rows"] if row["status"] in FAULTY]
    missed = sum(row["found"].startswith("not run") for row in record["rows"])
    print(
        f"{len(record['rows'])} rows, {len(faults)} faulty, {missed} checks not run, "
        f"{time.monotonic() - started:.0f} s on {arguments.device}"
    )
    for name, found in record["checks"].items():
        for trace in found["tracebacks"]:
            print(f"\n{name}:\n{trace}", file=sys.stderr)
    sys.exit(1 if faults or missed else 0)


def _arguments(names: tuple[str, ...]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def some(text: str) -> list[str]:
        found = [name.strip() for name in text.split(",") if name.strip()]
        if unknown := [name for name in found if name not in names]:
            raise argparse.ArgumentTypeError(f"no check is called {unknown[0]!r}; choose from {', '.join(names)}")
        return found

    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="everything small, to try the checks themselves")
    parser.add_argument("--only", type=some, default=[], metavar="NAME,...", help="these checks alone")
    parser.add_argument("--skip", type=some, default=[], metavar="NAME,...", help="all but these")
    parser.add_argument("--seconds", type=float, default=360.0, help="of the whole; what is left then is not run")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on every check's own limit")
    add_json_option(parser)
    return parser.parse_args()


def _measured() -> dict[str, Any]:
    """What ran where; that this cannot be told must not cost the run."""
    try:
        return measured()
    except Exception as error:
        return {"unknown": f"{type(error).__name__}: {error}"}


def _write(path: Path | None, content: Any) -> None:
    """The whole record, such that a reader never sees a part."""
    if path is not None:
        with atomic_file(path) as partial:
            partial.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
