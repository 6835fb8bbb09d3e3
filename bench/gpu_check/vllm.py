"""vLLM, where it is installed: what is forbidden, agreement with the CPU, and tokens a second."""

from __future__ import annotations

from importlib.util import find_spec
from statistics import mean

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import (
    REFERENCE,
    Place,
    accuracy,
    completed,
    dual_folder,
    machine_of,
    problems_of,
    read,
    timed,
)
from bench.gpu_check.sampling import LEAST_AGREEMENT, agreement


def check(place: Place, findings: Findings) -> None:
    """With the constraint as a V1 processor."""
    _checked(place, findings, "V1 processor")


def check_v2(place: Place, findings: Findings) -> None:
    """With the constraint in Model Runner V2, which the environment of this check asks for."""
    if not place.on_gpu:
        findings.skip("vLLM, Model Runner V2", "runs on GPUs only")
        return
    _checked(place, findings, "Model Runner V2")


def _checked(place: Place, findings: Findings, name: str) -> None:
    if find_spec("vllm") is None:
        findings.skip(f"vLLM, {name}", "not installed")
        return
    from latent_core.config.sampling import SamplingConfig, VllmConfig
    from latent_core.generate.vllm_engine import VllmEngine

    folder, expected = dual_folder(place), read(place, REFERENCE, "reference")
    rows, machine = expected["rows"], machine_of(folder)
    options = VllmConfig(gpu_memory_utilization=0.5, enforce_eager=True)
    engine = VllmEngine(folder, "bfloat16" if place.on_gpu else "float32", options)
    problems, sampling = problems_of(len(rows)), SamplingConfig(max_new_tokens=expected["tokens"])
    completed(folder, engine, problems[:1], sampling)  # vLLM starts
    with timed(place) as clock:
        found = completed(folder, engine, problems, sampling)
    ids = [list(row["output_token_ids"]) for row in found]
    shares = [agreement(one, row["output_token_ids"]) for one, row in zip(ids, rows, strict=True)]
    wrong = sum(int(machine.violations(row["prompt_token_ids"], one).size) for one, row in zip(ids, rows, strict=True))
    tokens = sum(map(len, ids))
    findings.expect(
        wrong == 0 and mean(shares) >= LEAST_AGREEMENT["bfloat16"], f"vLLM, {name}",
        f"{wrong} of {tokens:,} forbidden, {mean(shares):.1%} of greedy tokens as the CPU's, {accuracy(found):.0%} "
        f"right, {tokens / clock.seconds:,.0f} tokens/s",
        forbidden=wrong, tokens=tokens, agreement=mean(shares), accuracy=accuracy(found),
        tokens_a_second=tokens / clock.seconds,
    )  # fmt: skip
    engine.close()
