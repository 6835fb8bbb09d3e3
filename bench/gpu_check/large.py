"""A randomly initialised dual model of Qwen3-4B's shape: training passes with both losses, and sampling."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.gpu_check.findings import Findings
from bench.gpu_check.place import Place, forget_peak, in_gb, peak_gb, timed

TOKENS = 4_096


class Large(NamedTuple):
    """The model without files, its phases, and its visible ids."""

    model: Any
    machine: Any
    visible: int


def built(place: Place) -> Large:
    """36 layers, hidden 2560, 32 heads over 8, 151,936 ids twice, tied; weights in bfloat16, made on the device."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from latent_core.dual.constraint import PhaseMachine
    from latent_core.dual.vocabulary import DualVocabulary

    visible = place.sized(151_936, 500)
    config = Qwen3Config(
        vocab_size=2 * visible, hidden_size=place.sized(2_560, 64), num_hidden_layers=place.sized(36, 2),
        intermediate_size=place.sized(9_728, 128), num_attention_heads=place.sized(32, 4),
        num_key_value_heads=place.sized(8, 2), head_dim=place.sized(128, 16), tie_word_embeddings=True,
        max_position_embeddings=40_960, bos_token_id=None, eos_token_id=0, pad_token_id=0,
        dtype=torch.bfloat16 if place.on_gpu else torch.float32,
    )  # fmt: skip
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(config.dtype)
    try:
        with torch.device(place.device):
            model = Qwen3ForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    sources = tuple(range(visible))
    return Large(model, PhaseMachine(DualVocabulary(visible, sources, visible - 2, visible - 1, eos_ids=(0,))), visible)


def check(place: Place, findings: Findings) -> None:
    """Seconds and peak memory of what takes the most of both."""
    forget_peak(place)
    with timed(place) as clock:
        large = built(place)
    count = sum(parameter.numel() for parameter in large.model.parameters())
    findings.note(
        "built", f"{count / 1e9:.2f} billion parameters in {clock.seconds:.1f} s, {in_gb(peak_gb(place))}",
        parameters=count, seconds=clock.seconds, peak=peak_gb(place),
    )  # fmt: skip
    _sampled(place, findings, large)
    _trained(place, findings, large)


def _sampled(place: Place, findings: Findings, large: Large) -> None:
    """Batches under the constraint with seeded noise, by the loop of the transformers engine."""
    import torch
    from transformers import LogitsProcessorList

    from latent_core.dual.transformers_constraint import DualLogitsProcessor
    from latent_core.generate.seeded_sampling import SeededGumbel
    from latent_core.generate.segments import completed

    large.model.eval()
    generator = torch.Generator().manual_seed(1)
    width, new = 64, place.sized(48, 8)
    for rows in place.sized((1, 64), (2,)):
        ids = torch.randint(1, large.visible - 2, (rows, width), generator=generator)
        ids[:, -1] = large.machine.vocabulary.think_start_id

        def processors(places: Any, watch: Any) -> Any:
            noise = SeededGumbel([1000 + row for row in places], width)
            return LogitsProcessorList([DualLogitsProcessor(large.machine), noise])

        forget_peak(place)
        found: dict[int, Any] = {}
        with timed(place) as clock, torch.inference_mode():
            for part in completed(
                large.model, ids.to(place.device), torch.ones_like(ids).to(place.device), processors,
                limits=[new] * rows, stop_ids=(0,), pad_id=0, logprobs=False,
            ):  # fmt: skip
                found |= part
        tokens = sum(len(one.token_ids) for one in found.values())
        wrong = sum(int(large.machine.violations(ids[row].tolist(), one.token_ids).size) for row, one in found.items())
        findings.expect(
            wrong == 0, f"sampling, batch of {rows}",
            f"{tokens / clock.seconds:,.0f} tokens/s, {wrong} of {tokens:,} forbidden, {in_gb(peak_gb(place))}",
            tokens=tokens, forbidden=wrong, seconds=clock.seconds, peak=peak_gb(place),
        )  # fmt: skip


def _trained(place: Place, findings: Findings, large: Large) -> None:
    """Forward and backward of LoRA with latent rows that learn, over 1 x 4,096 tokens, activations computed again."""
    import torch
    from peft import get_peft_model

    from latent_core.config.training import TrainConfig
    from latent_core.likelihood import require_own_logits
    from latent_core.likelihood.hidden_states import let_through
    from latent_core.sft.phase_loss import PhaseLoss
    from latent_core.sft.weights import adapter_config, learning_rows

    config = TrainConfig()
    latents = range(large.visible, 2 * large.visible)
    model = get_peft_model(large.model, adapter_config(config, learning_rows(config, latents, tied=True)))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()
    require_own_logits(model)
    let_through(model)
    tokens = place.sized(TOKENS, 128)
    answer = torch.arange(tokens, device=place.device) >= tokens * 3 // 4
    drawn = torch.randint(1, large.visible - 2, (tokens,), device=place.device)
    ids = torch.where(answer, drawn, drawn + large.visible)[None]
    ids[0, 0], ids[0, tokens * 3 // 4] = large.machine.vocabulary.think_ids
    labels = ids.clone()
    labels[0, :1] = -100
    phase_loss = PhaseLoss(large.machine)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "use_cache": False}

    def phase() -> Any:
        losses = phase_loss(model, model, inputs | {"labels": labels})
        return losses.sum() / (labels != -100).sum()

    def full() -> Any:
        return model(**inputs, labels=labels).loss

    for name, loss_of in (("phase", phase), ("full", full)):
        for _ in range(2):  # the first loads kernels
            model.zero_grad(set_to_none=True)
            forget_peak(place)
            with timed(place) as clock:
                loss = loss_of()
                loss.backward()
        norms = [value.grad.float().norm() for value in model.parameters() if value.grad is not None]
        norm, loss = float(torch.stack(norms).norm()), float(loss.detach())
        findings.expect(
            0 < norm < float("inf") and 0 < loss < float("inf"), f"LoRA pass, {name} loss",
            f"{clock.seconds:.2f} s for {tokens:,} tokens, {in_gb(peak_gb(place))}, {loss:.3f} nats a token",
            seconds=clock.seconds, peak=peak_gb(place), loss=loss, gradient_norm=norm, tokens=tokens,
        )  # fmt: skip
        model.zero_grad(set_to_none=True)
