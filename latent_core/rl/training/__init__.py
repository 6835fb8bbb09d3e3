"""From a model and its settings to a trained model: the entry points of grpo and of agents."""
