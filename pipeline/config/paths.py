"""Where each stage writes. dvc.yaml lists the same paths; a test compares the two."""

from pathlib import Path

PARAMS = Path("params.yaml")
DVC = Path("dvc.yaml")
VERSIONS = Path("versions.yaml")
RAW = Path("data/raw")

PREPARED = Path("data/prepared")  # prepare
FEATURES = Path("data/features")  # preprocess
ENCODER = FEATURES / "encoder"  # what encodes a raw input
IMAGE_SPEC = ENCODER / "image.json"
TOKENIZER = ENCODER / "tokenizer.json"
VOCABULARY = ENCODER / "words.json"

TRAINED = Path("trained")  # train: all of it in DVC's cache, so that no training run is repeated

EVALUATION = Path("evaluation")  # evaluate
BASELINES = EVALUATION / "baselines.npy"  # typical images, for explanations
FITTED = EVALUATION / "calibration.json"  # on the validation split
HISTORY = Path("plots/history.csv")
TRAIN_METRICS = Path("metrics/train.json")
TABLES = Path("plots/tables")  # behind the plots: which there are depends on the task
CONFUSION = TABLES / "confusion.csv"
CALIBRATION = TABLES / "calibration.csv"
COVERAGE = TABLES / "coverage.csv"
ROC = TABLES / "roc.csv"
PRECISION_RECALL = TABLES / "precision_recall.csv"
PREDICTED = TABLES / "predicted.csv"
IMAGES = Path("plots/images")
EVALUATE_METRICS = Path("metrics/evaluate.json")  # what `dvc metrics diff` and `dvc exp show` show
DETAILS = Path("metrics/details.json")  # all figures
MACHINES = Path("metrics/machines.json")

PACKAGE = Path("package")  # package

CHECKPOINTS = Path(".checkpoints")  # of unfinished training, in the repository that DVC was started in

LOGS = Path("logs")  # times and rates differ from run to run, so DVC does not track them
EVENTS = LOGS / "tensorboard"
LIVE = Path("plots/live")  # the curves of a run that goes on; git has an empty table there, and DVC tracks none of it
TRAINED_ON = LOGS / "trained_on.json"  # the machine that trained the model in `trained`, if it was trained here

SPLITS = ("train", "validation", "test", "shifted")
TESTS = ("test", "shifted")  # the main test split, and a harder one where the source has one


def prepared(split: str) -> Path:
    """The table of a split."""
    return PREPARED / f"{split}.parquet"


def features(split: str) -> Path:
    """The folder of a split's arrays. The harder test split, which not every source has, lies within the main one."""
    return FEATURES / "test" / split if split == "shifted" else FEATURES / split
