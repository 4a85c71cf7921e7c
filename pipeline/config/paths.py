"""Where each stage writes: the one place beside dvc.yaml, and a test holds the two equal."""

from pathlib import Path

PARAMS = Path("params.yaml")
DVC = Path("dvc.yaml")
RAW = Path("data/raw")

PREPARED = Path("data/prepared")  # prepare
FEATURES = Path("data/features")  # preprocess
ENCODER = FEATURES / "encoder"  # what turns a raw input into numbers
IMAGE = ENCODER / "image.json"
TOKENIZER = ENCODER / "tokenizer.json"
VOCABULARY = ENCODER / "words.json"

TRAINED = Path("trained")  # train: all of it in DVC's cache, so that no training run is ever made twice

EVALUATION = Path("evaluation")  # evaluate
HISTORY = Path("plots/history.csv")
TRAIN_METRICS = Path("metrics/train.json")
CONFUSION = Path("plots/confusion.csv")
CALIBRATION = Path("plots/calibration.csv")
IMAGES = Path("plots/images")
EVALUATE_METRICS = Path("metrics/evaluate.json")
MACHINES = Path("metrics/machines.json")

PACKAGE = Path("package")  # package

CHECKPOINTS = Path(".checkpoints")  # of unfinished training, in the repository that DVC was started in

LOGS = Path("logs")  # times and rates: they differ from run to run, so DVC does not see them
TRAINED_ON = LOGS / "trained_on.json"  # the machine that trained the model in `trained`, if it was trained here

SPLITS = ("train", "validation", "test", "shifted")
TESTS = ("test", "shifted")  # the source's usual test split, and a harder one where it offers one


def prepared(split: str) -> Path:
    """The table of a split."""
    return PREPARED / f"{split}.parquet"


def features(split: str) -> Path:
    """The folder of a split's arrays. Not every source has the harder test split: it lies within the usual one."""
    return FEATURES / "test" / split if split == "shifted" else FEATURES / split
