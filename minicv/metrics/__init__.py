"""Numbers that say how good predictions are; arrays in, floats and arrays out. Percentages are fractions in [0, 1].

===================  ================================================================================
`classification`     accuracy, top-k accuracy, confusion matrix
`average_precision`  precision-recall curves and the area under them, four ways
`detection`          which detection is right; average precision per class, VOC; a table of the steps
`coco`               COCO's twelve figures for boxes and masks, fast
===================  ================================================================================
"""

from .average_precision import PRCurve, average_precision, envelope, precision_recall
from .classification import accuracy, confusion_matrix, top_k_accuracy
from .coco import CocoScores, evaluate_coco, evaluate_coco_arrays
from .detection import (
    DetectionScores,
    Matches,
    evaluate_detections,
    evaluate_voc,
    match_detections,
    step_table,
)

__all__ = ["CocoScores", "DetectionScores", "Matches", "PRCurve", "accuracy", "average_precision", "confusion_matrix",
           "envelope", "evaluate_coco", "evaluate_coco_arrays", "evaluate_detections", "evaluate_voc",
           "match_detections", "precision_recall", "step_table", "top_k_accuracy"]
