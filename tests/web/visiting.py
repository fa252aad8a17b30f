"""What somebody does at the page, in a browser."""

import json
from urllib.parse import urlsplit

from .server import words_of

PASSWORD = "correct horse"
LONG_MS = 240_000  # on a computer that does much else


def new_page(context, server, complaints):
    page = context.new_page()
    page.set_default_timeout(LONG_MS)

    def heard(message):
        complaints.extend(words_of([message]))

    def asked(request):
        if urlsplit(request.url).netloc not in (urlsplit(server.address).netloc, ""):
            complaints.append(f"asked {request.url}")

    page.on("console", heard)
    page.on("request", asked)
    return page


def log_in(page, server, name, password=PASSWORD):
    page.goto(server.address)
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    return page


def record(lab, run):
    return json.loads((lab.lab / "runs" / run / "run.json").read_text(encoding="utf-8"))


def start(page, protocol, **settings):
    """Start a protocol through its form; gives its run."""
    page.goto(f"{origin(page)}/run?protocol={protocol}")
    for key, value in settings.items():
        page.get_by_label(key.replace("_", " "), exact=True).fill(str(value))
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/runs/2*")
    return page.url.rpartition("/")[2].partition("?")[0]


def origin(page):
    return page.url.split("/", 3)[0] + "//" + urlsplit(page.url).netloc


def make_dark(page):
    return page.get_by_role("button", name="dark now")
