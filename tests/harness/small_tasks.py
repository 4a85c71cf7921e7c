"""A small task of each kind, random examples of it, and a short plain training."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from pipeline.config.optimizers import Adam, Constant
from pipeline.config.preprocessing import ImagePreprocessing, TextPreprocessing, WordPreprocessing
from pipeline.config.training import Training
from pipeline.evaluation import predictor
from pipeline.examples.batch import Examples
from pipeline.examples.inputs import Images, Sentences, Texts
from pipeline.examples.task import Task
from pipeline.loaders.device_examples import DeviceExamples
from pipeline.tasks.classification import Classification
from pipeline.tasks.sequence_tagging import SequenceTagging
from pipeline.training.trainer import Trainer

COUNTS = (3, 4, 5, 6, 7)
TRAINING = Training(
    epochs=2,
    batch_size=8,
    learning_rate=1e-2,
    optimizer=Adam(name="adam"),
    schedule=Constant(name="constant"),
    weight_decay=0.0,
    gradient_clip=None,
    label_smoothing=0.0,
    early_stopping=None,
    augmentation=None,
)


SILENT: Any = SimpleNamespace(write=lambda figures: None, progress=lambda figures: None)  # a log that keeps nothing


def images(height: int = 14, width: int = 10, colour: str = "grey", margin: int = 0) -> Classification:
    settings = ImagePreprocessing.model_validate(
        {"height": height, "width": width, "colour": colour, "resize": "exact", "margin": margin}
    )
    mean, std = (0.5,) * settings.spec.channels, (0.3,) * settings.spec.channels
    return Classification(inputs=Images(settings=settings, mean=mean, std=std), labels=tuple("abcde"), counts=COUNTS)


def texts() -> Classification:
    settings = TextPreprocessing(
        tokenizer="words", vocabulary=50, normalisation="none", lowercase=False, max_length=20, keep="start"
    )
    return Classification(inputs=Texts(settings=settings, vocabulary=50), labels=tuple("abcde"), counts=COUNTS)


def tagging() -> SequenceTagging:
    settings = WordPreprocessing(vocabulary=50, lowercase=False, max_length=20, word_length=6)
    inputs = Sentences(settings=settings, vocabulary=52, alphabet=30)
    return SequenceTagging(inputs=inputs, labels=tuple("abcde"), counts=COUNTS, scheme=None)


def validation(learn: Trainer, data: Examples) -> Any:
    """How a training run is tried on these examples."""
    placed, plan = DeviceExamples(data), predictor.evaluation_batches(data)
    return lambda params, model_state: predictor.measure(learn.predictor, params, model_state, placed, plan)


TASKS: dict[str, Callable[[], Task]] = {"images": images, "texts": texts, "sentences": tagging}  # by their inputs


def examples(task: Task, count: int, seed: int = 0, *, margin: int = 0) -> Examples:
    """As preprocess would write them: texts and sentences of 1 to 20 tokens, end to end."""
    random = np.random.default_rng(seed)
    if isinstance(task.inputs, Images):
        height, width, channels = task.inputs.shape
        pixels = random.integers(0, 256, (count, height + margin, width + margin, channels)).astype(np.uint8)
        return Examples({"images": pixels}, random.integers(0, 5, count).astype(np.int32), None)
    starts = np.concatenate([[0], np.cumsum(random.integers(1, 21, count))]).astype(np.int32)
    total = int(starts[-1])
    words = random.integers(2, 50, total).astype(np.uint16)
    if isinstance(task.inputs, Texts):
        return Examples({"tokens": words}, random.integers(0, 5, count).astype(np.int32), starts)
    letters = random.integers(2, 30, (total, 6)).astype(np.uint16)
    letters[np.arange(6)[None] < random.integers(0, 6, total)[:, None]] = 0
    return Examples({"words": words, "characters": letters}, random.integers(0, 5, total).astype(np.int32), starts)
