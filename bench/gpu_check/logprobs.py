"""Log-probabilities by three ways that must agree: the sampler's, the trainer's, and the scorer's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import REFERENCE, Place, dual_folder, engine_in, machine_of, read
from bench.gpu_check.sampling import score_requests

MEAN_TOLERANCES = {"float32": 1e-4, "bfloat16": 0.05}  # nats a token
LARGEST_TOLERANCES = {"float32": 0.01, "bfloat16": 2.0}
SCORE_TOLERANCE = 0.05  # nats a token, of the mean of all scores


def check(place: Place, findings: Findings) -> None:
    """Rollouts' log-probabilities against those that reinforcement learning computes anew; scores against the CPU's."""
    import numpy as np

    from latent_core.config.sampling import LogprobsOf, SamplingConfig
    from latent_core.generate.engine import Request, item_seed
    from latent_core.rl.policy.logprobs import Policy
    from latent_core.rl.policy.mismatch import sampler_trainer_kl

    folder, expected = dual_folder(place), read(place, REFERENCE, "reference")
    machine, rows = machine_of(folder), expected["rows"]
    sampling = SamplingConfig(
        temperature=1.0, max_new_tokens=place.sized(96, 16), logprobs=True, logprobs_of=LogprobsOf.SAMPLER
    )
    requests = [Request(tuple(row["prompt_token_ids"]), item_seed(1, row["question_id"], 0)) for row in rows]
    for dtype, tolerance in MEAN_TOLERANCES.items():
        engine = engine_in(folder, place.device, dtype)
        found = engine.generate(requests, sampling)
        policy = Policy(machine, sampling.temperature)
        trainer = learned_logprobs(place, policy, engine.model, requests, found)
        sampler = np.concatenate([np.asarray(one.logprobs) for one in found])
        apart = np.abs(sampler - trainer)
        kl = sampler_trainer_kl(sampler, trainer, np.ones(len(sampler)))
        findings.expect(
            float(apart.mean()) <= tolerance and float(apart.max()) <= LARGEST_TOLERANCES[dtype],
            f"sampler and trainer in {dtype}",
            f"{apart.mean():.1e} nats apart in the mean, {apart.max():.1e} at most, of {len(apart):,} tokens; "
            f"divergence {kl:.1e} nats a token",
            mean=float(apart.mean()), largest=float(apart.max()), tokens=len(apart), kl=kl,
        )  # fmt: skip
        engine.close()
    _scores(findings, folder, expected)


def learned_logprobs(place: Place, policy: Any, model: Any, requests: Sequence[Any], found: Sequence[Any]) -> Any:
    """What the trainer says of every token, completion after completion, in passes of 16 rows."""
    import numpy as np
    import torch

    values = []
    for start in range(0, len(requests), 16):
        pairs = list(zip(requests[start : start + 16], found[start : start + 16], strict=True))
        prompt = max(len(request.prompt_ids) for request, _ in pairs)
        keep = max(len(one.token_ids) for _, one in pairs)
        ids = torch.zeros((len(pairs), prompt + keep), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, (request, one) in enumerate(pairs):
            begin, end = prompt - len(request.prompt_ids), prompt + len(one.token_ids)
            ids[row, begin:end] = torch.tensor([*request.prompt_ids, *one.token_ids])
            mask[row, begin:end] = 1
        with torch.no_grad():
            whole = policy.logprobs(model, ids.to(place.device), mask.to(place.device), keep).values.float().cpu()
        values += [whole[row, : len(one.token_ids)].numpy() for row, (_, one) in enumerate(pairs)]
    return np.concatenate(values)


def _scores(findings: Findings, folder: Any, expected: dict[str, Any]) -> None:
    import numpy as np

    from latent_core.reward.scorer import Scorer

    scorer = Scorer(folder)
    scores = np.array([score.score for score in scorer.score(score_requests(expected["rows"]))])
    apart = np.abs(scores - np.array(expected["scores"]))
    findings.expect(
        float(apart.mean()) <= SCORE_TOLERANCE, f"scores in {str(scorer._model.dtype).removeprefix('torch.')}",
        f"{apart.mean():.1e} nats a token from the CPU's in the mean, {apart.max():.1e} at most, of {len(apart)}",
        mean=float(apart.mean()), largest=float(apart.max()), scores=len(apart),
    )  # fmt: skip
