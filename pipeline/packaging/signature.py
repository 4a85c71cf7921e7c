"""signature.json: what a package takes and gives, in the words of the Open Inference Protocol, version 2.

Names, datatypes and shapes are those of the function in model.jaxexp and model.onnx; -1 is any number. `raw_inputs` are
what the package's runtime makes these inputs from.
"""

from pathlib import Path
from typing import Any

from pipeline.examples.inputs import Images, Inputs, Sentences, Texts
from pipeline.packaging.export import PLATFORMS, cache_shapes
from pipeline.runtime import generator, strict_json
from pipeline.runtime.encoders import images as image_files
from pipeline.runtime.encoders import text_tokenizer
from pipeline.runtime.inputs import images, sentences, texts

DATATYPES = {"uint8": "UINT8", "int32": "INT32", "float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}
ENGINES = {"model.onnx": "onnx", "model.jaxexp": "jax"}  # by the file that each needs, the default one first
PLATFORM = {"onnx": "onnxruntime_onnx", "jax": "jax_stablehlo"}
TEMPERATURE = 1.0  # by which logits are divided before they become probabilities


def of_predictions(inputs: Inputs, shape: list[int], name: str) -> dict[str, Any]:
    """For a function from inputs to an array of this name and shape."""
    outputs = [{"name": name, "datatype": DATATYPES["float32"], "shape": shape}]
    raw, limits, buckets = _raw(inputs)
    return {
        "inputs": _tensors(inputs.signature(-1, -1)),
        "outputs": outputs,
        "raw_inputs": [raw],
        "limits": limits,
        "buckets": buckets,
        "temperature": TEMPERATURE,
    }


def of_decoder(inputs: Inputs, model: Any, *, context: int, vocabulary: int) -> dict[str, Any]:
    """For a language model's function, which takes and returns a `cache` too: what it keeps of the tokens so far."""
    return {
        "inputs": _tensors(inputs.signature(-1, -1)),
        "outputs": [{"name": "logits", "datatype": DATATYPES["float32"], "shape": [-1, -1, vocabulary]}],
        "cache": _tensors(cache_shapes(model, -1)),
        "raw_inputs": [_bytes("text", [-1])],
        "limits": {"context": context, "bounded": model.bounded},
        "buckets": {"batch": [1], "length": sorted(generator.CHUNKS)},
        "temperature": TEMPERATURE,
    }


def write(folder: Path, name: str, of_task: dict[str, Any]) -> None:
    """Writes the signature of the package in `folder`, whose other files are there."""
    found = engines(folder)
    labels = folder / "labels.json"
    content = {
        "name": name,
        "platform": PLATFORM[found[0]],
        **of_task,
        **(strict_json.read(labels) if labels.exists() else {}),
        "engines": found,
        "devices": {"onnx": ["cpu"], "jax": list(PLATFORMS)},
    }
    content["devices"] = {engine: content["devices"][engine] for engine in found}
    strict_json.write(folder / "signature.json", content)


def engines(folder: Path) -> list[str]:
    """The engines that can run the package, the default one first."""
    return [engine for file, engine in ENGINES.items() if (folder / file).exists()]


def _raw(inputs: Inputs) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The raw input, its limits, and the shapes that the engine `jax` compiles: `onnx` runs any."""
    match inputs:
        case Images():
            limits = {"pixels": image_files.MAX_PIXELS, "formats": list(image_files.FORMATS)}
            return _bytes("image", [-1]), limits, {"batch": [1, images.Images.batch_size]}
        case Texts():
            longest = inputs.settings.max_length
            limits = {"characters": text_tokenizer.MAX_CHARACTERS, "tokens": longest}
            return _bytes("text", [-1]), limits, _buckets(texts.Texts, longest)
        case Sentences():
            longest = inputs.settings.max_length
            limits = {"words_together": longest, "characters_of_a_word": inputs.settings.word_length}
            return _bytes("words", [-1, -1]), limits, _buckets(sentences.Sentences, longest)
    raise AssertionError(inputs.kind)


def _buckets(kind: type[texts.Texts] | type[sentences.Sentences], longest: int) -> dict[str, list[int]]:
    """Powers of two, from the shortest that is padded to."""
    first, last = (kind.min_length - 1).bit_length(), (longest - 1).bit_length()
    return {"batch": [1, kind.batch_size], "length": [1 << n for n in range(first, max(first, last) + 1)]}


def _bytes(name: str, shape: list[int]) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": shape}


def _tensors(shapes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, "datatype": DATATYPES[str(x.dtype)], "shape": list(x.shape)} for name, x in shapes.items()]
