"""What the dashboard answers with."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse


class WritableJson(JSONResponse):
    """With `?` for half a character, which clients and jobs may name and UTF-8 cannot say."""

    def render(self, content: Any) -> bytes:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode(errors="replace")
