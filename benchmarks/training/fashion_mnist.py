"""The task that the benchmarks train on: what preprocess finds in Fashion-MNIST, without running it."""

from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.examples.inputs import Images
from pipeline.tasks.classification import Classification

IMAGES = Images(
    settings=ImagePreprocessing(height=28, width=28, colour="grey", resize="exact", margin=0),
    mean=(0.286,),
    std=(0.353,),
)
TASK = Classification(inputs=IMAGES, labels=tuple(map(str, range(10))), counts=(6_000,) * 10)
