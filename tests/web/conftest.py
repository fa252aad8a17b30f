"""A laboratory with its page, and who visits it; made once for all tests of the page."""

import os
import shutil
from pathlib import Path

import pytest

from labonn.web.users import UserEntry, hash_password, write_users

from .laboratory import laboratory
from .server import chromium, served
from .visiting import PASSWORD, log_in, new_page

PROTOCOLS = Path(__file__).parent / "protocols"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with laboratory(tmp_path_factory.mktemp("web"), f"web-{os.getpid()}", small=True) as made:
        shutil.copytree(PROTOCOLS, made.lab / "protocols")
        yield made


@pytest.fixture(scope="module")
def users(tmp_path_factory):
    file = tmp_path_factory.mktemp("users") / "users.toml"
    roles = {"anna": "operator", "otto": "operator", "vera": "viewer"}
    write_users(file, [UserEntry(name=n, role=r, password=hash_password(PASSWORD)) for n, r in roles.items()])
    return file


@pytest.fixture(scope="module")
def server(lab, users):
    with served(lab.lab, "--users", str(users), "--bench", str(lab.bench)) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def complaints():
    return []


@pytest.fixture(scope="module")
def visitor(browser, server, complaints):
    """Let somebody in, in a browser of their own."""
    contexts = {}

    def visit(name, path="/", **options):
        key = (name, str(options))
        if key not in contexts:
            contexts[key] = browser.new_context(**options)
            page = log_in(new_page(contexts[key], server, complaints), server, name)
            page.get_by_text(f"{name}, ").first.wait_for()  # not before the cookie has come
            page.close()
        page = new_page(contexts[key], server, complaints)
        page.goto(server.address.rstrip("/") + path)
        return page

    return visit
