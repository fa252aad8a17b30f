"""The table ``[schedule.tell]`` of a bench file: who is told what became of a job."""

from typing import Literal, Self

from pydantic import Field, model_validator

from labonn.config import Frozen

Event = Literal["done", "refused", "failed", "aborted", "lost", "left", "watch"]

_ADDRESS = r"^[^@\s<>,]+@[^@\s<>,]+$"


class Email(Frozen):
    """A mail through an SMTP server."""

    to: tuple[str, ...] = Field(min_length=1)
    sender: str = Field(pattern=_ADDRESS, alias="from")
    host: str = Field(min_length=1, description="the SMTP server")
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="none: a server on this computer")
    user: str | None = None
    password_env: str | None = Field(None, description="the environment variable that holds the password")

    @model_validator(mode="after")
    def _are_addresses(self) -> Self:
        for address in self.to:
            if address.count("@") != 1 or any(mark in address for mark in " \r\n<>,"):
                raise ValueError(f"to: {address!r} is no address; write each as 'ann@example.org'")
        if (self.user is None) != (self.password_env is None):
            raise ValueError("user and password_env: give both, or neither")
        return self


class Webhook(Frozen):
    """A POST of one JSON object."""

    url: str = Field(pattern=r"^https?://[^\s/]+")
    token_env: str | None = Field(None, description="the environment variable that holds a bearer token")


class Tell(Frozen):
    """Who is told. The log of jobs, in the laboratory's folder, is always written."""

    on: tuple[Event, ...] = Field(
        ("refused", "failed", "lost", "left", "watch"),
        description="what is told; left: a bench that somebody left lit; watch: the watch for drift failed",
    )
    email: Email | None = None
    webhooks: tuple[Webhook, ...] = ()
