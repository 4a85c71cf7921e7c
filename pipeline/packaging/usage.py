"""How a package is used: a section of its model card, with commands and examples in Python that tests run as they are.

Those without `runtime/` are made from signature.json, so that they fit the package's own arrays.
"""

from importlib.metadata import version
from typing import Any

NUMPY = {"UINT8": "np.uint8", "INT32": "np.int32"}  # of inputs
ARGUMENT = {  # of the command, and of the call
    "images": "sample/{file}",
    "texts": "a text",
    "sentences": "the words of a sentence",
    "corpus": "To be",
}
PREDICTOR = """from runtime.predictor import Predictor

predictor = Predictor(".")
print(predictor.answer("{argument}"))"""
GENERATOR = """from runtime.generator import Generator

generator = Generator(".")
print(generator.continuation("{argument}", max_tokens=20, seed=0))"""
BY_JAX = """{imports}
from jax import export
from safetensors.numpy import load_file

with open("model.jaxexp", "rb") as file:
    function = export.deserialize(bytearray(file.read()))
weights = load_file("model.safetensors")
{inputs}
{call}
print({output}.shape)"""
CACHE = """(_, cache, _), _ = jax.tree.unflatten(function.in_tree, function.in_avals)
cache = {name: np.zeros([n if isinstance(n, int) else 1 for n in x.shape], x.dtype) for name, x in cache.items()}"""
BY_ONNX = """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
{inputs}
({output},) = session.run(None, {{{named}}})
print({output}.shape)"""


def section(
    kind: str, signature: dict[str, Any], samples: list[dict[str, Any]], why_no_onnx: str | None
) -> dict[str, str]:
    """What cards/use.md has to be filled with."""
    argument = ARGUMENT[kind].format(file=samples[0].get("file"))
    quoted = argument if kind == "images" else f'"{argument}"'
    generates = "cache" in signature
    jax = f"jax {version('jax')}, flatbuffers and safetensors"
    return {
        "arguments": f"--prompt {quoted}" if generates else quoted,
        "code": (GENERATOR if generates else PREDICTOR).format(argument=argument),
        "engines": _engines(signature, why_no_onnx),
        "jax_libraries": jax,
        "by_jax": _by_jax(signature),
    }


def by_onnx(signature: dict[str, Any]) -> str:
    """A call of model.onnx."""
    names = [tensor["name"] for tensor in signature["inputs"]]
    return BY_ONNX.format(
        inputs=_arrays(signature, 2),
        output=signature["outputs"][0]["name"],
        named=", ".join(f'"{name}": {name}' for name in names),
    )


def _by_jax(signature: dict[str, Any]) -> str:
    output = signature["outputs"][0]["name"]
    names = ", ".join(tensor["name"] for tensor in signature["inputs"])
    if "cache" in signature:  # of one text
        inputs, call = f"{CACHE}\n{_arrays(signature, 1)}", f"{output}, cache = function.call(weights, cache, {names})"
        return BY_JAX.format(imports="import jax\nimport numpy as np", inputs=inputs, call=call, output=output)
    call = f"{output} = function.call(weights, {names})"
    return BY_JAX.format(imports="import numpy as np", inputs=_arrays(signature, 2), call=call, output=output)


def _arrays(signature: dict[str, Any], count: int) -> str:
    """Lines that make an array for each input: `count` examples, of 16 tokens each."""
    return "\n".join(
        f"{tensor['name']} = np.ones({_shape(tensor['shape'], count)}, {NUMPY[tensor['datatype']]})"
        for tensor in signature["inputs"]
    )


def _shape(shape: list[int], count: int) -> tuple[int, ...]:
    return tuple(count if axis == 0 else 16 if n == -1 else n for axis, n in enumerate(shape))


def _engines(signature: dict[str, Any], why_no_onnx: str | None) -> str:
    if "onnx" in signature["engines"]:
        return (
            'ONNX Runtime runs `model.onnx`, on the CPU; where it is not installed, or with `engine="jax"`, JAX runs '
            "`model.jaxexp`, on a GPU too."
        )
    return f"JAX runs `model.jaxexp`. There is no `model.onnx`: {why_no_onnx}."
