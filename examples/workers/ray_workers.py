"""A worker for each GPU of a Ray cluster: `ray job submit -- python ray_workers.py`."""

import subprocess
from pathlib import Path

import ray

WORK = "python -m slimline search work --storage postgresql://you@db/search --remote origin"


@ray.remote(num_gpus=1, max_retries=3)
def work(number: int) -> None:
    """Clone the repository and run a worker in it."""
    clone = Path(f"worker-{number}").resolve()
    subprocess.run(["git", "clone", "https://example.org/you/product.git", str(clone)], check=True)
    subprocess.run(WORK.split(), cwd=clone, check=True)


ray.get([work.remote(number) for number in range(8)])
