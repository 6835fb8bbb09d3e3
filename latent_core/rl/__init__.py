"""Reinforcement learning under the vocabulary constraint that completions are sampled with.

The modules beside this file are arithmetic; what plays, samples and trains has rooms of its own.
"""
