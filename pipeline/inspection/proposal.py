"""The section of params.yaml that fits a source, and what in the source speaks for it."""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.config import paths
from pipeline.config.networks import NETWORKS
from pipeline.config.section import validate
from pipeline.config.training import BATCH_SIZES, BATCHES, ENOUGH_STEPS, TrainingSection
from pipeline.inspection import figures, formats, roles, sample, settings, tables
from pipeline.inspection.formats import Choice, Seen
from pipeline.inspection.roles import Ask, Given
from pipeline.inspection.sample import Sample
from pipeline.readers import Reader, class_names
from pipeline.readers.example import in_a_class
from pipeline.readers.formats import image_folder
from pipeline.readers.split import NO_SPLIT, Placements
from pipeline.readers.split_names import Rules
from pipeline.runtime.errors import UserError
from pipeline.runtime.tag_grammar import find_scheme, title
from pipeline.tasks import TASKS, dataset

IMBALANCE = 5  # class weights are balanced where the largest class is more than so many times the smallest
FEW_FILES = 100  # of a language model's text: fewer are cut into parts, so that a hash can assign these to splits
PARTS, PART = 200, (1_000, 20_000)  # how many are aimed at, and their characters
HELD_OUT = (0.1, 0.2, 0.3, 0.4)  # shares of a split, until it holds examples
SMALL_IMAGES = 32  # pixels: for grey images up to this size, a small network does as well
MODELS = {"images": "resnet", "texts": "linear", "sentences": "lstm", "corpus": "gpt"}  # by the kind of inputs


class Proposal(NamedTuple):
    section: dict[str, Any]
    model: str
    overrides: tuple[str, ...]  # of the model's settings, for `dvc exp run -S`
    lines: tuple[str, ...]  # what was found
    problems: tuple[str, ...]  # what prepare would refuse, or the user should know


def propose(
    source: Path, name: str, given: Given, ask: Ask, *, task: str | None, bad_rows: int, models: Mapping[str, Any]
) -> Proposal:
    """Looks at the source through its reader. Raises UserError where it is unclear what it is, or unusable.

    `task` is the one that the user chose, `bad_rows` how many may be refused; `models` are the sections of params.yaml.
    """
    seen = formats.look(source, given.encoding)
    choice = formats.choose(source, seen, chosen=task is not None)
    data = _data(source, seen, choice, given, ask, task)
    reader = _reader(name, data)
    rules = reader.rules()
    task = task or _task(reader, seen, rules)
    kind = dataset.preprocessing(TASKS[task], reader.content, reader.labels_are, name)
    if TASKS[task].labels_are is None:
        data |= _part(seen, reader, rules)
        reader = _reader(name, data)
    learns = TASKS[task].labels_are
    taken = sample.take(map(in_a_class, reader.read()) if learns == "label" else reader.read())
    if not taken.seen:
        refused = "; ".join(figures.left_out(_first(taken.refused)))
        raise UserError(f"{source}: {reader.format} finds no example in it{': ' if refused else ''}{refused}")
    data |= _shares(taken, reader, learns) if taken.complete else {}
    data |= {"max_bad_rows": bad_rows} if bad_rows else {}
    labels = _labels(seen, reader, rules, taken)
    section = {
        "task": {"name": task, **_weights(task, labels)},
        "data": data,
        "preprocessing": settings.fitting(kind, taken.seen),
    }
    checked = dataset.read(section, name)
    model = _model(checked, models)
    placed = taken.placements(validation=checked.data.validation, test=checked.data.test, learns=learns)
    splits = [placement.split for placement in placed]
    return Proposal(
        section,
        model,
        _overrides(checked.inputs, models[model].get("training"), model, max(1, splits.count("train"))),
        (*_lines(reader, task, taken, labels), _split_line(taken, placed)),
        tuple(_problems(checked, taken, splits)),
    )


def _reader(name: str, data: Mapping[str, Any]) -> Reader:
    section = {"task": {}, "data": data, "preprocessing": {}}
    return validate(dataset.DatasetSection, section, under=f"datasets.{name}").data


