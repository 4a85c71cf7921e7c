"""Tensors in requests and responses of the Open Inference Protocol: as JSON, or as bytes behind the JSON (the binary
tensor data extension).
"""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..failures import Failure

TYPES = {"UINT8": np.uint8, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}
LARGEST = 1 << 26  # numbers in a tensor: 256 MiB of float32
HEADER = "inference-header-content-length"


class Tensor(NamedTuple):
    name: str
    values: np.ndarray  # of numbers, or of bytes (BYTES)
    datatype: str


class Request(NamedTuple):
    """A request to infer."""

    id: str | None
    inputs: list[Tensor]
    outputs: dict[str, bool] | None  # the outputs that are asked for, and whether as binary data; None: all
    binary: bool  # whether outputs are binary data unless their own parameter says otherwise


def parse(body: bytes, header_size: str | None) -> Request:
    """A request's body, whose first `header_size` bytes are JSON; None: all of it. Raises Failure."""
    content, rest = parse_json(body if header_size is None else body[: _size(header_size, body)]), b""
    if header_size is not None:
        rest = body[int(header_size) :]
    if not isinstance(content, dict) or not isinstance(content.get("inputs"), list):
        raise Failure(400, "the body must be an object with a list `inputs`")
    tensors: list[Tensor] = []
    for given in content["inputs"]:
        tensor, rest = _tensor(given, rest)
        tensors.append(tensor)
    if rest:
        raise Failure(400, f"{len(rest):,} bytes follow the last binary tensor: no input has them")
    asked, outputs = content.get("outputs"), None
    if asked is not None:
        if not isinstance(asked, list) or not all(
            isinstance(one, dict) and isinstance(one.get("name"), str) for one in asked
        ):
            raise Failure(400, "outputs: must be a list of objects with a `name`")
        outputs = {one["name"]: _parameters(one).get("binary_data") for one in asked}
    binary = bool(_parameters(content).get("binary_data_output", False))
    number = content.get("id")
    return Request(
        None if number is None else str(number),
        tensors,
        None if outputs is None else {name: binary if flag is None else bool(flag) for name, flag in outputs.items()},
        binary,
    )


def parse_json(body: bytes) -> Any:
    """Raises Failure for what is not JSON: NaN and numbers without bounds are not."""
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_no_number, parse_float=_finite)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise Failure(400, f"the body is not JSON ({why})") from error


def respond(header: dict[str, Any], tensors: Sequence[Tensor], binary: Mapping[str, bool]) -> tuple[bytes, int | None]:
    """The body of a response, and the size of its JSON where binary data follows."""
    outputs, blobs = [], []
    for tensor in tensors:
        described: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.values.shape),
        }
        if binary.get(tensor.name):
            blob = _pack(tensor)
            described["parameters"] = {"binary_data_size": len(blob)}
            blobs.append(blob)
        else:
            flat = tensor.values.ravel().tolist()
            described["data"] = [one.decode() for one in flat] if tensor.datatype == "BYTES" else flat
        outputs.append(described)
    head = json.dumps({**header, "outputs": outputs}, ensure_ascii=False, allow_nan=False).encode()
    return (head + b"".join(blobs), len(head)) if blobs else (head, None)


def _size(text: str, body: bytes) -> int:
    if not text.isascii() or not text.isdecimal() or int(text[:12]) > len(body):
        raise Failure(400, f"{HEADER}: must be the size of the JSON in bytes, at most {len(body):,}")
    return int(text)


def _tensor(given: Any, rest: bytes) -> tuple[Tensor, bytes]:
    """An input, and the binary data after its own."""
    if not isinstance(given, dict) or not isinstance(name := given.get("name"), str):
        raise Failure(400, "inputs: each must be an object with a `name`")
    where, shape, datatype = f"input {name[:60]!r}", given.get("shape"), given.get("datatype")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n <= LARGEST for n in shape):
        raise Failure(400, f"{where}: shape must be a list of sizes")
    if datatype not in (*TYPES, "BYTES"):
        raise Failure(400, f"{where}: datatype must be one of {', '.join((*TYPES, 'BYTES'))}")
    count = 1
    for n in shape:
        count *= n
    if count > LARGEST:
        raise Failure(413, f"{where}: has {count:,} values; at most {LARGEST:,} are taken")
    size = _parameters(given).get("binary_data_size")
    if size is not None:
        if type(size) is not int or not 0 <= size <= len(rest):
            raise Failure(400, f"{where}: binary_data_size must be a number of bytes that follow the JSON")
        return Tensor(name, _unpack(rest[:size], datatype, count, where).reshape(shape), datatype), rest[size:]
    return Tensor(name, _from_json(given.get("data"), datatype, count, where).reshape(shape), datatype), rest


def _from_json(data: Any, datatype: str, count: int, where: str) -> np.ndarray:
    if not isinstance(data, list):
        raise Failure(400, f"{where}: data must be a list")
    flat: list[Any] = data
    while flat and isinstance(flat[0], list):
        if not all(isinstance(row, list) for row in flat):
            raise Failure(400, f"{where}: data is a ragged list")
        flat = [value for row in flat for value in row]
    if len(flat) != count:
        raise Failure(400, f"{where}: has {len(flat):,} values, its shape {count:,}")
    if datatype == "BYTES":
        if not all(isinstance(value, str) for value in flat):
            raise Failure(400, f"{where}: BYTES in JSON must be texts")
        return _objects([value.encode("utf-8", "surrogatepass") for value in flat])
    kinds = (int, float) if datatype == "FP32" else (int,)
    if not all(type(value) in kinds for value in flat):
        raise Failure(400, f"{where}: {datatype} must be {'numbers' if datatype == 'FP32' else 'integers'}")
    limits = None if datatype == "FP32" else np.iinfo(TYPES[datatype])
    if limits and flat and not limits.min <= min(flat) <= max(flat) <= limits.max:
        raise Failure(400, f"{where}: {datatype} must be from {limits.min} to {limits.max}")
    return np.array(flat, TYPES[datatype])


def _unpack(blob: bytes, datatype: str, count: int, where: str) -> np.ndarray:
    if datatype != "BYTES":
        if len(blob) != count * np.dtype(TYPES[datatype]).itemsize:
            raise Failure(400, f"{where}: has {len(blob):,} bytes, which its shape and datatype do not")
        return np.frombuffer(blob, TYPES[datatype])
    values, at = [], 0
    while at < len(blob) and len(values) < count:
        (size,) = struct.unpack_from("<I", blob, at) if at + 4 <= len(blob) else (len(blob),)
        values.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    if at != len(blob) or len(values) != count:
        raise Failure(400, f"{where}: its binary data is not {count:,} values, each after its size in four bytes")
    return _objects(values)


def _pack(tensor: Tensor) -> bytes:
    if tensor.datatype != "BYTES":
        return np.ascontiguousarray(tensor.values).tobytes()
    return b"".join(struct.pack("<I", len(value)) + value for value in tensor.values.ravel())


def _objects(values: Sequence[bytes]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _parameters(given: Mapping[str, Any]) -> Mapping[str, Any]:
    parameters = given.get("parameters", {})
    return parameters if isinstance(parameters, dict) else {}


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number in JSON")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} is too large")
    return value
