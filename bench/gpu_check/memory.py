"""A GPU's memory between stages: what a worker keeps warm is given back before a stage that needs all of it."""

from __future__ import annotations

from typing import Any

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import Place, dual_folder, problems_of
from bench.gpu_check.training import trained

KEPT = 2**20  # bytes, beside cuBLAS's workspaces, which stay


def check(place: Place, findings: Findings) -> None:
    """Two rounds of an engine, a scorer, a compressor and a training, each with a worker's own clearing behind it."""
    if not place.on_gpu:
        findings.skip("memory given back", "a CPU's allocator keeps no such account")
        _round(place)  # that it runs can be seen here
        return
    import torch

    torch.ones(1, device="cuda")
    for number in (1, 2):
        before = torch.cuda.mem_get_info()[0]
        held = _round(place)
        after, lost = _held(), (before - torch.cuda.mem_get_info()[0]) / 2**20
        findings.expect(
            after <= KEPT,
            f"after round {number}",
            f"{after / 2**20:.2f} MiB held ({held / 2**20:.0f} before clearing); {lost:.0f} MiB less free on the card",
            held=after,
            before_clearing=held,
            less_free=lost,
        )
    trained(place, "memory", "lora", "bfloat16")
    after = _held()
    findings.expect(after <= KEPT, "after a training", f"{after / 2**20:.2f} MiB held", held=after)


def _held() -> int:
    """Bytes in tensors, cuBLAS's workspaces left out, which PyTorch counts among them."""
    import torch

    torch._C._cuda_clearCublasWorkspaces()
    return int(torch.cuda.memory_allocated())


def _round(place: Place) -> int:
    """Bytes held before a worker clears what it keeps warm."""
    from latent_core.compress.compressor import PAPER_SCORING
    from latent_core.config.prompting import TextFormat
    from latent_core.config.sampling import SamplingConfig
    from latent_core.generate.engine import Request
    from latent_core.models.readable import ReadableModel
    from tasks.workers import engines, warm

    folder = dual_folder(place)
    sampling = SamplingConfig(temperature=1.0, max_new_tokens=8)
    engine = engines.warm_engine(engines.Served(folder), "dual", sampling)
    question = problems_of(1)[0].question
    engine.generate([Request(tuple(ReadableModel.load(folder).encode(question)), 1)] * 4, sampling)
    engines.warm_scorer(folder, "dual", TextFormat.BOXED)
    compressor: Any = warm.warm_compressor("latent-compressor", "compressor", PAPER_SCORING)
    compressor.compress([question], [0.5])
    held = 0
    if place.on_gpu:
        import torch

        held = torch.cuda.memory_allocated()
    del engine, compressor
    warm.cool_down()
    return held
