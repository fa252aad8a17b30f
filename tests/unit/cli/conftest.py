"""Commands in this process, and the answers that they give to programs."""

import json

import pytest

from labonn.cli import main


@pytest.fixture
def answer(monkeypatch):
    """Give what a command answers with --json; its stdout itself is looked at in processes of its own."""
    answers = []

    class Kept:
        def __init__(self, *, for_programs):
            assert for_programs

        def give(self, answer):
            answers.append(answer)

    def answer(*arguments):
        with monkeypatch.context() as patched:
            patched.setattr("labonn.cli.entry.Stdout", Kept)
            exit_code = main([*map(str, arguments), "--json"])
        given = answers.pop()
        assert given.exit_code == exit_code
        return json.loads(json.dumps({**given.content, "exit_code": exit_code, "error": given.error}))

    return answer