def _data(
    source: Path, seen: Sequence[Seen], choice: Choice, given: Given, ask: Ask, task: str | None
) -> dict[str, Any]:
    """The section `data`, with the format and what the reader must know of the source."""
    source = choice.only or source  # the files beside it are none of the table's
    data: dict[str, Any] = {"source": source.as_posix(), "format": choice.format}
    data |= {"encoding": given.encoding} if given.encoding else {}
    if choice.format == "table":
        learns = TASKS[task].labels_are if task else None
        columns = tables.columns(source, given.encoding)
        pictures = any(one.format == "image-folder" for one in seen)
        if not pictures or given.columns or any(column.is_picture for column in columns):
            return data | roles.find(source, columns, given, learns, ask)
        data["format"] = "image-folder"  # the tables do not name the pictures beside them
    if given.columns:
        raise UserError(f"{source}: is read as {data['format']}, which has no columns to name")
    if choice.pattern is not None and choice.format in ("conll", "slash-tagged", "mail", "text"):
        data["files"] = choice.pattern
    return data


def _task(reader: Reader, seen: Sequence[Seen], rules: Rules) -> str:
    """The task that learns what the reader gives; texts of no class are a language model's."""
    texts = [one for one in seen if one.format == reader.format]
    learns = reader.labels_are
    if reader.format == "text" and not formats.in_class_folders(texts, rules):
        learns = None
    return next(
        name for name, task in TASKS.items() if task.labels_are == learns and reader.content in task.preprocessing
    )


def _part(seen: Sequence[Seen], reader: Reader, rules: Rules) -> dict[str, Any]:
    """How long the parts are, in characters, that a few long texts are cut into, unless the source has splits."""
    if len(seen) >= FEW_FILES or any(rules(one).split for one in seen):
        return {}
    size = sum(one.characters for one in sample.take(reader.read()).seen)
    return {"part": int(min(max(round(size / PARTS, -3), PART[0]), PART[1]))}


def _shares(taken: Sample, reader: Reader, learns: str | None) -> dict[str, float]:
    """Larger shares for validation and test where the defaults leave one of them empty."""
    shares = {"validation": reader.validation, "test": reader.test}
    for name in shares:
        for share in (shares[name], *(share for share in HELD_OUT if share > shares[name])):
            placed = taken.placements(**shares | {name: share}, learns=learns)
            if any(placement.split == name for placement in placed):
                shares[name] = share
                break
    return {name: share for name, share in shares.items() if share != getattr(reader, name)}


def _labels(seen: Sequence[Seen], reader: Reader, rules: Rules, taken: Sample) -> Counter[str]:
    """How often each label occurs. Where not all files were read, the files in each class folder are counted instead:
    the first ones may all be of one class.
    """
    if taken.complete or not reader.one_per_file:
        return figures.label_counts([one.label for one in taken.seen])
    return formats.folders(seen, rules, image_folder.class_level(rules) if reader.content == "image" else -1)


def _weights(task: str, counts: Counter[str]) -> dict[str, str]:
    """Balanced, where one class has many more examples than another: else the model may ignore the rare one."""
    one_label = TASKS[task].learns_one_label() and "class_weights" in TASKS[task].Settings.model_fields
    if one_label and counts and max(counts.values()) > IMBALANCE * min(counts.values()):
        return {"class_weights": "balanced"}
    return {}


def _model(checked: dataset.Dataset, models: Mapping[str, Any]) -> str:
    """A model of params.yaml that reads such inputs."""
    able = [name for name in models if name in NETWORKS and checked.inputs in NETWORKS[name].inputs]
    if not able:
        raise UserError(f"params.yaml: models: none reads {checked.inputs}: add one")
    chosen: Any = checked.preprocessing
    small = checked.inputs == "images" and chosen.colour == "grey" and max(chosen.height, chosen.width) <= SMALL_IMAGES
    best = "cnn" if small else MODELS[checked.inputs]
    return best if best in able else able[0]


