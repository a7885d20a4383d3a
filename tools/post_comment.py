"""Post the comment of a pull request, or renew the one that is there.

  python tools/post_comment.py comment.md

is what .github/workflows/comment.yml runs, with a token that may write, after report.yml has run
without one. The text comes from code that anyone may propose, so nothing in it is trusted: which
pull request it belongs to is found by GitHub's own account of the run, and it can mention nobody.

GITHUB_EVENT_PATH, GITHUB_API_URL, GITHUB_REPOSITORY are set in every workflow; GITHUB_TOKEN is the
token.
"""

import json
import os
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

MARKER = "<!-- slimline: this comment is renewed by each run -->"
AUTHOR = "github-actions[bot]"
PER_PAGE = 100
MOST_CHARACTERS = 65_000
"""GitHub refuses a comment of more than 65,536, and marker and origin need room."""


@dataclass(frozen=True)
class Api:
    """GitHub's REST API, as far as comments need it."""

    root: str
    """As `https://api.github.com/repos/OWNER/NAME`."""
    token: str

    def pulls(self, owner: str, branch: str) -> list[dict[str, Any]]:
        """Return the open pull requests of a branch, which may be of a fork."""
        head = quote(f"{owner}:{branch}", safe="")
        found: list[dict[str, Any]] = self._send("GET", f"pulls?state=open&head={head}")
        return found

    def comment_of_ours(self, number: int) -> int | None:
        """Return the id of the comment that an earlier run wrote."""
        page = 1
        while True:
            asked = f"issues/{number}/comments?per_page={PER_PAGE}&page={page}"
            comments = self._send("GET", asked)
            for each in comments:
                if each["user"]["login"] == AUTHOR and each["body"].startswith(MARKER):
                    return int(each["id"])
            if len(comments) < PER_PAGE:
                return None
            page += 1

    def post(self, number: int, body: str) -> None:
        """Write a comment, or write it anew."""
        comment = self.comment_of_ours(number)
        if comment is None:
            self._send("POST", f"issues/{number}/comments", {"body": body})
        else:
            self._send("PATCH", f"issues/comments/{comment}", {"body": body})

    def _send(self, method: str, path: str, content: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the root is GitHub's own
            f"{self.root}/{path}",
            method=method,
            data=None if content is None else json.dumps(content).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - as above
            return json.load(answer)


def main(source: Path, run: dict[str, Any], api: Api) -> None:
    """Post to every open pull request whose last commit is the one that was run."""
    body = compose(source.read_text(encoding="utf-8", errors="replace"), run)
    if run["head_repository"] is None:
        print("the repository that the run was of is gone: there is nothing to comment on")
        return
    pulls = api.pulls(run["head_repository"]["owner"]["login"], run["head_branch"])
    numbers = [int(each["number"]) for each in pulls if each["head"]["sha"] == run["head_sha"]]
    for number in numbers:
        api.post(number, body)
        print(f"posted to pull request {number}")
    if not numbers:
        print(f"no open pull request ends at {run['head_sha']}: it has moved on, or is closed")


def compose(text: str, run: dict[str, Any]) -> str:
    """Return the text with our marker before it, and where it comes from after it."""
    text = text.rstrip().replace("@", "@\N{ZERO WIDTH SPACE}")
    if len(text) > MOST_CHARACTERS:
        text = f"{text[:MOST_CHARACTERS]}\n\nThe rest is left out."
    origin = f"Of commit {run['head_sha'][:10]}, by [this run]({run['html_url']})."
    return f"{MARKER}\n{text}\n\n{origin}\n"


if __name__ == "__main__":
    event = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    repository = f"{os.environ['GITHUB_API_URL']}/repos/{os.environ['GITHUB_REPOSITORY']}"
    api = Api(repository, os.environ["GITHUB_TOKEN"])
    main(Path(sys.argv[1]), event["workflow_run"], api)
