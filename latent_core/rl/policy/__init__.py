"""The policy in training: its probabilities as sampled, TRL's trainer, its processes and the engine it samples with."""
