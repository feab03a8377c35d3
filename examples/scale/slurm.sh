#!/bin/bash
# A batch as a Slurm array: one task for each part. The folder must be on a file system that all
# nodes share.
#
#   sbatch --array=1-8 examples/scale/slurm.sh tickets.jsonl out -c triage.yaml --key /id
#
# Two minutes before its time limit, a task gets SIGUSR1: crew starts no new input, waits for those
# in flight, and exits with 75. The task is then queued again and continues. Should some tasks be
# lost, submit only these (--array=3,7) with the same folder: they are the same parts.
#SBATCH --job-name=crew
#SBATCH --time=01:00:00
# To the steps of the job, that is to crew below, not to this script.
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append

srun --ntasks=1 crew batch run "$1" --out "$2" --partition auto --drain 90s "${@:3}"
status=$?
if [ "$status" -eq 75 ]; then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}"
fi
exit "$status"
