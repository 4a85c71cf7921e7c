"""Where each stage writes: the one place beside dvc.yaml, and a test holds the two equal."""

from pathlib import Path

PARAMS = Path("params.yaml")
RAW = Path("data/raw")

PREPARED = Path("data/prepared")  # prepare
FEATURES = Path("data/features")  # preprocess

MODEL = Path("model")  # train
HISTORY = Path("plots/history.csv")
TRAIN_METRICS = Path("metrics/train.json")

EVALUATION = Path("evaluation")  # evaluate
CONFUSION = Path("plots/confusion.csv")
CALIBRATION = Path("plots/calibration.csv")
IMAGES = Path("plots/images")
EVALUATE_METRICS = Path("metrics/evaluate.json")

PACKAGE = Path("package")  # package

LOGS = Path("logs")  # times and rates: they differ from run to run, so DVC does not see them

SPLITS = ("train", "validation", "test")
