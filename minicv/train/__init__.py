"""Training: the progress bar that every long loop shares."""

from .progress import progress, silent

__all__ = ["progress", "silent"]