def _overrides(inputs: str, settings: Any, model: str, examples: int) -> tuple[str, ...]:
    """Changes of the model's training that a small data set needs: smaller batches, for which plain gradient descent
    needs a lower learning rate, and more epochs. A language model's steps are not known before its text is encoded.
    """
    if inputs == "corpus":
        return ()
    chosen = validate(TrainingSection, settings, under=f"models.{model}.training")
    changes: dict[str, Any] = {}
    size = chosen.batch_size
    if size != "auto" and size * BATCHES > examples and size > BATCH_SIZES[0]:
        smaller = chosen.model_copy(update={"batch_size": "auto"}).resolved(examples).batch_size
        changes["batch_size"] = "auto"
        if chosen.optimizer.name == "sgd":  # Goyal et al. 2017, arXiv:1706.02677
            changes["learning_rate"] = chosen.learning_rate * smaller / size
    run = chosen.model_copy(update=changes).resolved(examples)
    if run.epochs * (examples // run.batch_size) < ENOUGH_STEPS:
        changes["epochs"] = "auto"
    return tuple(f"models.{model}.training.{key}={value}" for key, value in changes.items())


def _first(refused: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, str]]:
    return {reason: (len(places), places[0]) for reason, places in refused.items()}


def _lines(reader: Reader, task: str, taken: Sample, labels: Counter[str]) -> list[str]:
    """What the source is, and three examples."""
    more = "" if taken.complete else "the first "
    lines = [f"{reader.source}: {reader.format}, {more}{len(taken.seen):,} examples for {task}"]
    options = reader.model_dump(exclude_none=True, exclude={"source", "format", "validation", "test", "max_bad_rows"})
    options = {key: value for key, value in options.items() if value != type(reader).model_fields[key].default}
    if options:
        lines.append("; ".join(f"{key}: {_listed(value)}" for key, value in options.items()))
    word = TASKS[task].class_word
    lines += [figures.balance(labels, word)] if word and labels else figures.numbers(taken.seen)
    lines.append(figures.sizes(taken.seen))
    tags = [one.label for one in taken.seen if isinstance(one.label, tuple)] if reader.labels_are == "tags" else []
    if scheme := find_scheme(tags):
        lines.append(f"the tags mark spans in {title(scheme, labels)}")
    lines += [f"refused {line}" for line in figures.left_out(_first(taken.refused))]
    return [*lines, *(f"  {example}" for example in taken.shown)]


def _listed(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _split_line(taken: Sample, placed: Placements) -> str:
    """The splits that prepare would make."""
    sizes = Counter(placement.split for placement in placed)
    own = {one.keys.source_split for one in taken.seen} - {None}
    how = "as the source says" if own else "by a hash of each example"
    parts = ", ".join(f"{sizes[name]:,} {name}" for name in paths.SPLITS if sizes[name])
    hidden = sum(placement.reason in NO_SPLIT for placement in placed)
    return f"splits, {how}: {parts}; {sizes[None] - hidden:,} duplicates dropped"


def _problems(checked: dataset.Dataset, taken: Sample, splits: Sequence[str | None]) -> list[str]:
    """What prepare would refuse. Of a part of the source, nothing can be said on what is missing."""
    problems = [f"{reason}: {count:,} left out" for reason, count in taken.unlabelled.items()]
    bad, allowed = sum(map(len, taken.refused.values())), checked.data.max_bad_rows
    if bad > allowed:
        problems.append(
            f"{bad:,} rows or files cannot be used, and prepare allows {allowed}: correct them, or allow them with "
            f"--max-bad-rows {bad}"
        )
    labels: dict[str, list[Any]] = {split: [] for split in paths.SPLITS}
    for one, split in zip(taken.seen, splits):
        if split is not None:
            labels[split].append(one.label)
    empty = [split for split in ("train", "validation", "test") if not labels[split]]
    if taken.complete and empty:
        groups = len({one.keys.split_key for one in taken.seen})
        problems.append(
            f"no example is left for the {empty[0]} split: {groups:,} different ones are too few: add examples"
        )
    elif taken.complete:
        counts = {split: figures.label_counts(some) for split, some in labels.items()}
        problems += _label_problems(checked, counts)
        alike = class_names.note((name for some in counts.values() for name in some), checked.task.class_word)
        missing = class_names.missing(sum(counts.values(), Counter()), checked.task.class_word)
        problems += [line for line in (alike, missing) if line]
    return problems


def _label_problems(checked: dataset.Dataset, counts: dict[str, Counter[str]]) -> list[str]:
    """Why the task cannot learn these labels, or the first of its notes on them."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            checked.task.check_labels(checked.data.source, counts)
    except UserError as error:
        return [str(error)]
    first, *others = printed.getvalue().splitlines() or [""]
    more = f" (and {len(others):,} more such tags)" if others else ""
    return [f"{first.removeprefix('note: ')}{more}"] if first else []
