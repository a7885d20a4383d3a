#!/bin/sh
# Compiles the lock files from pyproject.toml.
# What holds for all of them stands there, under [tool.uv.pip]. Pins that still fit stay as they
# are; remove the files first to renew them all.
#   tools/lock.sh PYTHON UV TORCH_INDEX
set -eu
python=$1 uv=$2 torch_index=$3

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet "$uv"

compile() {
	"$folder/venv/bin/uv" pip compile --quiet "$@"
}

# What a run needs, with torch from the ordinary index.
compile pyproject.toml --output-file requirements.lock

# The same without torch and what it brings for CUDA.
printf 'torch\ntorchvision\n' > "$folder/torch.txt"
compile pyproject.toml --excludes "$folder/torch.txt" --constraints requirements.lock \
	--output-file requirements-cpu.lock

# Optuna and what it needs, for who searches.
compile --group search --constraints requirements.lock --output-file requirements-search.lock

compile --group development --constraints requirements.lock \
	--output-file requirements-development.lock

# What a target needs beyond requirements.lock, a file for each extra of that name.
sed -n -E 's/^([A-Za-z0-9._-]+)==.*/\1/p' requirements.lock > "$folder/run.txt"
for extra in executorch litert; do
	compile pyproject.toml --extra "$extra" --excludes "$folder/run.txt" \
		--constraints requirements.lock --constraints requirements-development.lock \
		--output-file "requirements-$extra.lock"
done

# Torch for the CPU alone, in the same versions. Where its index cannot be reached, the pins are
# written without hashes; pip then goes by those that the index states itself.
sed -n -E 's/^(torch|torchvision)==([^ ]+).*/\1==\2+cpu/p' requirements.lock > "$folder/cpu.txt"
if ! compile "$folder/cpu.txt" --no-deps --no-annotate --index-url "$torch_index" \
	--output-file requirements-torch-cpu.lock 2> "$folder/why.txt"; then
	{
		echo "# Written by make lock, without hashes: torch's own index could not be reached."
		cat "$folder/cpu.txt"
	} > requirements-torch-cpu.lock
	echo >&2 "$torch_index cannot be reached: requirements-torch-cpu.lock has no hashes"
fi
