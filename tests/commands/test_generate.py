"""A language model's package in use: it rates texts as evaluate did, and writes on, in a clean process."""

import csv
import io
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import prose
import pytest
from clone import run
from hypothesis import given
from hypothesis import strategies as st
from imports import TOP
from small_packages import run_stages, shrink

from pipeline.encoding.fit_tokenizer import fit, save
from pipeline.runtime.encoders.byte_tokenizer import PART, ByteTokenizer, text_parts
from pipeline.runtime.encoders.specs import CorpusSpec
from pipeline.runtime.generator import Generator, Sampling, sample_token, until

PREDICT = "python -m pipeline predict package"
WRITE = f"{PREDICT} --prompt 'the king' --tokens 100"


GPT = pytest.param("gpt", marks=pytest.mark.xdist_group("gpt"))
RNN = pytest.param("rnn", marks=[pytest.mark.xdist_group("rnn"), pytest.mark.long])
ONE_KIND = pytest.mark.parametrize("made", [GPT], indirect=True)  # where the network is of no matter


@pytest.fixture(scope="module", params=[GPT, RNN])
def made(request, tmp_path_factory) -> Path:
    """A folder in which the stages made a small model of either kind, from a small corpus."""
    folder = prose.make(tmp_path_factory.mktemp(request.param), request.param, epochs=2, epoch_steps=40)
    with pytest.MonkeyPatch.context() as patch:
        shrink(patch)
        run_stages(folder, "prepare", "preprocess", "train", "evaluate", "package")
    return folder


@pytest.mark.slow
@ONE_KIND
def test_in_half_precision_it_is_held_to_evaluate_too(made, tmp_path, capfd, monkeypatch):
    shrink(monkeypatch)
    folder = Path(shutil.copytree(made, tmp_path / "half"))
    run("sed -i 's/precision: float32/precision: bfloat16/' params.yaml", folder)
    run_stages(folder, "train", "evaluate", "package")
    assert "tokens' losses equal evaluate's" in capfd.readouterr().out
    said = folder / "evaluation/test.parquet"
    table = pd.read_parquet(said)
    table.assign(loss=table["loss"] + 0.05).to_parquet(said)
    output = run(f"python -m pipeline selftest package data/prepared/test.parquet {said}", folder, code=1)
    assert re.search(r"its losses are up to 0\.\d+ nats off evaluate's, 0\.05\d? on average: do not use it", output)


@pytest.mark.slow
def test_evaluate_writes_figures_pictures_and_a_page(made):
    figures = json.loads((made / "metrics/details.json").read_text())["test"]
    assert figures["nats_per_character"] < figures["baseline_nats_per_character"]
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]))
    total = figures["loss"] * figures["tokens"]
    assert figures["bits_per_byte"] == pytest.approx(total / figures["bytes"] / math.log(2))
    table = list(csv.DictReader((made / "evaluation/per_document_test.csv").read_text().splitlines()))
    assert sum(int(row["tokens"]) for row in table) == figures["tokens"]
    assert sum(float(row["nats_per_character"]) * int(row["characters"]) for row in table) == pytest.approx(total)
    for name in ("plots/tables/confusion.csv", "plots/tables/calibration.csv", "plots/images/curves.png"):
        assert (made / name).stat().st_size > 0
    page = (made / "evaluation/passages.html").read_text()
    assert "sword" in re.sub("<[^>]+>", "", page)


@pytest.mark.slow
def test_it_rates_a_text_as_evaluate_did(made):
    samples = json.loads((made / "package/sample/expected.json").read_text())["samples"]
    (made / "asked.jsonl").write_text("".join(json.dumps({"text": one["text"]}) + "\n" for one in samples))
    answers = [json.loads(line) for line in run(f"{PREDICT} --file asked.jsonl --json", made).splitlines()]
    for answer, one in zip(answers, samples, strict=True):
        assert answer["nats"] == pytest.approx(one["nats"], abs=0.01)
        assert "".join(answer["pieces"]) == one["text"]
        assert sum(answer["losses"]) == pytest.approx(answer["nats"], abs=1e-3)
    rows = list(csv.DictReader(io.StringIO(run(f"{PREDICT} 'the king' 'zq zq zq' --csv", made))))
    assert float(rows[0]["nats_per_token"]) < float(rows[1]["nats_per_token"])


