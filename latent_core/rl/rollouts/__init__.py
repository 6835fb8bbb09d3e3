"""What a step learns from: rollouts of the policy in training, and what each of their tokens is worth."""
