"""A mesh of devices that train one model: along `data` and `fsdp` each device gets its own part of every batch, along
`fsdp` each also keeps only a shard of every array, and along `tensor` devices share each layer's arithmetic.

One program runs on all of them, and the compiler inserts the communication. The order in which devices add up their
sums depends on the mesh: the same mesh gives the same bits each time, another mesh differs in the last ones.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from pipeline.config.training import Mesh
from pipeline.runtime.errors import UserError

MIN_SHARDED = 1 << 14  # elements: smaller arrays are replicated
BATCH_AXES = ("data", "fsdp")  # mesh axes along which devices have different examples

T = TypeVar("T")


def check(mesh: Mesh, *, batch: int, tensor_parallel: Mapping[str, int]) -> None:
    """Raises UserError where the devices cannot share a batch, or a layer, evenly. `tensor_parallel` names what of a
    layer can be shared, and how many there are.
    """
    if batch % (parts := mesh.data * mesh.fsdp):
        raise UserError(f"training.mesh: {parts} devices cannot share {batch} examples evenly: change batch_size")
    if mesh.tensor > 1 and not tensor_parallel:
        raise UserError("training.mesh.tensor: only gpt has layers that devices can share: set it to 1")
    for what, count in tensor_parallel.items():
        if count % mesh.tensor:
            raise UserError(f"training.mesh.tensor: {mesh.tensor} devices cannot share {count} {what} evenly: lower it")


def make_mesh(mesh: Mesh | None, *, batch: int, tensor_parallel: Mapping[str, int]) -> jax.sharding.Mesh | None:
    """The devices of all processes, in order: those along `tensor` are neighbours. None where params.yaml has no mesh.
    Raises UserError as `check` does, and where the number of devices is another one.
    """
    devices = jax.device_count()
    if mesh is None:
        if (processes := jax.process_count()) > 1:
            raise UserError(
                f"training.mesh: {processes} processes need one: set it to {{data: {devices}}}, for example"
            )
        return None
    sizes = mesh.data, mesh.fsdp, mesh.tensor
    if mesh.size != devices:
        product = " x ".join(map(str, sizes))
        raise UserError(f"training.mesh: {product} needs {mesh.size} devices, and there are {devices}")
    check(mesh, batch=batch, tensor_parallel=tensor_parallel)
    return jax.make_mesh(sizes, (*BATCH_AXES, "tensor"), axis_types=(AxisType.Auto,) * len(sizes))


def replicated(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Each device has the whole array."""
    return NamedSharding(mesh, PartitionSpec())


def batch_sharding(mesh: jax.sharding.Mesh) -> NamedSharding:
    """Each device has its part of the first axis; those along `tensor` have the same one."""
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES))


def batch_shards(mesh: jax.sharding.Mesh | None) -> int:
    """The number of parts that a batch is split into."""
    return 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]


def state_shardings(mesh: jax.sharding.Mesh, tree: Any, names: Any, tensor_axes: Mapping[str, int]) -> Any:
    """A sharding for each array. `tensor_axes` gives, by name, the axis that `tensor` splits if it splits it evenly; of
    the other axes, `fsdp` splits the longest that it splits evenly. Small arrays are replicated. `names` is a tree like
    `tree` of the parameter that each array belongs to.
    """

    def shard(array: Any, name: str) -> NamedSharding:
        if math.prod(array.shape) < MIN_SHARDED:
            return replicated(mesh)
        spec = _tensor_spec(mesh, array, tensor_axes.get(name))
        even = [axis for axis, size in enumerate(array.shape) if not spec[axis] and size % mesh.shape["fsdp"] == 0]
        if even:
            spec[max(even, key=lambda axis: array.shape[axis])] = "fsdp"
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(shard, tree, names)


def gather_fsdp(mesh: jax.sharding.Mesh, tensor_axes: Mapping[str, int], weights: Any) -> Any:
    """The weights, in a tree by their names, gathered along `fsdp` for as long as they are used: inside jit. Without
    this the compiler may gather what is computed from them instead, which is larger.
    """

    def shard(path: Any, array: Any) -> NamedSharding:
        axis = tensor_axes.get(jax.tree_util.keystr(path, simple=True, separator="."))
        return NamedSharding(mesh, PartitionSpec(*_tensor_spec(mesh, array, axis)))

    return jax.lax.with_sharding_constraint(weights, jax.tree_util.tree_map_with_path(shard, weights))


def _tensor_spec(mesh: jax.sharding.Mesh, array: Any, axis: int | None) -> list[str | None]:
    """The mesh axis that splits each axis of the array, with `tensor` alone, which splits `axis`."""
    spec: list[str | None] = [None] * array.ndim
    if axis is not None and mesh.shape["tensor"] > 1 and array.shape[axis] % mesh.shape["tensor"] == 0:
        spec[axis] = "tensor"
    return spec


def shard_batch(mesh: jax.sharding.Mesh | None, batch: Any) -> Any:
    """The batch with its examples split among the devices, if they split evenly: inside jit."""
    if mesh is None or any(len(array) % batch_shards(mesh) for array in jax.tree.leaves(batch)):
        return batch
    return jax.lax.with_sharding_constraint(batch, batch_sharding(mesh))


def map_shards(mesh: jax.sharding.Mesh | None, f: Callable[..., T], *arrays: Any) -> T:
    """`f` of each device's shards of these arrays, concatenated: inside jit."""
    if mesh is None or batch_shards(mesh) == 1:
        return f(*arrays)
    spec = PartitionSpec(BATCH_AXES)
    return jax.shard_map(f, mesh=mesh, in_specs=spec, out_specs=spec, axis_names=set(BATCH_AXES))(*arrays)


def map_sum_shards(mesh: jax.sharding.Mesh | None, f: Callable[..., T], whole: Any, *arrays: Any) -> T:
    """`f` of `whole`, which each device has, and of each device's shards of the other arrays, summed over the devices:
    inside jit.
    """
    if mesh is None or batch_shards(mesh) == 1:
        return f(whole, *arrays)

    def summed(whole: Any, *shards: Any) -> T:
        return jax.lax.psum(f(whole, *shards), BATCH_AXES)

    specs = (PartitionSpec(), *(PartitionSpec(BATCH_AXES),) * len(arrays))
    # Unchecked: a loop's sums begin as zeros, which do not vary from device to device as the later ones do.
    mapped = jax.shard_map(
        summed, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), axis_names=set(BATCH_AXES), check_vma=False
    )
    return mapped(whole, *arrays)


def replicate(mesh: jax.sharding.Mesh | None, arrays: Any) -> Any:
    """The arrays, whole on each device and so in each process: inside jit."""
    return arrays if mesh is None else jax.lax.with_sharding_constraint(arrays, replicated(mesh))


def put(array: Any, sharding: jax.sharding.Sharding) -> jax.Array:
    """The array, which each process has, on the devices: each process copies the shards of its own."""
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])


def put_like(array: Any, like: Any) -> Any:
    """The array on the devices of `like`, one or several."""
    where = like.sharding
    return put(array, where) if len(where.device_set) > 1 else jnp.asarray(array)
