"""Reinforcement learning with transfer: a policy, its roll-outs, and pairs of physics of one environment."""

from tlda.rl.physics import Physics
from tlda.rl.policy import Policy
from tlda.rl.policy_divergence import PolicyDivergence
from tlda.rl.rollouts import RandomisedRollout, Rollout, SourceRollout, TargetRollout

__all__ = ["Physics", "Policy", "PolicyDivergence", "RandomisedRollout", "Rollout", "SourceRollout", "TargetRollout"]
