"""Experiments: each system of the course as a small function that really runs and knows its targets.

    from minicv.experiments import Report, Target, experiment     # to write one
    from minicv.experiments import run                            # to run one

The chapters' own files are imported only when one of their experiments runs, so that
``minicv list`` is quick.
"""

from .experiment import Experiment, experiment
from .report import Report, Target, asked_preset
from .run import Result, run
from .verify import verify

__all__ = ["Experiment", "Report", "Result", "Target", "asked_preset", "experiment", "run", "verify"]
