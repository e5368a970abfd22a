"""`GET /problems/<code>`: what a problem's `type` leads to. A plain page without scripts or assets."""

from html import escape

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from services.common.problem_codes import CODES, ProblemCode

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
router = APIRouter(include_in_schema=False)


@router.get("/problems")
async def index() -> HTMLResponse:
    """All codes."""
    items = "".join(f'<li><a href="{one.uri}">{one.code}</a> ({one.status.value})</li>' for one in CODES.values())
    return _page("Problems", f"<p>Codes of this API's errors. They are stable.</p><ul>{items}</ul>")


@router.get("/problems/{code}")
async def page(code: str) -> HTMLResponse:
    """One code. Raises HTTPException (404)."""
    if code not in CODES:
        raise HTTPException(404)
    return _page(code, _text(CODES[code]))


def _text(problem: ProblemCode) -> str:
    status = f"{problem.status.value} {problem.status.phrase}"
    parts = {"Status": status, "What happened": problem.meaning, "What to do": problem.remedy}
    return "".join(f"<h2>{name}</h2><p>{escape(text)}</p>" for name, text in parts.items())


def _page(title: str, body: str) -> HTMLResponse:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}: Melalog</title>'
    return HTMLResponse(f"{head}<h1>{title}</h1>{body}</html>", headers=HEADERS)
