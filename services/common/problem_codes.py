"""The stable codes of problem+json: what each means, and what a client should do about it.

Codes are added, never renamed, removed or given another meaning; titles and details may change at any time.
"""

from dataclasses import dataclass
from http import HTTPStatus

from services.common import errors


@dataclass(frozen=True)
class ProblemCode:
    """One code: its HTTP status, what happened, and the remedy."""

    code: str
    status: HTTPStatus
    meaning: str
    remedy: str

    @property
    def uri(self) -> str:
        """`type` of the problem: relative to the server that answered, which has a page there."""
        return f"/problems/{self.code}"


_ALL = (
    ProblemCode(
        "bad-request", HTTPStatus.BAD_REQUEST,
        "The request cannot be read: it is not multipart, its JSON is broken, or the image is missing or incomplete.",
        "Correct the request; `errors` names the field. Sending it again unchanged will fail again.",
    ),
    ProblemCode(
        "unauthenticated", HTTPStatus.UNAUTHORIZED,
        "There is no sign-in, or it has expired or is not valid here.",
        "Sign in again; `GET /v1/sign-in` says with whom. `WWW-Authenticate` has the reason.",
    ),
    ProblemCode(
        "forbidden", HTTPStatus.FORBIDDEN,
        "The sign-in is valid but does not cover this request.",
        "Ask the operator for the scope that `WWW-Authenticate` names.",
    ),
    ProblemCode(
        "not-found", HTTPStatus.NOT_FOUND,
        "There is nothing at this path.",
        "Check the path; `/docs` lists what there is.",
    ),
    ProblemCode(
        "method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED,
        "This path does not take this method.",
        "Use a method that the `Allow` header lists.",
    ),
    ProblemCode(
        "not-acceptable", HTTPStatus.NOT_ACCEPTABLE,
        "`Accept` names no representation that this path has.",
        "Ask for `application/json`, or for one that the detail names.",
    ),
    ProblemCode(
        "body-too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The body, or the image in it, has more bytes than the server takes.",
        "Send a smaller image: fewer pixels or stronger compression.",
    ),
    ProblemCode(
        "unsupported-image", HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "The bytes are not JPEG, PNG, WebP or HEIC, whatever the file's name or type says.",
        "Convert the image to one of the four formats.",
    ),
    ProblemCode(
        "unreadable-image", HTTPStatus.UNPROCESSABLE_ENTITY,
        "The image is empty, truncated or damaged, has too many pixels, or is too small.",
        "Take or export the image again.",
    ),
    ProblemCode(
        "invalid-input", HTTPStatus.UNPROCESSABLE_ENTITY,
        "A field has a value that is not allowed, or is not known here.",
        "Correct the fields in `errors`.",
    ),
    ProblemCode(
        "overloaded", HTTPStatus.TOO_MANY_REQUESTS,
        "The server has too much to do; nothing was done for this request.",
        "Send it again after `Retry-After` seconds, and slow down.",
    ),
    ProblemCode(
        "rate-limited", HTTPStatus.TOO_MANY_REQUESTS,
        "This caller has sent more requests than the operator allows.",
        "Send it again after `Retry-After` seconds.",
    ),
    ProblemCode(
        "internal-error", HTTPStatus.INTERNAL_SERVER_ERROR,
        "A bug of ours.",
        "Report it with the request id. Sending the same request again may fail again.",
    ),
    ProblemCode(
        "deadline-exceeded", HTTPStatus.SERVICE_UNAVAILABLE,
        "There was not enough time to answer.",
        "Send it again after `Retry-After` seconds.",
    ),
    ProblemCode(
        "sign-in-unavailable", HTTPStatus.SERVICE_UNAVAILABLE,
        "The issuer's keys cannot be fetched, so that no sign-in can be checked.",
        "Send it again after `Retry-After` seconds. The sign-in itself may be valid.",
    ),
    ProblemCode(
        "engine-unavailable", HTTPStatus.SERVICE_UNAVAILABLE,
        "What runs the model does not answer.",
        "Send it again after `Retry-After` seconds; operators see `/healthz/dependencies`.",
    ),
    ProblemCode(
        "no-image-model", HTTPStatus.SERVICE_UNAVAILABLE,
        "No model can judge the image at the moment. There is no assessment, rather than one without the image.",
        "Send it again after `Retry-After` seconds.",
    ),
)  # fmt: skip
CODES = {problem.code: problem for problem in _ALL}

OF_ERROR: dict[type[Exception], ProblemCode] = {
    errors.BadRequest: CODES["bad-request"],
    errors.Unauthenticated: CODES["unauthenticated"],
    errors.Forbidden: CODES["forbidden"],
    errors.NotAcceptable: CODES["not-acceptable"],
    errors.BodyTooLarge: CODES["body-too-large"],
    errors.UnsupportedPicture: CODES["unsupported-image"],
    errors.InvalidInput: CODES["invalid-input"],
    errors.UnreadablePicture: CODES["unreadable-image"],
    errors.Overloaded: CODES["overloaded"],
    errors.RateLimited: CODES["rate-limited"],
    errors.SignInDown: CODES["sign-in-unavailable"],
    errors.EngineDown: CODES["engine-unavailable"],
    errors.NoPictureEvidence: CODES["no-image-model"],
}
"""For each error of the tree."""


def of_status(status: int) -> ProblemCode:
    """For an answer of the framework, which has a status only: the first code with it, else internal-error."""
    return next((problem for problem in _ALL if problem.status == status), CODES["internal-error"])
