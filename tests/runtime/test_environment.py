"""What the process's environment says reaches no number unnoticed, and junk in it is one line with the cure."""

import logging
import os
import subprocess
import sys

import jax
import pytest
from imports import TOP

from pipeline.runtime import environment, errors
from pipeline.runtime.errors import UserError
from pipeline.stages import provenance

# Where JAX runs, what it checks, logs, caches, dumps and how long it waits.
HARMLESS = set(
    """
check_vma jax2tf_associative_scan_reductions jax2tf_default_native_serialization jax_array_garbage_collection_guard
jax_auto_pcast jax_backend_target jax_bcoo_cusparse_lowering jax_captured_constants_report_frames
jax_captured_constants_warn_bytes jax_check_proxy_envs jax_check_static_indices jax_check_tracer_leaks
jax_compilation_cache_check_contents jax_compilation_cache_dir jax_compilation_cache_expect_pgle
jax_compilation_cache_include_metadata_in_key jax_compilation_cache_max_size jax_compiler_detailed_logging_min_ops
jax_cpu_enable_async_dispatch jax_cpu_get_global_topology_timeout_minutes jax_cpu_get_local_topology_timeout_minutes
jax_cross_host_transfer_socket_address jax_cross_host_transfer_timeout_seconds jax_cross_host_transfer_transfer_size
jax_cross_host_transport_addresses jax_cuda_visible_devices jax_debug_infs jax_debug_key_reuse
jax_debug_leaked_clients_on_clear_backends jax_debug_log_modules jax_debug_nans jax_disable_bwd_checks
jax_disable_vmap_shmap_error jax_disallow_mesh_context_manager jax_distributed_debug jax_dump_ir_modes jax_dump_ir_to
jax_enable_checks jax_enable_compilation_cache jax_enable_preemption_service jax_enable_recoverability
jax_error_checking_behavior_divide jax_error_checking_behavior_nan jax_error_checking_behavior_oob
jax_experimental_unsafe_xla_runtime_errors jax_explain_cache_misses jax_force_dcn_cross_host_transfers
jax_hlo_source_file_canonicalization_regex jax_include_debug_info_in_dumps jax_include_full_tracebacks_in_locations
jax_legacy_prng_key jax_log_checkpoint_residuals jax_log_compiles jax_logging_level jax_mock_gpu_topology
jax_mosaic_allow_hlo jax_mutable_array_checks jax_no_execution jax_no_tracing jax_num_cpu_devices
jax_numpy_rank_promotion jax_oneapi_visible_devices jax_pallas_enable_debug_checks jax_pallas_poison_buffers
jax_pallas_use_mosaic_gpu jax_pallas_verbose_errors jax_persistent_cache_enable_xla_caches
jax_persistent_cache_min_compile_time_secs jax_persistent_cache_min_entry_size_bytes jax_pjrt_client_create_options
jax_platform_name jax_platforms jax_pprint_use_color jax_raise_persistent_cache_errors jax_refs_to_pins
jax_remove_custom_partitioning_ptr_from_cache_key jax_remove_size_one_mesh_axis_from_type jax_rocm_visible_devices
jax_send_traceback_to_runtime jax_share_binary_between_hosts jax_share_binary_between_hosts_timeout_ms
jax_source_url_schema jax_thread_guard jax_traceback_filtering jax_traceback_in_locations_limit
jax_tracer_error_num_traceback_frames jax_transfer_guard jax_transfer_guard_device_to_device
jax_transfer_guard_device_to_host jax_transfer_guard_host_to_device jax_use_emit_pipeline_primitive jax_xla_backend
mock_num_gpu_processes
""".split()  # noqa: SIM905
)


def test_each_of_jaxs_settings_is_fixed_recorded_or_harmless():
    reach_numbers = {*environment.FIXED, *environment.RECORDED}
    new = [name for name in jax.config.values if name.upper() not in reach_numbers and name not in HARMLESS]
    assert not new, "does it reach the numbers? Then it is for pipeline/runtime/environment.py, else for HARMLESS"
    assert not {name.lower() for name in reach_numbers if name.startswith("JAX_")} - {*jax.config.values}


