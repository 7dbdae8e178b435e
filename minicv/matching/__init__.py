"""Matching: which prediction belongs to which object. Integers out, no gradients."""

from .hungarian import greedy_assignment, linear_assignment

__all__ = ["greedy_assignment", "linear_assignment"]
