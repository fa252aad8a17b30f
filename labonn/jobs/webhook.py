"""A POST of one JSON object to a web address."""

import json
import os
import urllib.error
import urllib.request

from labonn.errors import LabonnError
from labonn.instruments.telling import Webhook
from labonn.jobs.message import Message

_LIMIT_S = 10.0


def post(webhook: Webhook, message: Message) -> None:
    """Post a message.

    Raises
    ------
    LabonnError
        If nobody answers, the answer is no success, or there is no token.
    """
    where = f"webhook {webhook.url.split('?')[0]}"
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "labonn"}
    if webhook.token_env is not None:
        token = os.environ.get(webhook.token_env)
        if not token:
            raise LabonnError(f"{where}: the token is in no environment variable {webhook.token_env}")
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps(message.content, allow_nan=False).encode("utf-8")
    request = urllib.request.Request(webhook.url, body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=_LIMIT_S):
            pass
    except urllib.error.HTTPError as error:
        with error:
            raise LabonnError(f"{where}: answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise LabonnError(f"{where}: cannot be reached: {error}") from error
