"""The training loss over what sampling allows: each token against the ids that its phase could have chosen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_core.dual.constraint import Phase, PhaseMachine
from latent_core.dual.remap import IGNORED
from latent_core.dual.vocabulary import DualVocabulary
from latent_core.errors import InputError
from latent_core.models.family import open_family

if TYPE_CHECKING:
    import pyarrow as pa
    import torch

    from latent_core.likelihood import Support


def machine_of(model_dir: Path) -> PhaseMachine | None:
    """The phases under which the model in `model_dir` is sampled; None for one that is not dual."""
    vocabulary = DualVocabulary.find(model_dir)
    if vocabulary is None:
        return None
    _, family = open_family(model_dir)
    return PhaseMachine(vocabulary, stop_ids=family.stop_ids)


def check_targets(machine: PhaseMachine, *tables: pa.Table | None) -> None:
    """Raise InputError when a supervised token is one that sampling forbids there: its loss would be infinite."""
    wrong, rows, first = 0, 0, ""
    for table in tables:
        if table is None:
            continue
        rows += table.num_rows
        for ids, labels in zip(table["input_ids"], table["labels"], strict=True):
            row, targets = ids.values.to_numpy(), labels.values.to_numpy()
            places = machine.violations((), row, start=Phase.START)
            places = places[targets[places] != IGNORED]
            wrong += bool(places.size)
            first = first or (f"id {row[places[0]]} at position {places[0]}" if places.size else "")
    if wrong:
        raise InputError(
            f"train.support: phase gives no probability to tokens that sampling forbids, and {wrong:,} of {rows:,} "
            f"examples train some (the first: {first}); set prepare.outside_subset: drop_row, or train.support: full"
        )


class PhaseLoss:
    """The losses of a dual model under the phases of `machine`; None is a plain model, whose only phase allows all."""

    def __init__(self, machine: PhaseMachine | None) -> None:
        self._machine = machine
        self._support: Support | None = None

    def __call__(self, model: Any, whole: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Negative log-likelihood of every label but a row's first, (rows, tokens - 1), 0 where unsupervised.

        `model` is what is called, and `whole` the same without what data parallelism wrapped around it; it must have
        been `let_through`. Packed examples are told apart by their `position_ids`.
        """
        from latent_core.likelihood import Head, Support, phases_after, token_logprobs
        from latent_core.likelihood.hidden_states import hidden_states_through

        hidden = hidden_states_through(model, **{name: value for name, value in inputs.items() if name != "labels"})
        head, phases = Head.of(whole), None
        if self._machine is not None:
            starts = inputs["position_ids"] == 0 if "position_ids" in inputs else None
            phases = phases_after(inputs["input_ids"], self._machine, starts)[:, :-1]
        if self._support is None:
            self._support = Support.plain(head.size) if self._machine is None else Support.of_machine(self._machine)
        return -token_logprobs(hidden[:, :-1], head, inputs["labels"][:, 1:], self._support, phases).values
