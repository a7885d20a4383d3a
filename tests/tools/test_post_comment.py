"""Against a real HTTP server that keeps pull requests and comments as GitHub does."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import toy

MARKER = "<!-- slimline: this comment is renewed by each run -->"
BOT = "github-actions[bot]"
RUN = {
    "head_sha": "a" * 40,
    "head_branch": "topic/1",
    "head_repository": {"owner": {"login": "someone"}},
    "html_url": "https://example.org/runs/1",
}


class GitHub(ThreadingHTTPServer):
    """Pull requests and comments of one repository; `requests` are those that were made."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pulls = [{"number": 7, "head": {"sha": RUN["head_sha"]}}]
        self.comments: dict[int, list[dict[str, Any]]] = {7: [], 8: []}
        self.requests: list[tuple[str, str]] = []

    def write(self, number: int, author: str, body: str) -> None:
        id_ = 100 + sum(map(len, self.comments.values()))
        self.comments[number].append({"id": id_, "user": {"login": author}, "body": body})

    def bodies(self, number: int = 7) -> list[str]:
        return [each["body"] for each in self.comments[number]]


class Handler(BaseHTTPRequestHandler):
    server: GitHub

    def do_GET(self) -> None:
        path, asked = self._asked()
        if path == ["pulls"]:
            mine = asked["head"] == ["someone:topic/1"] and asked["state"] == ["open"]
            self._answer(200, self.server.pulls if mine else [])
        else:
            count, page = int(asked["per_page"][0]), int(asked["page"][0])
            comments = self.server.comments[int(path[1])]
            self._answer(200, comments[count * (page - 1) : count * page])

    def do_POST(self) -> None:
        path, _ = self._asked()
        self.server.write(int(path[1]), BOT, self._body())
        self._answer(201, {})

    def do_PATCH(self) -> None:
        path, _ = self._asked()
        all_comments = (each for some in self.server.comments.values() for each in some)
        (comment,) = (each for each in all_comments if each["id"] == int(path[2]))
        comment["body"] = self._body()
        self._answer(200, {})

    def _asked(self) -> tuple[list[str], dict[str, list[str]]]:
        assert self.headers["Authorization"] == "Bearer secret"
        url = urlsplit(self.path)
        path = url.path.removeprefix("/repos/us/slimline/")
        self.server.requests.append((self.command, path))
        return path.split("/"), parse_qs(url.query)

    def _body(self) -> str:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        assert len(body) <= 65_536
        return body

    def _answer(self, status: int, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def post(github: GitHub, folder: Path, text: str, run: Mapping[str, Any] = RUN) -> str:
    (folder / "comment.md").write_text(text)
    (folder / "event.json").write_text(json.dumps({"workflow_run": run}))
    done = subprocess.run(
        [sys.executable, "-I", toy.ROOT / "tools/post_comment.py", "comment.md"],
        cwd=folder,
        env=os.environ
        | {
            "GITHUB_API_URL": f"http://127.0.0.1:{github.server_port}",
            "GITHUB_EVENT_PATH": "event.json",
            "GITHUB_REPOSITORY": "us/slimline",
            "GITHUB_TOKEN": "secret",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_run_writes_a_comment_and_the_next_ones_renew_it(
    github: GitHub, tmp_path: Path
) -> None:
    github.write(7, "someone", "Please have a look.")
    assert post(github, tmp_path, "## First\n") == "posted to pull request 7\n"
    post(github, tmp_path, "## Second\n")
    origin = "Of commit aaaaaaaaaa, by [this run](https://example.org/runs/1).\n"
    assert github.bodies() == ["Please have a look.", f"{MARKER}\n## Second\n\n{origin}"]
    assert [method for method, _ in github.requests if method != "GET"] == ["POST", "PATCH"]


def test_it_is_found_among_many(github: GitHub, tmp_path: Path) -> None:
    for number in range(150):
        github.write(7, "someone", f"{number}")
    github.write(7, BOT, f"{MARKER}\nold")
    for number in range(100):
        github.write(7, "someone", f"{number}")
    post(github, tmp_path, "new")
    assert len(github.bodies()) == 251
    assert github.bodies()[150].startswith(f"{MARKER}\nnew\n")


def test_comments_of_others_stay_as_they_are(github: GitHub, tmp_path: Path) -> None:
    github.write(7, "someone", f"{MARKER}\nquoted")
    github.write(7, BOT, f"Of another workflow. {MARKER}")
    github.write(8, BOT, f"{MARKER}\nof another pull request")
    before = [*github.bodies(), *github.bodies(8)]
    post(github, tmp_path, "new")
    assert [*github.bodies()[:2], *github.bodies(8)] == before
    assert len(github.bodies()) == 3


def test_a_pull_request_that_moved_on_is_left_alone(github: GitHub, tmp_path: Path) -> None:
    github.pulls[0]["head"] = {"sha": "b" * 40}
    assert "it has moved on, or is closed" in post(github, tmp_path, "old")
    assert github.bodies() == []


def test_a_fork_that_is_gone_is_told(github: GitHub, tmp_path: Path) -> None:
    told = post(github, tmp_path, "late", RUN | {"head_repository": None})
    assert told == "the repository that the run was of is gone: there is nothing to comment on\n"
    assert github.requests == []


def test_a_hostile_text_can_only_be_text(github: GitHub, tmp_path: Path) -> None:
    hostile = f"{MARKER} @octocat #8 " + "@\N{SNOWMAN}" * 200_000
    post(github, tmp_path, hostile)
    (body,) = github.bodies()
    assert "@octocat" not in body
    assert "The rest is left out." in body
    assert body.endswith("by [this run](https://example.org/runs/1).\n")
    post(github, tmp_path, "short")
    assert len(github.bodies()) == 1
