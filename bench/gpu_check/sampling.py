"""Sampling under the constraint: what is forbidden, agreement with a CPU in float32, and tokens a second."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import (
    REFERENCE,
    Place,
    accuracy,
    completed,
    dual_folder,
    engine_in,
    machine_of,
    problems_of,
    read,
    timed,
    write,
)  # fmt: skip

LEAST_AGREEMENT = {"float32": 0.9, "bfloat16": 0.3}  # of greedy tokens up to the first that differs
ACCURACY_TOLERANCE = 0.15
LEAST_DRAWN_ALIKE = 0.9  # of tokens drawn in float32 with equal seeds
NOISE_TOLERANCE = 1e-4


def reference(place: Place, findings: Findings) -> None:
    """On the CPU in float32: greedy and drawn completions, scores, and noise, which other checks compare with."""
    import torch

    from latent_core.config.sampling import SamplingConfig
    from latent_core.generate.seeded_sampling import gumbel_noise
    from latent_core.reward.scorer import Scorer

    folder = dual_folder(place)
    engine = engine_in(folder, "cpu", "float32")
    problems, tokens = problems_of(place.sized(48, 6)), place.sized(256, 48)
    here = Place("cpu", place.tiny, place.folder)
    with timed(here) as clock:
        rows = completed(folder, engine, problems, SamplingConfig(max_new_tokens=tokens))
    drawn = completed(folder, engine, problems, SamplingConfig(temperature=1.0, max_new_tokens=tokens))
    engine.close()
    scores = Scorer(folder).score(score_requests(rows))
    kept = ("question_id", "gold", "prompt_token_ids", "output_token_ids", "verdict", "finish_reason")
    listed = [{name: list(row[name]) if name.endswith("ids") else row[name] for name in kept} for row in rows]
    write(
        place, REFERENCE,
        {
            "tokens": tokens, "rows": listed, "drawn": [list(row["output_token_ids"]) for row in drawn],
            "scores": [score.score for score in scores],
            "noise": gumbel_noise(torch.tensor([7, 11]), 3, 64).tolist(),
        },
    )  # fmt: skip
    count = sum(row["tokens"] for row in rows)
    findings.expect(
        accuracy(rows) > 0.3 or place.tiny, "greedy on the CPU, float32",
        f"{len(rows)} word problems, {accuracy(rows):.0%} right, {count / clock.seconds:,.0f} tokens/s",
        accuracy=accuracy(rows), tokens=count, tokens_a_second=count / clock.seconds,
    )  # fmt: skip


def score_requests(rows: Sequence[dict[str, Any]]) -> list[Any]:
    """What the log-probability reward is asked about the completions."""
    from latent_core.reward.scores import ScoreRequest

    return [ScoreRequest(tuple(row["prompt_token_ids"]), tuple(row["output_token_ids"]), row["gold"]) for row in rows]


def check(place: Place, findings: Findings) -> None:
    """The choices of the engine, greedy and drawn agreement, what is forbidden, and speed by batch."""
    import torch

    from latent_core.config.sampling import SamplingConfig
    from latent_core.generate.seeded_sampling import gumbel_noise

    folder, expected = dual_folder(place), read(place, REFERENCE, "reference")
    noise = gumbel_noise(torch.tensor([7, 11], device=place.device), 3, 64).cpu()
    apart = float((noise - torch.tensor(expected["noise"])).abs().max())
    findings.expect(apart < NOISE_TOLERANCE, "noise of a seed", f"at most {apart:.1e} from the CPU's", largest=apart)
    rows, tokens = expected["rows"], expected["tokens"]
    problems = problems_of(len(rows))
    greedy = SamplingConfig(max_new_tokens=tokens)
    for dtype, least in LEAST_AGREEMENT.items():
        engine = engine_in(folder, place.device, dtype)
        found = completed(folder, engine, problems, greedy)
        ids = [list(row["output_token_ids"]) for row in found]
        shares = [agreement(one, row["output_token_ids"]) for one, row in zip(ids, rows, strict=True)]
        right, before = accuracy(found), accuracy(rows)
        findings.expect(
            mean(shares) >= least and (abs(right - before) <= ACCURACY_TOLERANCE or place.tiny),
            f"greedy in {dtype}",
            f"{mean(shares):.1%} of tokens as the CPU's up to the first that differs, {share_of_equal(shares):.0%} of "
            f"texts; {right:.0%} right ({before:.0%} on the CPU)",
            agreement=mean(shares), equal_texts=share_of_equal(shares), accuracy=right, cpu_accuracy=before,
        )  # fmt: skip
        if dtype == "float32":
            drawn = completed(folder, engine, problems, SamplingConfig(temperature=1.0, max_new_tokens=tokens))
            shares = [
                agreement(list(row["output_token_ids"]), other)
                for row, other in zip(drawn, expected["drawn"], strict=True)
            ]
            findings.expect(
                mean(shares) >= LEAST_DRAWN_ALIKE, "drawn with equal seeds, float32",
                f"{mean(shares):.1%} of tokens as the CPU's, {share_of_equal(shares):.0%} of texts",
                agreement=mean(shares), equal_texts=share_of_equal(shares),
            )  # fmt: skip
        engine.close()
    _speed(place, findings, rows)


def agreement(one: Sequence[int], other: Sequence[int]) -> float:
    """Share of the longer one's tokens before the first that differs; 1 for equal ones."""
    same = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    same = min(len(one), len(other)) if same is None else same
    return same / max(len(one), len(other), 1)


def share_of_equal(shares: Sequence[float]) -> float:
    """Share of texts that agree to the end."""
    return sum(share == 1 for share in shares) / len(shares)


def _speed(place: Place, findings: Findings, rows: Sequence[dict[str, Any]]) -> None:
    """In bfloat16 under the constraint, at temperature 1: forbidden tokens of all batches, and tokens a second."""
    from latent_core.config.sampling import SamplingConfig
    from latent_core.generate.engine import Request, item_seed

    folder = dual_folder(place)
    machine, engine = machine_of(folder), engine_in(folder, place.device, "bfloat16")
    sampling = SamplingConfig(temperature=1.0, max_new_tokens=place.sized(128, 16), batch_tokens=1 << 22)
    prompts = [tuple(row["prompt_token_ids"]) for row in rows]
    engine.generate([Request(prompts[0], 1)], sampling.model_copy(update={"max_new_tokens": 4}))  # kernels are loaded
    count = wrong = 0
    for batch in place.sized((1, 8, 64, 256), (1, 4)):
        requests = [Request(prompts[row % len(prompts)], item_seed(0, f"{batch}", row)) for row in range(batch)]
        with timed(place) as clock:
            found = engine.generate(requests, sampling)
        tokens = sum(len(one.token_ids) for one in found)
        count += tokens
        wrong += sum(
            int(machine.violations(request.prompt_ids, one.token_ids).size)
            for request, one in zip(requests, found, strict=True)
        )
        findings.note(
            f"batch of {batch}, bfloat16", f"{tokens / clock.seconds:,.0f} tokens/s",
            batch=batch, tokens=tokens, seconds=clock.seconds, tokens_a_second=tokens / clock.seconds,
        )  # fmt: skip
    findings.expect(wrong == 0, "forbidden tokens", f"{wrong} of {count:,}, in bfloat16", forbidden=wrong, tokens=count)
    engine.close()
