"""A server of the S3 API of our own, moto's: `pip install --group object-storage`, pip 25.1."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

BUCKET = "slimline"


@contextmanager
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield the URL of a server with an empty bucket; our environment has keys for it meanwhile."""
    reason = "pip 25.1 or newer: pip install --group object-storage"
    pytest.importorskip("dvc_s3", reason=reason)
    moto = pytest.importorskip("moto.server", reason=reason)
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}
    for name, value in (keys | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://127.0.0.1:{port}" if host == "0.0.0.0" else f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url).create_bucket(Bucket=BUCKET)
    try:
        yield url
    finally:
        server.stop()
