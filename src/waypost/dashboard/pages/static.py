"""The files that pages are made with. They hold nothing of any account, so nobody has to be signed in."""

from litestar import Response, get

from waypost.dashboard.assets import assets
from waypost.dashboard.visit import PageRequest
from waypost.errors import NotFound

FOR_GOOD = "public, max-age=31536000, immutable"  # a year, the most that browsers heed


@get("/static/{name:path}")
async def static(request: PageRequest, name: str, v: str = "") -> Response[bytes]:
    """Give a file; for good when it is asked for by its version, else to be asked for anew each time."""
    asset = assets().get(name.lstrip("/"))
    if asset is None:
        raise NotFound("There is no file of this name.")
    tag = f'"{asset.version}"'
    headers = {
        "cache-control": FOR_GOOD if v == asset.version else "no-cache",
        "content-type": asset.media_type,
        "etag": tag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
        # A drawing that is opened by itself runs nothing.
        "content-security-policy": "default-src 'none'; style-src 'self'",
        "cross-origin-resource-policy": "same-origin",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(b"", status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, headers={**headers, "content-encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


HANDLERS = [static]
