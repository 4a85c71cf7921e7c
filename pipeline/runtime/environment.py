"""The environment variables and warning filters that every process of this project sets before its libraries load.

A variable that can change results is either FIXED at its default, or, where a machine may need another value, RECORDED:
part of the machine's record, and so of a training run's name. A test compares both lists with JAX's own settings.
"""

import logging
import os
import sys
import warnings
from pathlib import Path

from .errors import UserError

DETERMINISTIC = "--xla_gpu_deterministic_ops"
# What decides random numbers, array types and a package's format, with JAX's defaults in all spellings. Any other value
# is ignored.
FALSE, TRUE = ("0", "f", "false", "n", "no", "off"), ("1", "on", "t", "true", "y", "yes")
FIXED = {
    "JAX_DEFAULT_PRNG_IMPL": ("threefry2x32",),
    "JAX_ENABLE_CUSTOM_PRNG": FALSE,
    "JAX_ENABLE_X64": FALSE,
    "JAX_EXPLICIT_X64_DTYPES": ("warn",),
    "JAX_EXPORT_CALLING_CONVENTION_VERSION": (),
    "JAX_EXPORT_IGNORE_FORWARD_COMPATIBILITY": FALSE,
    "JAX_HIGH_DYNAMIC_RANGE_GUMBEL": FALSE,
    "JAX_NUMPY_DTYPE_PROMOTION": ("standard",),
    "JAX_RANDOM_SEED_OFFSET": ("0",),
    "JAX_SERIALIZATION_VERSION": (),
    "JAX_THREEFRY_PARTITIONABLE": TRUE,
}
# What decides how results are rounded: variables of JAX and of the libraries below it.
RECORDED = (
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",
    "EAGER_CONSTANT_FOLDING",
    "JAX_ALLOW_F16_REDUCTIONS",
    "JAX_COMPILER_ENABLE_REMAT_PASS",
    "JAX_CPU_COLLECTIVES_IMPLEMENTATION",
    "JAX_CUSTOM_VJP3",
    "JAX_DEFAULT_DEVICE",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DISABLE_JIT",
    "JAX_DISABLE_MOST_OPTIMIZATIONS",
    "JAX_EMBEDDED_CONSTANTS_MAX_BYTES",
    "JAX_ENABLE_PGLE",
    "JAX_EXEC_TIME_OPTIMIZATION_EFFORT",
    "JAX_MEMORY_FITTING_EFFORT",
    "JAX_MEMORY_FITTING_LEVEL",
    "JAX_OPTIMIZATION_LEVEL",
    "JAX_PGLE_AGGREGATION_PERCENTILE",
    "JAX_PGLE_PROFILING_RUNS",
    "JAX_RAGGED_DOT_USE_GPU_PALLAS_TRITON_LOWERING",
    "JAX_RAGGED_DOT_USE_RAGGED_DOT_INSTRUCTION",
    "JAX_REMAT3",
    "JAX_SCAN3",
    "JAX_SOFTMAX_CUSTOM_JVP",
    "JAX_SORT_DEVICES_BY_PROCESS_INDEX",
    "JAX_THREEFRY_GPU_KERNEL_LOWERING",
    "JAX_USE_DIRECT_LINEARIZE",
    "JAX_USE_MAGMA",
    "JAX_USE_SHARDY_PARTITIONER",
    "JAX_USE_SIMPLIFIED_JAXPR_CONSTANTS",
    "JAX_XLA_PROFILE_VERSION",
    "LIBTPU_INIT_ARGS",
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NPY_DISABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_MAX_CPU_ISA",
    "TF_CUDNN_WORKSPACE_LIMIT_IN_MB",
)


def set_up() -> None:
    """Call this in the main thread, before anything imports jax. Raises UserError for an invalid value."""
    for name, defaults in FIXED.items():
        value = os.environ.pop(name, "")
        if value and value.lower() not in defaults:
            print(f"note: {name}={value} is ignored, because it would change results: unset it", file=sys.stderr)
    # XLA sizes its CPU thread pool by NPROC, and a pool of one thread sums in another order than a larger one: with at
    # least two, a container limited to one core gives the same bits as the whole machine.
    threads = os.environ.setdefault("NPROC", str(max(2, os.cpu_count() or 1)))
    if not threads.isdecimal() or int(threads) < 1:
        raise UserError(f"NPROC: must be a number of threads, 1 or more, not {threads!r}: correct or unset it")
    os.environ["XLA_FLAGS"] = _xla_flags(os.environ.get("XLA_FLAGS", "").strip())
    # JAX would reserve three quarters of a GPU's memory at once, and leave none to a second process on the card.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # Nothing here opens a window, and a notebook's setting would name a library that is not installed.
    os.environ["MPLBACKEND"] = "agg"
    # Pillow warns about damaged metadata, which does no harm. Filters are shared by all threads: set once, here.
    warnings.filterwarnings("ignore", module="PIL")
    logging.getLogger("jax._src.xla_bridge").addFilter(_in_one_line)


def recorded() -> dict[str, str]:
    """The RECORDED variables that this process has."""
    return {name: os.environ[name] for name in RECORDED if name in os.environ}


def _xla_flags(flags: str) -> str:
    """XLA's flags, with the one for sums in a fixed order: on a GPU, some are otherwise computed in the order in which
    threads finish. Raises UserError where XLA would end the process because of them.
    """
    if flags and not flags.startswith("-"):  # XLA takes it for a file's name
        try:
            flags = " ".join(Path(flags).read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"XLA_FLAGS: {flags} is neither flags, which begin with --, nor a readable file ({error}): correct or "
                "unset it"
            ) from error
    ours = f"{DETERMINISTIC}=true"
    if flags not in ("", ours):
        import subprocess  # few have flags of their own

        check = [sys.executable, "-c", "from jaxlib import xla_client; xla_client.CompileOptions()"]
        done = subprocess.run(check, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True)
        if done.returncode and "parse_flags" in done.stderr:
            why = next(line for line in done.stderr.splitlines() if "_flags" in line).partition("] ")[2]
            raise UserError(f"XLA_FLAGS: XLA does not accept {flags!r} ({why.rstrip('.')}): correct or unset it")
    return flags if DETERMINISTIC in flags else f"{flags} {ours}".strip()


def _in_one_line(record: logging.LogRecord) -> bool:
    """JAX logs a whole traceback where the libraries of a device are broken, and goes on with the next device."""
    if record.exc_info and record.exc_info[1]:
        why = " ".join(str(record.exc_info[1]).split())
        record.msg, record.args = f"warning: a device cannot be used ({why}): reinstall its libraries", ()
        record.exc_info = record.exc_text = None
    return True
