#!/bin/sh
# Prints the Python to make .venv with.
# The one that $PYTHON names, else the newest supported one that is here, else one that uv has or
# brings. Exits 2 with a sentence where there is none.
set -eu

# As requires-python in pyproject.toml says; newest first.
NAMES="python3.14 python3.13 python3.12 python3.11 python3 python"
RANGE=">=3.11,<3.15"
# Prints the interpreter itself, not that of a .venv which happens to be first on the path.
# Exits 3 if its version is not supported, 4 if it cannot make a virtual environment.
LOOK='
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 14):
    sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(4)
print(sys._base_executable)
'

if [ -n "${PYTHON:-}" ]; then
	status=0
	"$PYTHON" -c "$LOOK" 2> /dev/null || status=$?
	case $status in
	0) exit 0 ;;
	3) problem="is not of a version from 3.11 to 3.14" ;;
	4) problem="cannot make a virtual environment (on Debian and Ubuntu: apt install python3-venv)" ;;
	*) problem="cannot be run" ;;
	esac
	echo >&2 "PYTHON=$PYTHON $problem: leave PYTHON out, and make takes the newest that is there"
	exit 2
fi

bare=
for name in $NAMES; do
	status=0
	"$name" -c "$LOOK" 2> /dev/null || status=$?
	[ $status -ne 0 ] || exit 0
	[ $status -ne 4 ] || bare=${bare:-$name}
done

if command -v uv > /dev/null; then
	uv python find --quiet --no-project --managed-python "$RANGE" 2> /dev/null && exit 0
	echo >&2 "no Python from 3.11 to 3.14 is on the path: uv brings one"
	uv python install --quiet "$RANGE" >&2 && uv python find --no-project --managed-python "$RANGE" \
		&& exit 0
	echo >&2 "uv cannot bring a Python, why, it says above: install one from 3.11 to 3.14"
	exit 2
fi

if [ -n "$bare" ]; then
	echo >&2 "$bare cannot make a virtual environment: install the package python3-venv (or uv)"
else
	echo >&2 "no Python from 3.11 to 3.14 is on the path: install one, or uv, which brings one"
fi
exit 2
