"""A PostgreSQL of our own, where its programs are installed (Debian: `postgresql`)."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def _programs() -> Path | None:
    """The newest version's folder; Debian keeps it off the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def running() -> Iterator[str]:
    """Yield the URL of an empty database; it is gone afterwards."""
    programs = _programs()
    if programs is None:
        pytest.skip("there is no PostgreSQL here")
    # It refuses to run as root.
    options: dict[str, Any] = {"user": "postgres"} if os.getuid() == 0 else {}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp())
    try:
        if options:
            shutil.chown(folder, options["user"])
        data = str(folder / "data")

        def call(program: str, *arguments: str) -> None:
            # Its server would hold a pipe open.
            with (folder.parent / f"{folder.name}.log").open("a") as log:
                subprocess.run(
                    [str(programs / program), *arguments],
                    check=True,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **options,
                )

        call("initdb", "--auth=trust", "--username=you", "--no-sync", data)
        server = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        call("pg_ctl", "-D", data, "-o", server, "-w", "start")
        try:
            call("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "you", "search")
            yield f"postgresql://you@127.0.0.1:{port}/search"
        finally:
            call("pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
        (folder.parent / f"{folder.name}.log").unlink(missing_ok=True)
