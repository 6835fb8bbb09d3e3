"""What was run, from the manifests of the stages behind a report: settings, sizes, dates, machines, losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from latent_core.report.numbers import percent
from latent_core.report.plots import COLOURS
from latent_core.report.training_plots import Arm, Figured, Panel, Steps, measured, panelled

_NOT_LIBRARIES = ("python", "machine", "commit")
_LOSSES = (Panel("loss", "training loss"), Panel("eval_loss", "validation loss"))
_LOSSES_CAPTION = (
    "Losses of the trainings, a thin line a seed, a thick one their mean. The weights kept are those with the lowest "
    "validation loss. A dual model’s loss is over another vocabulary than a standard one’s: compare curves within one."
)


@dataclass(frozen=True)
class RanStage:
    """One finished stage: what it computed with, what it found, and where. Values that its manifest lacks are absent.

    `record` is the manifest's: parameters, environment, started (seconds since 1970), seconds, device, curve.
    """

    role: str
    stage: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.record.get("parameters") or {}
        return found

    @property
    def environment(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.record.get("environment") or {}
        return found

    @property
    def commit(self) -> str:
        return str(self.environment.get("commit", "not recorded"))

    @property
    def date(self) -> str | None:
        """When it began, in UTC to the minute."""
        started = self.record.get("started")
        return None if started is None else f"{datetime.fromtimestamp(float(started), UTC):%Y-%m-%d %H:%M}"


def training_rows(stages: Sequence[RanStage]) -> list[dict[str, Any]]:
    """One row a training: those of fine-tuning and of reinforcement learning."""
    return [_training(stage) for stage in stages if stage.role.startswith("train/")]


def sampling_rows(stages: Sequence[RanStage]) -> list[dict[str, Any]]:
    """One row for each way that evaluations were sampled, with those that were."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    names: dict[tuple[Any, ...], list[str]] = {}
    evaluations = [
        stage for stage in stages if stage.role.startswith("evaluation/") and stage.parameters.get("sampling")
    ]
    for stage in evaluations:
        row = _sampling(stage)
        key = tuple(row.values())
        rows[key] = row
        names.setdefault(key, []).append(stage.role.removeprefix("evaluation/").replace("/", ", "))
    whole = len(rows) == 1
    return [{"evaluations": "all" if whole else "; ".join(names[key])} | row for key, row in rows.items()]


def environments(stages: Sequence[RanStage]) -> dict[str, str]:
    """Library versions, Python, kind of machine, commits and dates: each with all the values that the stages have."""
    found: dict[str, dict[str, None]] = {}
    for stage in stages:
        for name, value in stage.environment.items():
            found.setdefault(name, {})[str(value)] = None
    order = [*_NOT_LIBRARIES, *sorted(name for name in found if name not in _NOT_LIBRARIES)]
    texts = {name: ", ".join(found[name]) for name in order if name in found}
    dates = sorted(stage.date for stage in stages if stage.date is not None)
    if dates:
        texts = {"computed": dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]} UTC"} | texts
    return texts


def loss_figure(stages: Sequence[RanStage], colours: Mapping[str, str]) -> Figured | None:
    """Training and validation loss over steps of every fine-tuning; None where none kept its curve."""
    arms: dict[str, Arm] = {}
    for stage in stages:
        curve: Steps = stage.record.get("curve") or ()
        if not stage.role.startswith("train/") or not any("loss" in step or "eval_loss" in step for step in curve):
            continue
        model = stage.role.removeprefix("train/")
        variant = model.partition("-seed")[0]
        known = arms.get(variant, Arm(colours.get(model) or COLOURS[len(arms) % len(COLOURS)], ()))
        arms[variant] = Arm(known.colour, [*known.runs, curve])
    panels = measured(arms, _LOSSES)
    return panelled("losses", _LOSSES_CAPTION, arms, panels) if panels else None


def _training(stage: RanStage) -> dict[str, Any]:
    get, metrics = stage.parameters.get, stage.metrics
    learn, total = metrics.get("trainable_parameters"), metrics.get("parameters")
    return {
        "model": stage.role.removeprefix("train/"),
        "learning rate": _plain(get("learning_rate")),
        "schedule": _words(get("schedule")),
        "steps": _plain(get("steps")),
        "batch": _plain(get("batch_size")),
        "seed": _plain(get("seed")),
        "adapter": _adapter(stage.parameters),
        "parameters that learn": learn,
        "of all": None if not learn or not total else percent(learn / total),
        "best validation loss": metrics.get("best_eval_loss"),
        "minutes": None if "seconds" not in stage.record else float(stage.record["seconds"]) / 60,
        "device": stage.record.get("device"),
        "date, UTC": stage.date,
        "commit": stage.commit,
    }


def _sampling(stage: RanStage) -> dict[str, Any]:
    sampling = stage.parameters.get("sampling") or {}
    temperature = sampling.get("temperature")
    return {
        "engine": sampling.get("engine"),
        "temperature": None if temperature is None else f"{temperature:g}{' (greedy)' if temperature == 0 else ''}",
        "top p": _plain(sampling.get("top_p")),
        "top k": _plain(sampling.get("top_k")),
        "samples a question": _plain(sampling.get("samples")),
        "longest output": _plain(sampling.get("max_new_tokens")),
        "seed": _plain(sampling.get("seed")),
        "computed in": sampling.get("dtype"),
        "commit": stage.commit,
    }


def _adapter(parameters: Mapping[str, Any]) -> str | None:
    method = parameters.get("method")
    if method != "lora":
        return None if method is None else "none: every weight" if method == "full" else str(method)
    also = ", visible rows learn" if parameters.get("visible_rows") == "trainable" else ""
    also += ", latent rows frozen" if parameters.get("latent_rows") == "frozen" else ""
    name = {"lora": "LoRA", "dora": "DoRA", "rslora": "rsLoRA"}.get(parameters.get("lora_variant", "lora"), "LoRA")
    return f"{name}, rank {parameters.get('lora_rank')}, alpha {parameters.get('lora_alpha')}{also}"


def _plain(value: Any) -> str | None:
    """A setting as it was set: never rounded, never with thousands apart."""
    return None if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _words(value: Any) -> str | None:
    return None if value is None else str(value).replace("_", " ")
