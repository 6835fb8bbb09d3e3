"""Reinforcement learning from verifiable rewards, under the vocabulary constraint that completions are sampled with."""
