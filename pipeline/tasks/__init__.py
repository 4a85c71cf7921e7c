"""What is to be learnt: a task knows its inputs, its labels, its loss and its metrics, and nothing of models."""

from pipeline.tasks.classification import Batch, Sums, score
from pipeline.tasks.image_classification import ImageClassification

Task = ImageClassification

__all__ = ["Batch", "ImageClassification", "Sums", "Task", "score"]
