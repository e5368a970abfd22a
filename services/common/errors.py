"""What can go wrong with a request, in the domain's words. HTTP is `problems.py`'s business.

MelalogError
├── BadRequest              the request cannot be read: not multipart, broken JSON, no picture
├── NotAcceptable           no representation the client asked for
├── BodyTooLarge            more bytes than the cap
├── UnsupportedPicture      bytes that are none of the four formats
├── InvalidInput            read, but not usable; names the fields
│   └── UnreadablePicture   empty, truncated, undecodable, too many pixels, too small
├── Unauthenticated         no sign-in, or none that holds
├── Forbidden               signed in, and not allowed to do this
├── Overloaded              shed before any work was done
├── RateLimited             this caller has asked too often
├── SignInDown              the issuer's keys cannot be had, so that nobody can be let in
├── EngineDown              what runs the network gives no usable answer
└── NoPictureEvidence       neither image service could answer
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field, in words for the person who sent it."""

    field: str
    message: str


class MelalogError(Exception):
    """Root of the tree. `detail` is written for the client and never holds upstream text."""

    def __init__(self, detail: str, *errors: FieldError) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's head says of it."""
        return {}


class BadRequest(MelalogError):  # noqa: N818  (the tree reads as the contract's table does)
    """The request cannot be read."""


class NotAcceptable(MelalogError):  # noqa: N818
    """No representation the client asked for."""


class BodyTooLarge(MelalogError):  # noqa: N818
    """More bytes than the cap; reading stopped there."""


class UnsupportedPicture(MelalogError):  # noqa: N818
    """Bytes that are none of JPEG, PNG, WebP and HEIC."""


class InvalidInput(MelalogError):  # noqa: N818
    """Well-formed, but not usable."""


class UnreadablePicture(InvalidInput):
    """A picture of a known format that cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__(message, FieldError("image", message))


class Unauthenticated(MelalogError):  # noqa: N818
    """No sign-in, or none that holds. `error` is RFC 6750's word, none where nothing was sent."""

    def __init__(self, detail: str, error: str = "") -> None:
        super().__init__(detail)
        self.error = error

    @property
    def headers(self) -> dict[str, str]:
        """The challenge."""
        told = f', error="{self.error}", error_description="{self.detail}"' if self.error else ""
        return {"WWW-Authenticate": f'Bearer realm="melalog"{told}'}


class Forbidden(MelalogError):  # noqa: N818
    """Signed in, without the scope this needs."""

    def __init__(self, scope: str) -> None:
        super().__init__("Your sign-in does not cover this; ask who runs this server for access.")
        self.scope = scope

    @property
    def headers(self) -> dict[str, str]:
        """The challenge, with the scope that is missing."""
        return {"WWW-Authenticate": f'Bearer realm="melalog", error="insufficient_scope", scope="{self.scope}"'}


class RetryLater(MelalogError):  # noqa: N818
    """The same request may succeed in a moment."""

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """Retry-After, in seconds."""
        return {"Retry-After": str(self.retry_after_s)}


class Overloaded(RetryLater):
    """Shed before any work was done."""


class RateLimited(RetryLater):
    """One caller has asked too often."""


class SignInDown(RetryLater):
    """The issuer's keys cannot be had."""


class EngineDown(RetryLater):
    """What runs the network gave no usable answer. `reason` is a fixed word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__("The classifier cannot judge pictures at the moment; try again.")
        self.reason = reason


class NoPictureEvidence(RetryLater):
    """Neither image service could answer: there is nothing honest to say."""
