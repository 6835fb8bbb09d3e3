"""Group-relative policy optimisation of a causal language model: TRL's GRPOTrainer over our rollouts.

Rollouts come from the weights in training (see `policy_engine`), in the process that trains on them: this one, or each
of several that share every step's groups (see `processes`).
Training resumes from the newest whole checkpoint in `checkpoint_dir`, which belongs to one fingerprint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from latent_core.config.policy_update import PolicyUpdateConfig
from latent_core.device_memory import release
from latent_core.dual.constraint import PhaseMachine
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.likelihood import require_own_logits
from latent_core.models.family import open_family
from latent_core.rl.policy.critic_checkpoints import with_critic
from latent_core.rl.policy.processes import Processes
from latent_core.rl.policy.trainer import DIAGNOSIS, policy_trainer
from latent_core.rl.policy.value_head import Critic
from latent_core.rl.rollouts.files import RolloutFiles
from latent_core.sft.checkpoints import newest_checkpoint, step_of
from latent_core.sft.rank import Progress, checkpoint_callback, progress_callback
from latent_core.sft.training_log import log_callback
from latent_core.sft.weights import adapter_config, is_mixed, learning_rows, load_model, parameters_of, save_trained

if TYPE_CHECKING:
    import pyarrow as pa

ROLLOUTS = "rollouts"  # folder beside the checkpoints


@dataclass(frozen=True)
class PolicyResult:
    """What training measured; `curve` has one entry a step with TRL's own names. `rollouts` are read from disk.

    `diagnosis` has the measures of `diagnose_every` by step, which counts from 0 as that of rollouts does.
    """

    curve: list[dict[str, float]]
    diagnosis: dict[int, dict[str, float]]
    trainable_parameters: int
    total_parameters: int
    resumed_from_step: int
    rollouts: Iterator[dict[str, Any]]


def launched_result(
    measured: Mapping[str, Any], config: PolicyUpdateConfig, checkpoint_dir: Path, schema: pa.Schema
) -> PolicyResult:
    """What `launch` measured, with the rollouts of every step, which its processes left beside the checkpoints."""
    files = RolloutFiles(checkpoint_dir / ROLLOUTS, schema)
    return PolicyResult(**measured, rollouts=files.rows(range(0, config.steps, config.iterations)))


class RolloutSource(Protocol):
    """What TRL calls for a step's rollouts, and what reads them again afterwards."""

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, list[Any]]:
        """`prompts` tell how many rollouts are wanted, and nothing else."""
        ...

    def let_go(self) -> None:
        """Hold the trained model no longer; only `rows` may follow."""
        ...

    def rows(self, steps: int) -> Iterator[dict[str, Any]]:
        """All rows of the first `steps` optimizer steps, in order."""
        ...


class Sizes(NamedTuple):
    """Rollouts of a step, members of a group, and the constant length that `dr_grpo` divides by, in tokens."""

    rollouts: int
    samples: int
    longest: int


