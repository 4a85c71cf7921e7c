"""Many devices that train as one: each takes a share of every batch and, along `fsdp`, keeps a share of every array.
Along `tensor` they take the same examples, and share out the arithmetic of each layer.

One program runs on all of them; the compiler adds what they have to tell one another. In what order they add up their
sums hangs on their number: another mesh ends at other last bits, the same mesh at the same ones.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from pipeline.config.training import Mesh
from pipeline.runtime.errors import UserError

SMALL = 1 << 14  # numbers: a smaller array each device has whole
GROUPS = ("data", "fsdp")  # along these, devices have examples of their own

T = TypeVar("T")


def check(mesh: Mesh, *, batch: int, layer: Mapping[str, int]) -> None:
    """Raises UserError where devices do not share a batch or a layer evenly. `layer` says what of one can be shared
    out, and how many there are.
    """
    if batch % (takers := mesh.data * mesh.fsdp):
        raise UserError(f"training.mesh: {takers} devices do not share {batch} examples evenly: change batch_size")
    if mesh.tensor > 1 and not layer:
        raise UserError("training.mesh.tensor: gpt alone has layers that devices can share out: set it to 1")
    for what, count in layer.items():
        if count % mesh.tensor:
            raise UserError(f"training.mesh.tensor: {mesh.tensor} devices do not share {count} {what} evenly: lower it")


def make(mesh: Mesh | None, *, batch: int, layer: Mapping[str, int]) -> jax.sharding.Mesh | None:
    """The devices in their order, those of all processes; those along `tensor` are next to one another. Raises
    UserError as `check` does, and where there are not so many devices.
    """
    there = jax.device_count()
    if mesh is None:
        if (processes := jax.process_count()) > 1:
            raise UserError(
                f"training.mesh: says how {processes} processes train as one: set it to {{data: {there}, fsdp: 1}}, say"
            )
        return None
    sizes = mesh.data, mesh.fsdp, mesh.tensor
    if mesh.size != there:
        by = " x ".join(map(str, sizes))
        raise UserError(f"training.mesh: {by} takes {mesh.size} devices, and there are {there}")
    check(mesh, batch=batch, layer=layer)
    return jax.make_mesh(sizes, (*GROUPS, "tensor"), axis_types=(AxisType.Auto,) * len(sizes))


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Each device has all of it."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Each device has its share of the first axis; those along `tensor` have the same one."""
    return NamedSharding(mesh, PartitionSpec(GROUPS))


def batch_shards(mesh: jax.sharding.Mesh | None) -> int:
    """In how many shares a batch is taken."""
    return 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]


def state_shardings(mesh: jax.sharding.Mesh, tree: Any, cuts: Mapping[str, int]) -> Any:
    """Of each array, where its parts lie. `cuts` says by name along which axis `tensor` cuts it, if that is even; of
    the other axes `fsdp` cuts the longest that is even. An array that is small, or is not cut, is whole on each device.
    """

    def place(path: Any, array: Any) -> NamedSharding:
        if math.prod(array.shape) < SMALL:
            return replicated(mesh)
        along = _within_layers(mesh, path, array, cuts)
        even = [axis for axis, size in enumerate(array.shape) if not along[axis] and size % mesh.shape["fsdp"] == 0]
        if even:
            along[max(even, key=lambda axis: array.shape[axis])] = "fsdp"
        return NamedSharding(mesh, PartitionSpec(*along))

    return jax.tree_util.tree_map_with_path(place, tree)


def gather_fsdp(mesh: jax.sharding.Mesh, cuts: Mapping[str, int], weights: Any) -> Any:
    """The weights without `fsdp`'s cuts, for as long as they are used: inside jit. Left to itself the compiler may
    bring together what is made of them instead, which is more.
    """

    def place(path: Any, array: Any) -> NamedSharding:
        return NamedSharding(mesh, PartitionSpec(*_within_layers(mesh, path, array, cuts)))

    return jax.lax.with_sharding_constraint(weights, jax.tree_util.tree_map_with_path(place, weights))


def _within_layers(mesh: jax.sharding.Mesh, path: Any, array: Any, cuts: Mapping[str, int]) -> list[str | None]:
    """The names of the mesh's axes that cut the array's: of `tensor` alone."""
    along: list[str | None] = [None] * array.ndim
    own = cuts.get(str(getattr(path[-1], "key", "")))
    if own is not None and mesh.shape["tensor"] > 1 and array.shape[own] % mesh.shape["tensor"] == 0:
        along[own] = "tensor"
    return along


def shard_batch(mesh: jax.sharding.Mesh | None, batch: Any) -> Any:
    """The arrays of a batch, of which each device takes its share, if they share it evenly: inside jit."""
    if mesh is None or any(len(array) % batch_shards(mesh) for array in jax.tree.leaves(batch)):
        return batch
    return jax.lax.with_sharding_constraint(batch, batch_sharding(mesh))


def map_shards(mesh: jax.sharding.Mesh | None, make: Callable[..., T], *shares: Any) -> T:
    """`make` of the shares that each device has of these arrays: inside jit."""
    if mesh is None or batch_shards(mesh) == 1:
        return make(*shares)
    own = PartitionSpec(GROUPS)
    return jax.shard_map(make, mesh=mesh, in_specs=own, out_specs=own, axis_names=set(GROUPS))(*shares)


def map_sum_shards(mesh: jax.sharding.Mesh | None, make: Callable[..., T], known: Any, *shares: Any) -> T:
    """What `make` comes to of `known`, which each device has, and of its shares of the other arrays, added up over the
    devices: inside jit.
    """
    if mesh is None or batch_shards(mesh) == 1:
        return make(known, *shares)

    def part(known: Any, *shares: Any) -> T:
        return jax.lax.psum(make(known, *shares), GROUPS)

    specs = (PartitionSpec(), *(PartitionSpec(GROUPS),) * len(shares))
    # Unchecked, since a loop's first sums, zeros, are not yet of one device, and those after it are.
    mapped = jax.shard_map(
        part, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), axis_names=set(GROUPS), check_vma=False
    )
    return mapped(known, *shares)


def replicate(mesh: jax.sharding.Mesh | None, found: Any) -> Any:
    """Results that each device, and so each process, is to have whole: inside jit."""
    return found if mesh is None else jax.lax.with_sharding_constraint(found, replicated(mesh))


def put(array: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """The array, which each process has, where it belongs: each takes the parts of its own devices."""
    return jax.make_array_from_callback(array.shape, sharding, lambda part: array[part])