@pytest.mark.parametrize("value", ["1", "0"])
def test_a_fixed_setting_is_set_aside(value, monkeypatch, capsys):
    monkeypatch.setenv("JAX_ENABLE_X64", value)
    environment.set_up()
    assert "JAX_ENABLE_X64" not in os.environ
    assert ("note: JAX_ENABLE_X64=1 is ignored" in capsys.readouterr().err) == (value == "1")


def test_a_setting_that_rounds_otherwise_is_part_of_the_record_and_none_is_no_part(monkeypatch):
    assert "settings" not in provenance.machine()
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    assert provenance.machine()["settings"] == {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}


def test_flags_in_a_file_are_read_and_the_one_for_determinism_is_added(monkeypatch, tmp_path):
    (tmp_path / "flags.txt").write_text("--xla_cpu_enable_fast_math=false\n")
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "flags.txt"))
    environment.set_up()
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=false --xla_gpu_deterministic_ops=true"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("XLA_FLAGS", "file.txt", "XLA_FLAGS: file.txt is neither flags, which begin with --, nor a readable file"),
        ("XLA_FLAGS", "--junk", r"does not accept '--junk' \(Unknown flag in XLA_FLAGS: --junk\): correct or unset"),
        ("NPROC", "many", "NPROC: must be a number of threads, 1 or more, not 'many'"),
        ("NPROC", "0", "NPROC: must be"),
    ],
)
def test_junk_is_refused(name, value, message, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        environment.set_up()


@pytest.mark.parametrize(
    ("error", "platforms", "message"),
    [
        (
            RuntimeError("Unable to initialize backend 'x': Backend 'x' is not known. (set JAX_PLATFORMS='' to ...)"),
            "x",
            "JAX_PLATFORMS=x: there is no such device here (Backend 'x' is not known): unset JAX's",
        ),
        (RuntimeError("INTERNAL: CUDA_ERROR_NO_DEVICE: none"), "", "the GPU fails (INTERNAL: CUDA_ERROR_NO_DEVICE"),
        (RuntimeError("Unknown backend: 'gpu' requested, but"), "", "JAX finds no device ('gpu' requested"),
        (ValueError('Invalid value "zz" for JAX flag jax_logging_level'), "zz", "JAX_PLATFORMS=zz: not a valid value"),
    ],
)
def test_a_device_that_is_not_there_is_one_line(error, platforms, message, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    assert (errors.refusal(error) or "").startswith(message)


def test_no_platform_of_those_asked_for_is_one_line():
    """JAX only asserts that there is one."""
    asks = "import jax; from pipeline.runtime import errors; errors.run(lambda: jax.process_count())"
    for code in (asks, asks.replace("jax.process_count", "jax.numpy.ones(3).sum")):
        variables = {**os.environ, "JAX_PLATFORMS": "cuda"}
        done = subprocess.run([sys.executable, "-c", code], cwd=TOP, env=variables, capture_output=True, text=True)
        assert done.stderr.startswith("error: JAX_PLATFORMS=cuda: there is no such device here (its libraries are miss")
        assert len(done.stderr.splitlines()) == 1


def test_a_broken_plugin_of_jax_is_one_line(caplog):
    try:
        raise RuntimeError("Unable to load cuSPARSE.\nIs it installed?")
    except RuntimeError:
        logging.getLogger("jax._src.xla_bridge").exception("Jax plugin configuration error: %s", "cuda")
    assert caplog.records[-1].exc_info is None
    assert "a device cannot be used (Unable to load cuSPARSE. Is it installed?)" in caplog.text


def test_a_setting_that_forbids_what_a_stage_does_is_named(monkeypatch):
    monkeypatch.setenv("JAX_TRANSFER_GUARD", "disallow")
    said = errors.refusal(RuntimeError("INVALID_ARGUMENT: Disallowed host-to-device transfer: of an array"))
    assert (said or "").startswith("JAX_TRANSFER_GUARD: forbids what every stage does")
