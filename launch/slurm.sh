#!/bin/bash
# Slurm: `sbatch launch/slurm.sh`, after `make repro` has made the environment, from a folder that all nodes see.
# Run: on Slurm 22.05, one node without GPUs, `sbatch --nodes=1 --ntasks-per-node=2 --gpus-per-node=0 launch/slurm.sh`.
#
# One task a GPU: JAX gives each task the GPU of its number on the node. training.mesh has to make 16 of them. Two
# minutes before its time is up, or when it is preempted, the run saves, and resumes when Slurm starts the job again.
#SBATCH --job-name=train --nodes=2 --ntasks-per-node=8 --gpus-per-node=8
#SBATCH --time=24:00:00 --signal=B:TERM@120 --requeue --open-mode=append --output=train-%j.log

export PATH="$PWD/.venv/bin:$PATH" LAUNCH="srun --kill-on-bad-exit=1"
trap 'stopped=yes; scancel --signal=TERM "$SLURM_JOB_ID"' TERM # to the tasks: they save and end

dvc repro &
wait $!
code=$?
if [ "$stopped" ]; then
    wait $!
    scontrol requeue "$SLURM_JOB_ID"
fi
exit $code
