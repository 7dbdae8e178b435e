"""Viola-Jones: faces by boosted rectangle features, in real time without a graphics card.

==========  ==================================================================================
`windows`   where windows lie, what they show at 24 x 24 pixels
`haar`      the 162 336 features of a window, their values from an integral image
`cascade`   stages that reject windows for good; one safe file
`scan`      every window of an image at every scale
`training`  boosting, thresholds from data kept aside, negatives found by the cascade itself
`detector`  `ViolaJones.predict`: scan, group, `Detections`
==========  ==================================================================================
"""

from .cascade import (
    Cascade,
    Verdict,
    expected_features,
    judge_windows,
    load_cascade,
    overall_rates,
    save_cascade,
)
from .detector import ViolaJones, group_boxes
from .haar import KINDS, all_features, count_features, feature_taps, feature_values, sample_features
from .scan import Scan, scan_image
from .training import StageReport, mine, train_cascade, train_stage

__all__ = ["KINDS", "Cascade", "Scan", "StageReport", "Verdict", "ViolaJones", "all_features", "count_features",
           "expected_features", "feature_taps", "feature_values", "group_boxes", "judge_windows", "load_cascade",
           "mine", "overall_rates", "sample_features", "save_cascade", "scan_image", "train_cascade", "train_stage"]
