#!/bin/sh
# A worker on each host that has a clone with its .venv in ~/worker: ssh.sh gpu1 gpu2 gpu3
set -eu
for host in "$@"; do
	ssh "$host" "cd worker && git pull --quiet && . .venv/bin/activate &&
		nohup python -m slimline search work --storage postgresql://you@db/search --remote origin \
		> search.log 2>&1 < /dev/null &"
done
