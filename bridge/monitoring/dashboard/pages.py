"""The page itself, its files, logging in and out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from bridge.monitoring.dashboard.requests import (
    fields_of,
)
from bridge.monitoring.dashboard.responses import HEADERS
from bridge.monitoring.dashboard.session import (
    BROWSER_COOKIE,
    BROWSER_LIFE,
    COOKIE,
    LIFE,
    SessionGuard,
)

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
STATIC = frozenset(file.name for file in FOLDER.iterdir() if file.suffix in TYPES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """`path` without slashes around it."""

    path: str
    access: SessionGuard

    async def page(self, request: Request) -> Response:
        token = request.query_params.get("token")
        if token is not None and request.method == "GET":  # a HEAD request uses no link up
            session = self.access.follow_link(request, token)
            if session is not None:
                answer: Response = RedirectResponse(f"/{self.path}", status_code=303, headers=HEADERS)
                self._set_cookie(answer, request, COOKIE, session, LIFE)
                return answer
        allowed = self.access.session(request) is not None
        gate = self.access.gate
        if gate is not None and not allowed and not request.query_params.keys() & {"token", "password"}:
            return RedirectResponse(gate, status_code=303, headers=HEADERS)
        name = "page.html" if allowed else "login.html" if self.access.has_password else "closed.html"
        text = (FOLDER / name).read_text(encoding="utf-8").replace("{{ base }}", f"/{self.path}")
        status = 403 if name == "closed.html" else 200
        return Response(text, status, media_type="text/html", headers=HEADERS)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404)
        file = FOLDER / name
        headers = {**HEADERS, "Cache-Control": "no-cache"}
        return Response(file.read_bytes(), media_type=TYPES[file.suffix], headers=headers)

    async def log_in(self, request: Request) -> Response:
        fields = await fields_of(request)
        session, browser = self.access.log_in(request, str(fields.get("password", "")))
        answer = JSONResponse({}, headers=HEADERS)
        self._set_cookie(answer, request, COOKIE, session, LIFE)
        self._set_cookie(answer, request, BROWSER_COOKIE, browser, BROWSER_LIFE)
        return answer

    async def log_out(self, request: Request) -> Response:
        self.access.log_out(request)
        answer = JSONResponse({}, headers=HEADERS)
        answer.delete_cookie(COOKIE, path=f"/{self.path}")
        return answer

    def _set_cookie(self, answer: Response, request: Request, name: str, value: str, life: int) -> None:
        """Sets a cookie out of reach for scripts and other sites; `life` in seconds."""
        is_secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto", ""))
        answer.set_cookie(
            name, value, max_age=life, path=f"/{self.path}", httponly=True, samesite="lax", secure=is_secure
        )
