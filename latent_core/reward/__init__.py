"""The log-probability reward: how sure a model is of the gold answer after a given chain of thought."""
