"""Training: the loop, checkpoints that survive anything, the record of a run, the progress bar.

Reading order: `fit` (the loop and what it needs to be resumed), `checkpoint` (one file, written as a whole),
`history` (metrics per epoch, CSV and JSONL), `progress`.
"""

from .checkpoint import load_checkpoint, load_latest, save_checkpoint
from .fit import Run, fit, train_step
from .history import History, Log
from .progress import progress, silent

__all__ = ["History", "Log", "Run", "fit", "load_checkpoint", "load_latest", "progress", "save_checkpoint", "silent",
           "train_step"]
