"""A mail through an SMTP server."""

import os
import platform
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid

from labonn.errors import LabonnError
from labonn.instruments.telling import Email
from labonn.jobs.message import Message

_LIMIT_S = 10.0


def send_mail(email: Email, message: Message) -> None:
    """Send a message to everybody who is to get it.

    Raises
    ------
    LabonnError
        If the server cannot be reached or refuses, does not encrypt although it is to, or there is no password.
    """
    where = f"e-mail through {email.host}:{email.port}"
    password = _password(email, where)
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = email.sender
    mail["To"] = ", ".join(email.to)
    mail["Date"] = format_datetime(message.written)
    mail["Message-ID"] = make_msgid(domain=email.sender.rpartition("@")[2])
    mail.set_content(message.text)
    try:
        with _connected(email) as server:
            if email.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if email.user is not None:
                server.login(email.user, password)
            refused = server.send_message(mail)
    except (OSError, smtplib.SMTPException) as error:
        raise LabonnError(f"{where}: not sent: {type(error).__name__}: {error}") from error
    if refused:
        raise LabonnError(f"{where}: refused for {', '.join(refused)}, sent to the others: {refused}")


def _connected(email: Email) -> smtplib.SMTP:
    name = platform.node() or "localhost"  # what it says by default waits for a name server
    if email.security == "tls":
        context = ssl.create_default_context()
        return smtplib.SMTP_SSL(email.host, email.port, local_hostname=name, timeout=_LIMIT_S, context=context)
    return smtplib.SMTP(email.host, email.port, local_hostname=name, timeout=_LIMIT_S)


def _password(email: Email, where: str) -> str:
    if email.password_env is None:
        return ""
    password = os.environ.get(email.password_env)
    if not password:
        raise LabonnError(f"{where}: the password is in no environment variable {email.password_env}")
    return password
