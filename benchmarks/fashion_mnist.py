"""The task that the benchmarks train on: what preprocess finds in Fashion-MNIST, without running it."""

from pipeline.config.preprocessing import ImagePreprocessing
from pipeline.tasks import ImageClassification

TASK = ImageClassification(
    name="image-classification",
    image=ImagePreprocessing(height=28, width=28, colour="grey", resize="exact", margin=0),
    labels=tuple(map(str, range(10))),
    counts=(6_000,) * 10,
    mean=(0.286,),
    std=(0.353,),
)