@pytest.mark.slow
def test_it_writes_on(made):
    """Equal seeds write equal texts, past the context too."""
    one, again, other = (run(f"{WRITE} --seed {seed}", made) for seed in (1, 1, 2))
    assert one == again != other
    assert one.startswith("the king")


@pytest.mark.slow
@ONE_KIND
def test_it_writes_as_it_is_told(made):
    """Temperature 0 leaves nothing to the seed."""
    one = run(f"{WRITE} --seed 1", made)
    sure = {run(f"{WRITE} --temperature 0 --seed {seed}", made) for seed in (1, 2)}
    assert len(sure) == 1
    assert run(f"{WRITE} --top-k 1 --seed 3", made) in sure
    stopped = run(f"{WRITE} --seed 1 --stop ' r'", made)
    assert one.startswith(stopped.rstrip("\n"))
    assert " r" not in stopped.removeprefix("the king")
    told = json.loads(run(f"{WRITE} --seed 1 --json", made))
    assert told["prompt"] + told["text"] == one.removesuffix("\n")


@pytest.mark.slow
def test_writing_is_by_the_model_s_own_probabilities(made):
    """As if the whole text were read anew for each token, as long as it fits into the context."""
    model = Generator(made / "package")
    prompt = model.tokenizer.encode("the queen")
    found = list(model.generate(prompt, 12, Sampling(temperature=0), seed=0))
    seen = [0, *prompt.tolist()]
    for token in found:
        logits, _ = model.decode(model.init_cache(), np.array(seen))
        assert int(logits[-1].argmax()) == token
        seen.append(token)


@pytest.mark.slow
def test_a_model_without_bounds_reads_on_where_another_begins_anew(made):
    model = Generator(made / "package")
    long = model.tokenizer.encode(prose.prose(1, 200))
    assert len(long) > model.context
    assert np.isfinite(model.token_losses(long)).all()
    assert len(list(model.generate(long, 5, Sampling(), seed=0))) <= 5
    said = run(f"{PREDICT} --prompt '{prose.prose(1, 200)}' --tokens 1", made)
    assert ("note: the prompt has" in said) == model.bounded


@pytest.mark.slow
@ONE_KIND
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--prompt ''", "--prompt: is empty"),
        ("--prompt a --temperature=-1", "--temperature: must be 0 or more"),
        ("--prompt a --temperature inf", "--temperature: must be 0 or more, and finite"),
        ("--prompt a --top-k 0", "--top-k: must be 1 or more"),
        ("--prompt a --top-p 1.5", "--top-p: must be more than 0 and at most 1"),
        ("--prompt a --tokens 0", "--tokens: must be 1 or more"),
        ("--prompt a --stop ''", "--stop: is empty"),
        ("b --prompt a", "--prompt: stands alone"),
        ("--prompt a --csv", "--csv: is for scoring texts"),
        ("--file missing.txt", "missing.txt: no such file"),
    ],
)
def test_a_mistake_is_one_line(made, options, message):
    output = run(f"{PREDICT} {options}", made, code=1)
    assert message in output
    assert len(output.strip().splitlines()) == 1


@pytest.mark.slow
@ONE_KIND
def test_a_tokenizer_of_another_model_is_refused(made, tmp_path):
    from pipeline.runtime.trust import manifest

    copy = Path(shutil.copytree(made / "package", tmp_path / "package"))
    spec = CorpusSpec(tokenizer="bpe", vocabulary=280, normalisation="nfc")
    save(fit([prose.prose(0, 500)], spec), copy / "tokenizer.json")
    manifest.seal(copy)
    output = run(f"python -m pipeline predict '{copy}' a", made, code=1)
    assert re.search(r"the model has 300 tokens, its tokenizer.json 2\d\d: they are from different packages", output)


