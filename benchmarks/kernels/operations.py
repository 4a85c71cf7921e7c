"""How many floating-point operations a function takes, counted in what JAX hands to the compiler.

The compiler's own count takes the body of each loop once, however often it runs.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

ELEMENTWISE = {"add", "add_any", "div", "exp", "log", "logistic", "max", "min", "mul", "neg", "pow", "rsqrt", "sqrt"}
ELEMENTWISE |= {"square", "sub", "tanh"}
REDUCTIONS = {"reduce_sum", "reduce_max", "reduce_min", "cumsum"}


def count(function: Callable[..., Any], *arguments: Any) -> float:
    """A multiplication and an addition are two; what only moves, compares or rounds numbers is none.

    Of a choice, the longest branch counts. Raises ValueError for a loop that ends on a condition: how often it runs is
    not known before.
    """
    return _of(jax.make_jaxpr(function)(*arguments).jaxpr)


def _of(jaxpr: core.Jaxpr) -> float:
    return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation: core.JaxprEqn) -> float:
    name, given = equation.primitive.name, equation.params
    inputs: list[Any] = [variable.aval for variable in equation.invars]
    out: Any = equation.outvars[0].aval if equation.outvars else None
    if name == "while":
        raise ValueError("a loop that ends on a condition runs an unknown number of times")
    if name == "cond":
        return max(_of(branch.jaxpr) for branch in given["branches"])
    if name == "dot_general":
        left = inputs[0].shape
        (contracted, _), _ = given["dimension_numbers"]
        return 2.0 * math.prod(out.shape) * math.prod(left[axis] for axis in contracted)
    if name == "conv_general_dilated":
        kernel = inputs[1].shape
        filters = kernel[given["dimension_numbers"].rhs_spec[0]]
        # The zeros that dilation puts between the inputs cost nothing in theory.
        return 2.0 * math.prod(out.shape) * (math.prod(kernel) / filters) / math.prod(given["lhs_dilation"])
    if name in ELEMENTWISE and jnp.issubdtype(out.dtype, jnp.floating):
        return float(math.prod(out.shape))
    if name in REDUCTIONS:
        return float(math.prod(inputs[0].shape))
    inner = [value for value in given.values() if isinstance(value, (core.Jaxpr, core.ClosedJaxpr))]
    times = given.get("length", 1) if name == "scan" else 1
    return times * sum(_of(one.jaxpr if isinstance(one, core.ClosedJaxpr) else one) for one in inner)
