"""Stage `legal_play`: training examples that teach how a turn is written, and nothing about which action is good."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from latent_core.config.agents import LegalPlayConfig
from latent_core.models.readable import ReadableModel
from latent_core.rl.play.legal_play import legal_play
from latent_core.rl.play.patience import Patience
from latent_core.store import ArtifactWriter
from tasks.inputs import EnvironmentInput, Model
from tasks.stage import Outcome, Workplace, stage
from tasks.tables import TRAIN, VALIDATION, token_schema


class LegalPlayInputs(NamedTuple):
    """The model whose tokens the examples have, and the environment."""

    model: Model
    environment: EnvironmentInput


@stage("legal_play", version=1)
def write_legal_play(
    out: ArtifactWriter, inputs: LegalPlayInputs, config: LegalPlayConfig, workplace: Workplace
) -> Outcome:
    model, spec = ReadableModel.load(workplace.model_dir(inputs.model)), inputs.environment.open()
    accounting: Counter[str] = Counter()
    total, done = config.episodes + config.validation_episodes, 0
    patience = Patience(spec.name, total)
    splits = ((TRAIN, range(config.episodes)), (VALIDATION, range(config.episodes, total)))
    for table, seeds in splits:
        with table.write(out, token_schema()) as rows:
            for row in legal_play(
                spec,
                model,
                seeds,
                seed=config.seed,
                max_length=config.max_length,
                accounting=accounting,
                patience=patience,
            ):
                rows.add(row)
                done += 1
                workplace.progress(done, total, 0)
    return Outcome(accounting=accounting)
