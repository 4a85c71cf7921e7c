"""The next token of a text.

A loss in nats a token depends on what a token is. Bits a byte and nats a character do not: by those, models with
different tokenizers are compared. Axes: b batch, t tokens, n tokens of a split, m borders of documents, d documents.
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import jax
import numpy as np
from pydantic import Field

from pipeline.config import paths
from pipeline.config.preprocessing import CorpusPreprocessing
from pipeline.examples.batch import Batch, LossSums
from pipeline.examples.inputs import Corpus, Inputs
from pipeline.examples.task import Task

if TYPE_CHECKING:
    from flax import nnx

    from pipeline.config.networks import NetworkSettings
    from pipeline.config.training import Training
    from pipeline.evaluation.comparison.predictions import Predictions, Read
    from pipeline.evaluation.failures.outcomes import Outcomes
    from pipeline.evaluation.predictor import Predictor, Tree
    from pipeline.evaluation.report.headlines import Headline
    from pipeline.loaders.loader import Loader
    from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer
    from pipeline.training.trainer import State, Trainer

PRINTED = 30  # documents in the printed table, at most
SAMPLES, SAMPLE_TOKENS = 3, 100  # of the package, at most


class LanguageModelling(Task):
    preprocessing: ClassVar = {"text": CorpusPreprocessing}
    labels_are: ClassVar = None
    metric: ClassVar = "accuracy"
    metrics: ClassVar = {"loss": False, "accuracy": True}
    headlines: ClassVar = ("nats_per_character", "bits_per_byte", "perplexity", "accuracy")
    output_name: ClassVar = "logits"
    output_tolerance: ClassVar = 1e-3

    name: str = "language-modelling"
    counts: Annotated[tuple[int, ...], Field(strict=False, min_length=1)]  # of each token in the training split

    @classmethod
    def check_labels(cls, source: str, labels: dict[str, Counter[str]]) -> None:
        """Labels, if there are any, are not used."""

    @classmethod
    def encode(cls, inputs: Inputs, report: dict[str, Any]) -> Self:
        """The tokens are the targets: they are only counted."""
        from pipeline.encoding import token_files

        assert isinstance(inputs, Corpus)
        return cls(inputs=inputs, counts=tuple(token_files.count("train", inputs.vocabulary).tolist()))

    @property
    def monitor(self) -> str:
        return "loss"

    @property
    def summary(self) -> str:
        return ""

    @property
    def outputs(self) -> int:
        return self._corpus.vocabulary

    @property
    def _corpus(self) -> Corpus:
        assert isinstance(self.inputs, Corpus)
        return self.inputs

    def training_examples(self, network: "NetworkSettings") -> int:
        from pipeline.loaders import token_store

        return len(token_store.load(paths.features("train"))) // network.context  # type: ignore[union-attr]

    def loader(
        self, network: "NetworkSettings", settings: "Training", *, seed: int, devices: jax.sharding.Mesh | None
    ) -> "Loader":
        """Windows of the training text."""
        from pipeline.loaders import token_store
        from pipeline.loaders.loader import WindowLoader

        return WindowLoader(
            token_store.load(paths.features("train")),
            seed=seed,
            batch=settings.batch_size,
            context=network.context,  # type: ignore[union-attr]
            steps=settings.epoch_steps,
            devices=devices,
        )

    def validation(self, predictor: "Predictor", network: "NetworkSettings") -> "Callable[[Tree, Tree], LossSums]":
        from pipeline.evaluation import token_losses
        from pipeline.loaders import token_store

        text = token_store.load(paths.features("validation"))
        return partial(token_losses.total_loss, predictor, text=text, context=network.context)  # type: ignore[union-attr]

    def loss_sums(
        self,
        model: Any,
        batch: Batch,
        *,
        mesh: jax.sharding.Mesh | None = None,
        training: bool = False,
        rngs: "nnx.Rngs | None" = None,
        label_smoothing: float = 0.0,
    ) -> LossSums:
        """Cross-entropy, computed in chunks of tokens: all logits at once would fill the memory."""
        import jax.numpy as jnp

        from pipeline.layers import cross_entropy
        from pipeline.parallel import sharding

        x = model.hidden(batch.inputs, training=training, rngs=rngs)  # b t d
        valid, targets = batch.valid.reshape(-1), batch.targets.reshape(-1)
        total = partial(cross_entropy.total, label_smoothing=label_smoothing)
        hidden = x.reshape(-1, x.shape[-1])  # n d
        loss, correct = sharding.map_sum_shards(mesh, total, model.table[...], hidden, targets, valid)
        count = valid.sum(dtype=jnp.float32)
        return LossSums(loss, count, correct, count)

    def check_memory(
        self, trainer: "Trainer", state: "State", network: "NetworkSettings", settings: "Training"
    ) -> None:
        from pipeline.parallel import device_memory
        from pipeline.training import memory_plan

        plan = memory_plan.estimate(trainer, state, network, settings)  # type: ignore[arg-type]
        memory_plan.refuse(plan, device_memory.available(), settings, network)  # type: ignore[arg-type]

    def evaluate(self, split: str, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        import pandas as pd

        from pipeline.evaluation import language_model, metrics, plots, sources, token_losses
        from pipeline.evaluation.calibration import measuring
        from pipeline.loaders import token_store

        folder = paths.features(split)
        text, sizes = token_store.load(folder), np.load(folder / "sizes.npy")
        context = network.context  # type: ignore[union-attr]
        batches = token_losses.token_losses(predictor, tree["params"], tree["model_state"], text, context)
        tokens = token_losses.TokenLosses(*(np.concatenate(columns) for columns in zip(*batches)))
        pd.DataFrame(tokens._asdict()).to_parquet(paths.EVALUATION / f"{split}.parquet", index=False)
        documents = language_model.per_document(tokens, text.starts, sizes)
        ids, read_from, tokenizer = np.load(folder / "ids.npy").astype(str), sources.of(split), self._tokenizer()
        documents.insert(0, "id", ids)
        documents.insert(1, "source", read_from)
        passages = language_model.per_passage(tokens, text.starts, tokenizer, ids, read_from)
        passages.to_parquet(paths.EVALUATION / f"passages_{split}.parquet", index=False)
        documents.to_csv(paths.EVALUATION / f"per_document_{split}.csv", index=False, lineterminator="\n")
        results = metrics.language_modelling(tokens.loss, tokens.token, tokens.guess, sizes, np.array(self.counts))
        if len(documents) <= PRINTED:
            print(documents.to_string(index=False, max_colwidth=60, float_format="{:.4f}".format))
        print(
            f"{split}: {results['nats_per_character']:.4f} nats a character, {results['bits_per_byte']:.4f} bits a "
            f"byte, perplexity {results['perplexity']:.3f} a token (by the tokens' frequency alone: "
            f"{results['baseline_nats_per_character']:.4f} nats a character)"
        )
        if split == "test":
            names = language_model.token_names(tokenizer)
            plots.write_confusion(tokens.token, tokens.guess, names, errors_only=True)
            measuring.write_reliability(tokens.confidence, tokens.guess == tokens.token)
            language_model.write_passages(tokens, tokenizer)
        return results

    @classmethod
    def compared(cls, read: "Read", split: str) -> "Predictions":
        from pipeline.evaluation.comparison import predictions

        return predictions.of_passages(read(f"passages_{split}.parquet"))

    def outcomes(self, split: str) -> "Outcomes":
        from pipeline.evaluation import language_model
        from pipeline.evaluation.failures import outcomes
        from pipeline.loaders import token_store

        tokenizer, text = self._tokenizer(), token_store.load(paths.features(split))
        names = language_model.token_names(tokenizer)
        return outcomes.of_tokens(outcomes.read(split), names, list(tokenizer.token_bytes), text.starts)

    def headline(self, figures: dict[str, Any]) -> "Headline":
        from pipeline.evaluation.report import headlines

        return headlines.nats(figures)

    def export(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> bytes:
        from pipeline.packaging import export

        return export.export_decoder(predictor, tree, network.context)  # type: ignore[union-attr]

    def export_onnx(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> bytes:
        from pipeline.packaging.onnx.export import NoGraph

        raise NoGraph("language models have no ONNX graph")

    def signature(self, predictor: "Predictor", tree: "Tree", network: "NetworkSettings") -> dict[str, Any]:
        from pipeline.packaging import signature

        model: Any = predictor.model(tree["params"], tree["model_state"])
        context = network.context  # type: ignore[union-attr]
        return signature.of_decoder(self.inputs, model, context=context, vocabulary=self.outputs)

    @classmethod
    def unpack(cls, inputs: Inputs, config: dict[str, Any], labels: dict[str, Any]) -> Self:
        assert isinstance(inputs, Corpus)
        return cls(inputs=inputs, counts=(0,) * inputs.vocabulary)

    def card(self, figures: dict[str, Any], **names: Any) -> str:
        from pipeline.packaging import model_card

        rows = model_card.accuracy(figures)
        for name in ("nats_per_character", "bits_per_byte", "perplexity", "baseline_nats_per_character"):
            rows[name.replace("_", " ")] = f"{figures[name]:.4f}"
        documents = model_card.read_table(paths.EVALUATION / "per_document_test.csv").head(model_card.ROWS)
        return model_card.fill(
            "language-modelling.md",
            vocabulary=f"{self.outputs:,}",
            figures=model_card.figures_table(rows),
            tokens=f"{figures['tokens']:,}",
            per_document=model_card.markdown(documents),
            **names,
        )

    def samples(self, folder: Path, network: "NetworkSettings") -> list[dict[str, Any]]:
        """The first tokens of a few test documents, and their loss in nats."""
        import pandas as pd

        from pipeline.loaders import token_store

        most = min(SAMPLE_TOKENS, network.context - 1)  # type: ignore[union-attr]
        scores = pd.read_parquet(paths.EVALUATION / "test.parquet", columns=["place", "token", "loss"])
        starts, samples = token_store.load(paths.features("test")).starts, []
        for start, end in zip(starts[:SAMPLES], starts[1:]):
            tokens = scores[(scores["place"] > start) & (scores["place"] < end)][:most]
            text = "".join(self._tokenizer().decode(tokens["token"].tolist()))
            nats = round(float(np.sum(np.asarray(tokens["loss"]))), 3)
            samples.append({"text": text, "tokens": len(tokens), "nats": nats})
        return samples

    def _tokenizer(self) -> "ByteTokenizer":
        from pipeline.runtime.encoders import text_tokenizer
        from pipeline.runtime.encoders.byte_tokenizer import ByteTokenizer

        return ByteTokenizer(text_tokenizer.load(paths.TOKENIZER), self._corpus.settings.spec)
