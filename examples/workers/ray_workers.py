"""A worker for each GPU of a Ray cluster: `ray job submit -- python ray_workers.py`."""

import subprocess
from pathlib import Path

import ray

WORK = "python -m slimline search work --storage postgresql://you@db/search --remote origin"


@ray.remote(num_gpus=1, max_retries=3)
def work(number: int) -> None:
    """Run a worker in a clone of its own, which is there already where a task is retried."""
    clone = Path(f"worker-{number}").resolve()
    if not clone.exists():
        source = "https://example.org/you/product.git"
        subprocess.run(["git", "clone", source, str(clone)], check=True)
    subprocess.run(WORK.split(), cwd=clone, check=True)


ray.get([work.remote(number) for number in range(8)])