def test_tokens_are_drawn_by_their_probability():
    logits = np.log(np.array([0.5, 0.25, 0.15, 0.1], np.float32))
    random_ = np.random.default_rng(0)

    def shares(how: Sampling) -> np.ndarray:
        drawn = [sample_token(logits, how, random_) for _ in range(4_000)]
        return np.bincount(drawn, minlength=4) / len(drawn)

    assert np.allclose(shares(Sampling()), [0.5, 0.25, 0.15, 0.1], atol=0.03)
    assert np.allclose(shares(Sampling(top_k=2)), [2 / 3, 1 / 3, 0, 0], atol=0.03)
    assert np.allclose(shares(Sampling(top_p=0.7)), [2 / 3, 1 / 3, 0, 0], atol=0.03)
    assert np.allclose(shares(Sampling(top_p=0.76)), [5 / 9, 2.5 / 9, 1.5 / 9, 0], atol=0.03)
    cold = np.array([0.5, 0.25, 0.15, 0.1]) ** 2
    assert np.allclose(shares(Sampling(temperature=0.5)), cold / cold.sum(), atol=0.03)
    assert shares(Sampling(temperature=0)).tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("stop", ["end", "aab", "x"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_writing_stops_before_the_stop_text(stop, size):
    text = "a aaab the end of it"
    parts = [text[i : i + size] for i in range(0, len(text), size)]
    assert "".join(until(parts, [stop])) == text.partition(stop)[0]
    assert "".join(until(parts, [stop, "of it", "ab the END"])) == text.partition(stop if stop != "x" else "of it")[0]
    assert "".join(until(parts, [])) == text


SAID = ["", "[PAD] is a word here", "na\u00efve caf\u00e9\n\n  two  spaces\t", "\u4f60\u597d \U0001f600!", "x" * 1_000]


@pytest.mark.parametrize("kind", ["bpe", "characters"])
@pytest.mark.parametrize("text", SAID)
def test_tokens_lose_nothing(kind, text):
    spec = CorpusSpec(tokenizer=kind, vocabulary=400, normalisation="none")
    tokenizer = ByteTokenizer(fit(SAID, spec), spec)
    numbers = tokenizer.encode(text)
    assert "".join(tokenizer.decode(numbers.tolist())) == text
    assert 0 not in numbers


def test_a_letter_that_training_lacks():
    spec = CorpusSpec(tokenizer="characters", vocabulary=400, normalisation="none")
    tokenizer = ByteTokenizer(fit(["abc"], spec), spec)
    assert "".join(tokenizer.decode(tokenizer.encode("a?c").tolist())) == "a\ufffdc"


def test_a_long_text_is_cut_where_no_token_crosses():
    text = "".join(f"line {i} of it, and  more\n{'' if i % 7 else chr(10)}" for i in range(8_000))
    pieces = list(text_parts(text))
    assert len(pieces) > 2
    assert "".join(pieces) == text
    assert max(map(len, pieces)) < PART + 100
    for kind in ("bpe", "characters"):
        spec = CorpusSpec(tokenizer=kind, vocabulary=500, normalisation="none")
        tokenizer = fit([text[:20_000]], spec)
        whole = tokenizer.encode(text, add_special_tokens=False).ids
        assert ByteTokenizer(tokenizer, spec).encode(text).tolist() == whole


SPEC = CorpusSpec(tokenizer="bpe", vocabulary=2_000, normalisation="nfc")
FITTED = fit((path.read_text() for path in sorted((TOP / "pipeline").glob("*.py"))), SPEC)
FAST = ByteTokenizer(FITTED, SPEC)


@given(st.text(st.sampled_from("aZs\u00e9\u0301 \n\t'2\u00b2_(\u4f60\U0001f600\u2028\x00\r\u00a0\u0600")) | st.text())
def test_the_tokens_are_those_of_the_other_library(text):
    assert FAST.encode(text).tolist() == FITTED.encode(text, add_special_tokens=False).ids


@pytest.mark.long
def test_they_are_for_every_letter_there_is_and_for_long_runs():
    letters = "".join(f"{chr(i)} a{chr(i)}" for i in range(0x110000) if not 0xD800 <= i < 0xE000)
    blank, long = " " * 1_200_000 + "\n\tx", "x" * 100_000
    for text in (letters, blank, long, (TOP / "README.md").read_text()):
        (tokens,) = FAST.encode_parts([text])
        assert tokens.tolist() == FITTED.encode(text, add_special_tokens=False).ids
