"""Numbers that say how good predictions are; arrays in, floats and arrays out. Percentages are fractions in [0, 1].

`classification`: accuracy, top-k accuracy, confusion matrix.
"""

from .classification import accuracy, confusion_matrix, top_k_accuracy

__all__ = ["accuracy", "confusion_matrix", "top_k_accuracy"]
