"""An ONNX model, written node by node with ONNX's own operators. A value is known by its name, as in ONNX itself."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnx
from jaxtyping import Shaped
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 20, 9  # of 2023; ONNX Runtime reads them since its version 1.17

Value: TypeAlias = str
Operand: TypeAlias = Value | Shaped[np.ndarray, "..."] | np.generic | float  # all but a name is a constant
Dims: TypeAlias = Sequence[int | str]  # a size, or the name of one that may be any


class Graph:
    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._constant_names: dict[tuple[Any, ...], Value] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self.inputs: dict[Value, Dims] = {}  # their shapes

    def add_input(self, name: Value, dtype: np.dtype[Any], shape: Dims) -> None:
        self._inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape))
        self.inputs[name] = shape

    def __call__(self, operator: str, *operands: Operand | None, **attributes: Any) -> Value:
        """A node with one output; None leaves an optional operand out."""
        return self.several(operator, 1, *operands, **attributes)[0]

    def several(self, operator: str, outputs: int, *operands: Operand | None, **attributes: Any) -> list[Value]:
        """A node with so many outputs."""
        number = len(self._nodes)
        names = [f"{operator}_{number}" + (f"_{i}" if outputs > 1 else "") for i in range(outputs)]
        given = [self._name(operand) for operand in operands]
        self._nodes.append(helper.make_node(operator, given, names, name=f"{operator}_{number}", **attributes))
        return names

    def ints(self, *values: int) -> Value:
        """A constant vector of integers: axes, a shape."""
        return self._constant(np.asarray(values, np.int64))

    def finish(self, output: Value, name: str, shape: Dims) -> bytes:
        """The model, which gives the float32 array `output` under this name. Raises ValueError where it is not valid,
        onnx.checker.ValidationError where a node is not.
        """
        self._nodes.append(helper.make_node("Identity", [output], [name], name=name))
        result = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self._nodes, "model", self._inputs, [result], self._constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="pipeline")
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)

    def _name(self, operand: Operand | None) -> Value:
        if operand is None:
            return ""
        return operand if isinstance(operand, str) else self._constant(np.asarray(operand))

    def _constant(self, array: Shaped[np.ndarray, "..."]) -> Value:
        """Equal constants are stored once. Floats are of 32 bits."""
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constant_names:
            self._constant_names[key] = f"constant_{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), self._constant_names[key]))
        return self._constant_names[key]
