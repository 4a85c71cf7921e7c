"""Many devices that train as one: each takes a share of every batch and, along `fsdp`, keeps a share of every array.

One program runs on all of them; the compiler adds what they have to tell one another. In what order they add up their
sums hangs on their number: another mesh ends at other last bits, the same mesh at the same ones.
"""

import math
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from pydantic import PositiveInt

from pipeline.errors import UserError
from pipeline.params import Section

SMALL = 1 << 14  # numbers: a smaller array each device has whole


class Mesh(Section):
    data: PositiveInt  # groups of devices, each of which has the whole state
    fsdp: PositiveInt  # devices of a group, among which the state is shared out (Zhao et al. 2023, arXiv:2304.11277)


def make(mesh: Mesh | None, *, batch: int) -> jax.sharding.Mesh | None:
    """The devices in their order, those of all processes. Raises UserError where there are not so many, or they do not
    share a batch evenly.
    """
    there = jax.device_count()
    if mesh is None:
        if (processes := jax.process_count()) > 1:
            raise UserError(
                f"training.mesh: says how {processes} processes train as one: set it to {{data: {there}, fsdp: 1}}, say"
            )
        return None
    wanted = mesh.data * mesh.fsdp
    if wanted != there:
        raise UserError(f"training.mesh: {mesh.data} x {mesh.fsdp} takes {wanted} devices, and there are {there}")
    if batch % wanted:
        raise UserError(f"training.mesh: {wanted} devices do not share {batch} examples evenly: change batch_size")
    return jax.make_mesh((mesh.data, mesh.fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def whole(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Each device has all of it."""
    return NamedSharding(mesh, PartitionSpec())


def rows(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Each device has its share of the first axis."""
    return NamedSharding(mesh, PartitionSpec(("data", "fsdp")))


def share(mesh: jax.sharding.Mesh, tree: Any) -> Any:
    """Of each array, where its parts lie: shared out among the devices of a group along the longest axis that they
    divide, or else whole on each.
    """

    def place(array: Any) -> NamedSharding:
        among = mesh.shape["fsdp"]
        even = [axis for axis, size in enumerate(array.shape) if size % among == 0]
        if not even or math.prod(array.shape) < SMALL:
            return whole(mesh)
        longest = max(even, key=lambda axis: array.shape[axis])
        return NamedSharding(mesh, PartitionSpec(*(None,) * longest, "fsdp"))

    return jax.tree.map(place, tree)


def dealt(mesh: jax.sharding.Mesh | None, batch: Any) -> Any:
    """The arrays of a batch, of which each device takes its share, if they share it evenly: inside jit."""
    if mesh is None or any(len(array) % mesh.size for array in jax.tree.leaves(batch)):
        return batch
    return jax.lax.with_sharding_constraint(batch, rows(mesh))


def told(mesh: jax.sharding.Mesh | None, found: Any) -> Any:
    """Results that each device, and so each process, is to have whole: inside jit."""
    return found if mesh is None else jax.lax.with_sharding_constraint(found, whole(mesh))


def put(array: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """The array, which each process has, where it belongs: each takes the parts of its own devices."""
    return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])
