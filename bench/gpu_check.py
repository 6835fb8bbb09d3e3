"""What tests on a CPU cannot show: a dual model on the device at hand, in under a minute.

    python -m bench.gpu_check [--device cuda] [--tiny] [--json out.json]

- `sampling`: completions in bfloat16 under the constraint, and how many tokens it would forbid (must be 0);
- `loss`: the phase-exact loss of those completions on the device, in float32 and bfloat16, against a CPU in float32;
- `head`: loss and gradients at the output head of a Qwen3-4B with a dual vocabulary (hidden 2560, 303,872 ids): bytes
  and seconds, full softmax against phase-exact.

Exit code 1 when a token is forbidden or a loss is off. Needs torch, transformers and this repository. `--tiny` makes
everything small, to try the check itself on a CPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.phase_memory import WAYS, Shape, cost_of
from bench.record import add_json_option, save

QUESTIONS = ("Tom has 3 apples and buys 4 more. How many apples has he?", "What is 12 + 30?")
TOLERANCES = {"float32": 1e-4, "bfloat16": 0.03}  # relative, of the mean loss


def dual_model(folder: Path) -> Any:
    """The embedded model with a dual vocabulary: its phase machine and prompts of one length, as ids."""
    from latent_core.dual import DualVocabulary, PhaseMachine, build_dual
    from latent_core.models.source import open_model

    build_dual(open_model("latent-mini").directory, folder)
    return PhaseMachine(DualVocabulary.load(folder))


def sampled(folder: Path, machine: Any, device: str, rows: int, tokens: int) -> tuple[Any, int, float]:
    """Completions in bfloat16 under the constraint (prompt and completion ids), the prompt's length, and seconds."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from latent_core.dual.transformers_constraint import DualLogitsProcessor

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, local_files_only=True).to(device).eval()
    (question, *_) = QUESTIONS
    ids = tokenizer(question)["input_ids"] + [machine.vocabulary.think_start_id]
    prompts = torch.tensor([ids] * rows, device=device)
    torch.manual_seed(0)
    started = time.perf_counter()
    output = model.generate(
        prompts, attention_mask=torch.ones_like(prompts), do_sample=True, max_new_tokens=tokens,
        logits_processor=[DualLogitsProcessor(machine)],
    )  # fmt: skip
    return output.cpu(), len(ids), time.perf_counter() - started


def forbidden(ids: Any, prompt: int, machine: Any) -> tuple[int, int]:
    """Tokens sampled before a row's end, and how many of them their phase forbids."""
    count = wrong = 0
    for row in ids.tolist():
        completion = row[prompt:]
        ends = [place for place, token in enumerate(completion) if token in machine.vocabulary.eos_ids]
        completion = completion[: ends[0] + 1] if ends else completion
        count += len(completion)
        wrong += int(machine.violations(row[:prompt], completion).size)
    return count, wrong


def loss_on(folder: Path, ids: Any, prompt: int, machine: Any, device: str, dtype: str) -> tuple[float, float]:
    """The phase-exact mean loss of the completions, and the norm of all gradients after its backward pass."""
    import torch
    from transformers import AutoModelForCausalLM

    from latent_core.likelihood import Head, Support, phases_after, token_logprobs
    from latent_core.likelihood.hidden_states import hidden_states

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype), local_files_only=True).to(device)
    ids = ids.to(device)
    phases, targets = phases_after(ids, machine)[:, :-1], ids[:, 1:].clone()
    targets[:, : prompt - 1] = -100
    allowed = torch.from_numpy(machine.allowed.copy()).to(device)
    targets[~allowed[phases].gather(2, ids[:, 1:, None])[:, :, 0]] = -100  # padding after the end
    hidden = hidden_states(model, input_ids=ids, use_cache=False)[:, :-1]
    found = token_logprobs(hidden, Head.of(model), targets, Support.of_machine(machine), phases).values
    loss = -found.sum() / (targets != -100).sum()
    loss.backward()
    norms = [value.grad.float().norm() for value in model.parameters() if value.grad is not None]
    return float(loss.detach()), float(torch.stack(norms).norm())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a small head and few rows")
    add_json_option(parser)
    arguments = parser.parse_args()

    import torch

    device = arguments.device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("no GPU is to be seen; give --device cpu --tiny to try the check itself")
    rows, tokens = (4, 24) if arguments.tiny else (64, 128)
    shape = Shape(2_000, 64, 256, device) if arguments.tiny else Shape(303_872, 2_560, 4_096, device)
    problems = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        machine = dual_model(folder)
        ids, prompt, seconds = sampled(folder, machine, device, rows, tokens)
        count, wrong = forbidden(ids, prompt, machine)
        print(f"sampling  {count:,} tokens in bfloat16, {wrong} forbidden, {count / seconds:,.0f} tokens/s", flush=True)
        if wrong:
            problems.append(f"{wrong} of {count} sampled tokens are forbidden in their phase")
        expected = loss_on(folder, ids, prompt, machine, "cpu", "float32")
        losses: dict[str, Any] = {"cpu_float32": expected}
        for dtype, tolerance in TOLERANCES.items():
            losses[dtype] = found = loss_on(folder, ids, prompt, machine, device, dtype)
            apart = [abs(one / other - 1) for one, other in zip(found, expected, strict=True)]
            print(f"loss      {dtype:>8}: {found[0]:.5f}, {apart[0]:.1e} from the CPU; gradient norm {apart[1]:.1e}")
            if apart[0] > tolerance:
                problems.append(f"the loss in {dtype} is {apart[0]:.1e} away from the CPU's")
    costs = {way: cost_of(way, shape)._asdict() for way in WAYS}
    for way, cost in costs.items():
        print(f"head      {way:>8}: {cost['bytes'] / 1e9:.2f} GB, {cost['seconds']:.3f} s, loss {cost['loss']:.4f}")
    ratios = {name: costs["phase"][name] / max(costs["full"][name], 1e-9) for name in ("bytes", "seconds")}
    print(f"head      phase / full: memory {ratios['bytes']:.3f}, time {ratios['seconds']:.2f}")
    save(
        arguments.json,
        {
            "sampling": {"tokens": count, "forbidden": wrong, "tokens_a_second": round(count / seconds)},
            "loss": losses, "head": {"shape": shape._asdict(), "costs": costs, "ratios": ratios}, "problems": problems,
        },
    )  # fmt: skip
    if problems:
        sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