def train_policy(
    model_dir: Path,
    config: PolicyUpdateConfig,
    rollouts: RolloutSource,
    sizes: Sizes,
    *,
    loss: str,
    temperature: float,
    out_dir: Path,
    checkpoint_dir: Path,
    importance_cap: float | None = None,
    critic: Critic | None = None,
    progress: Progress | None = None,
) -> PolicyResult:
    """Train on what `rollouts` gives, with TRL's loss of that name (grpo, dr_grpo or dapo); see `reinforce`.

    `critic`: the value head that `rollouts` reckons with, which goes into the checkpoints.
    `importance_cap`: see `policy_trainer`. The rollouts are let go whatever happens.
    Of several processes only the first one saves what came of it.
    """
    from datasets import Dataset

    place = Processes.here()
    tokenizer, family = open_family(model_dir)
    vocabulary = DualVocabulary.find(model_dir)
    machine = PhaseMachine(vocabulary, stop_ids=family.stop_ids) if vocabulary else None
    latents = range(vocabulary.visible_size, vocabulary.size) if vocabulary else range(0)
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # `rollout_func` may change: TRL's version is pinned
    model = load_model(model_dir, config)
    rows = learning_rows(config, latents, ratio_tokens=family.ratio_tokens, tied=bool(model.config.tie_word_embeddings))
    trainer = with_critic(policy_trainer(machine, importance_cap), critic)(
        model=model,
        args=_arguments(config, sizes, loss, temperature, checkpoint_dir),
        reward_funcs=_given_reward,
        rollout_func=rollouts,
        train_dataset=Dataset.from_dict({"prompt": ["-"] * sizes.rollouts}),
        processing_class=tokenizer,
        peft_config=adapter_config(config, rows),
        callbacks=[checkpoint_callback(config.save_every), log_callback(checkpoint_dir), progress_callback(progress)],
    )
    require_own_logits(trainer.model)
    trainable, total = parameters_of(trainer.model)
    resume = newest_checkpoint(checkpoint_dir)
    try:
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    finally:
        rollouts.let_go()
    log = [{key: float(value) for key, value in entry.items()} for entry in trainer.state.log_history]
    trained = trainer.model
    # The trainer's wrapper goes before the process group: as its last owner it would wait for the group's threads while
    # holding the interpreter's lock, which these may wait for.
    del trainer, model
    release()
    place.part()
    if place.rank == 0:
        save_trained(trained, tokenizer, config, model_dir, out_dir, rows)
    del trained
    release()
    return PolicyResult(
        curve=[{key: value for key, value in entry.items() if not key.startswith(DIAGNOSIS)} for entry in log],
        diagnosis={int(entry["step"]) - 1: found for entry in log if (found := _diagnosis(entry))},
        trainable_parameters=trainable,
        total_parameters=total,
        resumed_from_step=step_of(resume) if resume else 0,
        rollouts=rollouts.rows(config.steps),
    )


def _diagnosis(entry: Mapping[str, float]) -> dict[str, float]:
    return {key.removeprefix(DIAGNOSIS): value for key, value in entry.items() if key.startswith(DIAGNOSIS)}


def _given_reward(prompts: list[str], completions: list[str], reward: list[float], **_: Any) -> list[float]:
    """The rewards that the rollouts brought with them."""
    return reward


def _arguments(config: PolicyUpdateConfig, sizes: Sizes, loss: str, temperature: float, checkpoint_dir: Path) -> Any:
    import torch
    from trl import GRPOConfig

    on_gpu, processes = torch.cuda.is_available(), Processes.here().count
    arguments = GRPOConfig(
        output_dir=str(checkpoint_dir),
        max_steps=config.steps,
        per_device_train_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=sizes.rollouts // (config.micro_batch_size * processes),
        # TRL knows no groups of one; its own advantages, which need them, are replaced in any case.
        num_generations=sizes.samples if sizes.samples > 1 else sizes.rollouts,
        num_iterations=config.iterations,
        max_completion_length=sizes.longest,
        temperature=temperature,
        loss_type=loss,
        scale_rewards="none",  # advantages are given
        epsilon=config.clip_low,
        epsilon_high=config.clip_high,
        beta=config.kl,
        learning_rate=config.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=config.warmup_ratio,  # a float below 1 is a share of the steps
        weight_decay=config.weight_decay,
        router_aux_loss_coef=0.0,  # mixture of experts: the loss is the policy's alone, as in supervised training
        gradient_checkpointing=config.gradient_checkpointing,
        save_strategy="steps",
        save_steps=config.save_every,
        save_total_limit=2,
        logging_steps=1,
        bf16=is_mixed(config),
        use_cpu=not on_gpu,
        ddp_backend=None if on_gpu or processes == 1 else "gloo",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
        seed=config.seed,
        data_seed=config.seed,
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # of several devices transformers would spread the model over all, by threads
    return arguments
