"""A request whose body is limited in size and depth, and strictly read."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from duly.errors import PayloadError
from duly.model import payload

MAX_BODY_BYTES = 256 * 1024
MAX_BODY_DEPTH = payload.MAX_DEPTH + 8
"""Arguments may be as deep as is stored, inside the object that carries them."""


class BoundedRequest(Request):
    """A request that refuses bodies that are too large, too deep or not strictly JSON."""

    async def body(self) -> bytes:
        """Read the whole body.

        Raises:
            HTTPException: 413, it is larger than 256 KiB.
        """
        if not hasattr(self, "_body"):
            chunks, size = [], 0
            async for chunk in self.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise HTTPException(
                        413, f"The body is larger than {MAX_BODY_BYTES} bytes; send less at once."
                    )
                chunks.append(chunk)
            self._body = b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        """Read the body as JSON without NaN, infinity or excessive nesting.

        Raises:
            HTTPException: 413, it is too large; 422, it is not such JSON.
        """
        try:
            return payload.decode(await self.body(), max_depth=MAX_BODY_DEPTH)
        except PayloadError as error:
            raise HTTPException(422, f"The body is {error}.") from error

    async def refuse_other_media(self, media_type: str) -> None:
        """Refuse a body of another media type, which a browser might send for another site.

        Raises:
            HTTPException: 413, the body is too large; 415, it is not of the media type.
        """
        given = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if given != media_type and await self.body():
            raise HTTPException(415, f"The body must be {media_type}; set Content-Type to that.")
