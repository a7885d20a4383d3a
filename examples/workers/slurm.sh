#!/bin/bash
#SBATCH --job-name=search --array=1-16 --gres=gpu:1 --cpus-per-task=8 --time=12:00:00 --requeue
# Each in a clone on its node's own disk, with the packages of one environment: sbatch slurm.sh
set -eu
clone="$TMPDIR/worker-$SLURM_ARRAY_TASK_ID"
# Begun anew on the same node, the job finds its clone, and goes on with its own trial at once.
[ -d "$clone" ] || git clone --quiet https://example.org/you/product.git "$clone"
cd "$clone"
. "$HOME/slimline-venv/bin/activate"
python -m slimline search work --storage postgresql://you@db/search --remote origin
