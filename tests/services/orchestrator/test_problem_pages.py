"""What a problem's `type` leads to."""

import asyncio

import httpx2
import pytest
from fastapi import FastAPI

from services.common.problem_codes import CODES, OF_ERROR, of_status
from services.orchestrator import problem_pages


def get(path: str) -> httpx2.Response:
    app = FastAPI()
    app.include_router(problem_pages.router)

    async def ask() -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page_that_says_what_to_do(code: str) -> None:
    answer = get(CODES[code].uri)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "What to do" in answer.text
    assert str(CODES[code].status.value) in answer.text


def test_the_list_links_all_of_them() -> None:
    text = get("/problems").text
    assert all(f'href="{problem.uri}"' in text for problem in CODES.values())


def test_a_code_that_does_not_exist_is_a_404_and_is_not_repeated() -> None:
    answer = get("/problems/%3Cscript%3E")
    assert answer.status_code == 404
    assert "script" not in answer.text


def test_the_codes_of_version_1_are_still_there() -> None:
    """Clients match them: one may be added, none may go."""
    assert {
        "bad-request", "unauthenticated", "forbidden", "not-found", "method-not-allowed", "not-acceptable",
        "body-too-large", "unsupported-image", "unreadable-image", "invalid-input", "overloaded", "rate-limited",
        "internal-error", "deadline-exceeded", "sign-in-unavailable", "engine-unavailable", "no-image-model",
    } <= CODES.keys()  # fmt: skip
    assert set(CODES.values()) >= set(OF_ERROR.values())


@pytest.mark.parametrize(("status", "code"), [(404, "not-found"), (405, "method-not-allowed"), (418, "internal-error")])
def test_the_frameworks_own_errors_have_a_code(status: int, code: str) -> None:
    assert of_status(status).code == code
