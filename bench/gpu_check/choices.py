"""What the code chooses on this machine when nobody says: device, types, and which GPUs a worker sees."""

from __future__ import annotations

import platform

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import Place, dual_folder


def check(place: Place, findings: Findings) -> None:
    """Raises RuntimeError where a GPU is asked for and none can be used."""
    import torch

    if place.on_gpu:
        torch.ones(2, device="cuda").sum().item()  # raises where the driver or the build does not fit
        free, total = torch.cuda.mem_get_info()
        findings.note(
            "device",
            f"{torch.cuda.get_device_name()}, {total / 2**30:.0f} GiB ({free / 2**30:.0f} free), CUDA "
            f"{torch.version.cuda}, torch {torch.__version__}",
            name=torch.cuda.get_device_name(), total=total, free=free, capability=torch.cuda.get_device_capability(),
            count=torch.cuda.device_count(), cuda=torch.version.cuda, torch=torch.__version__,
        )  # fmt: skip
    else:
        threads = torch.get_num_threads()
        findings.note("device", f"{platform.machine()}, {threads} threads, torch {torch.__version__}", threads=threads)
    _types(place, findings)
    _visible(place, findings)


def _types(place: Place, findings: Findings) -> None:
    """float32 on a CPU; on a GPU bfloat16 for sampling and training, and float32 for the compressor."""
    from transformers import AutoConfig

    from latent_core.compress.encoder import TokenClassifier
    from latent_core.config.training import TrainConfig
    from latent_core.generate.transformers_engine import TransformersEngine
    from latent_core.models.source import open_model
    from latent_core.reward.scorer import Scorer
    from latent_core.sft.weights import compute_type

    folder = dual_folder(place)
    engine = TransformersEngine(folder)
    classifier = TokenClassifier(open_model("latent-compressor").directory)
    scorer = Scorer(folder)
    chosen = {
        "stored": str(AutoConfig.from_pretrained(folder).dtype),
        "sampling": f"{engine.model.dtype} on {engine.model.device}",
        "compressor": f"{classifier.model.dtype} on {classifier.model.device}",
        "scorer": f"{scorer._model.dtype} on {scorer._model.device}",
        "training": compute_type(TrainConfig()),
    }
    named = {name: value.replace("torch.", "") for name, value in chosen.items()}
    wanted = "bfloat16" if place.on_gpu else "float32"
    right = engine.device == place.device and named["training"] == wanted and wanted in named["sampling"]
    findings.expect(
        right and named["compressor"].startswith("float32"),
        "types", ", ".join(f"{name} {value}" for name, value in named.items()), **named,
    )  # fmt: skip
    engine.close()


def _visible(place: Place, findings: Findings) -> None:
    """Workers are dealt the GPUs that PyTorch sees."""
    import torch

    from tasks.workers.devices import visible_devices

    ours, count = visible_devices(), torch.cuda.device_count()
    findings.expect(
        len(ours) == count, "GPUs that workers share", f"{ours or 'none'} by name, {count} by PyTorch", names=ours,
        count=count,
    )  # fmt: skip
