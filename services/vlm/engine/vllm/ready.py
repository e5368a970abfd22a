"""Whether an engine answers about a picture: `python ready.py http://127.0.0.1:8100/v1 melalog`. Standard library only.

vLLM's own /health says that its process runs, and its /v1/models that it has read a configuration. This asks what will
be asked: one small picture, one token, its distribution.
"""

import base64
import json
import struct
import sys
import urllib.error
import urllib.request
import zlib

SIDE = 112
TIMEOUT_S = 10.0
_USAGE = 2


def picture() -> bytes:
    """A grey PNG, made here so that the probe needs no file."""
    rows = (b"\x00" + b"\x80\x80\x80" * SIDE) * SIDE
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    told = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(told)


def probe(url: str, model: str, timeout_s: float = TIMEOUT_S) -> str:
    """Why this engine is not ready; empty when it is. Never what the engine itself said."""
    image = "data:image/png;base64," + base64.b64encode(picture()).decode()
    content = [{"type": "image_url", "image_url": {"url": image}}, {"type": "text", "text": "Answer Yes or No."}]
    asked = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 20,
    }
    request = urllib.request.Request(  # noqa: S310  (the address is the operator's)
        url.rstrip("/") + "/chat/completions", json.dumps(asked).encode(), {"Content-Type": "application/json"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=timeout_s) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        return f"it does not serve {model!r}" if error.code == 404 else f"it answered {error.code}"  # noqa: PLR2004
    except (OSError, ValueError) as error:
        return f"no answer ({type(error).__name__})"
    try:
        listed = body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    except (KeyError, IndexError, TypeError):
        listed = None
    return "" if listed else "it answered without logprobs"


def main() -> int:
    """Exit status of a probe: 0 ready, 1 not."""
    if len(sys.argv) != 1 + _USAGE:
        print("usage: ready.py URL MODEL", file=sys.stderr)  # noqa: T201
        return _USAGE
    if wrong := probe(sys.argv[1], sys.argv[2]):
        print(wrong, file=sys.stderr)  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
