"""The vlm service against the bare engine behind it, in one run: `python -m benchmarks.vlm_engine --url URL/v1`.

Start an engine with `melalog engine`. Both get the same images, in turn, at the same concurrency; the
bare engine gets prepared ones, so the ratio includes decoding, re-encoding, scoring and the extra hop.
"""

import argparse
import base64
import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from rich.progress import track

from benchmarks import load
from benchmarks.run import sample_images
from models.vlm.serving.artifact import VlmArtifact
from models.vlm.serving.preprocess import LLAMA, View
from services.vlm.core import QUESTION, reencode
from services.vlm.engine.openai_server import PNG, TOP_LOGPROBS
from services.vlm.engine.vllm.ready import probe
from tests.conftest import running


def question(image: bytes, model: str, text: str) -> bytes:
    """The request that the service would send for a prepared image."""
    kind = "png" if image.startswith(PNG) else "jpeg"
    url = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
    return json.dumps(
        {
            "model": model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": TOP_LOGPROBS,
        }
    ).encode()


def compare(
    engine: int, service: int, sent: tuple[list[bytes], list[bytes]], n: int, rounds: int, concurrency: int
) -> list[str]:
    """Rounds of each in turn, in alternating order, so that load on the machine affects both alike."""
    ready, raw = sent
    runs: dict[str, Callable[[], load.Load]] = {
        "bare": lambda: load.run(engine, "/v1/chat/completions", ready, "application/json", n, concurrency),
        "service": lambda: load.run(service, "/v1/verdict", raw, "image/jpeg", n, concurrency),
    }
    for run in runs.values():
        run()
    taken: dict[str, list[load.Load]] = {name: [] for name in runs}
    for number in track(range(rounds), description=f"{concurrency} at a time"):
        for name in sorted(runs, reverse=bool(number % 2)):
            taken[name].append(runs[name]())
    pairs = list(zip(taken["service"], taken["bare"], strict=True))
    ratios = [one.rate / other.rate for one, other in pairs]
    lines = []
    for name, loads in taken.items():
        rate = statistics.median(one.rate for one in loads)
        p50, p99 = (statistics.median(one.percentile(q) for one in loads) for q in (50, 99))
        lines.append(f"| {name}, {concurrency} at a time: images/s; ms p50 / p99 | {rate:.1f}; {p50:.0f} / {p99:.0f} |")
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
    lines.append(f"| **service / bare**, median of {rounds} rounds | **{statistics.median(ratios):.2f}** {spread} |")
    return lines


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8100/v1", help="of the engine")
    parser.add_argument("--model", default="melalog", help="its name for the model")
    parser.add_argument("--artifact", type=Path, help="the release it serves (MELALOG_VLM_ARTIFACT)")
    parser.add_argument("-n", type=int, default=100, help="requests per round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    if wrong := probe(args.url, args.model):
        raise SystemExit(f"no engine at {args.url}: {wrong}")
    view, text = View.model_validate(LLAMA), QUESTION
    if args.artifact:
        manifest = VlmArtifact.load(args.artifact).manifest
        view, text = manifest.input, manifest.question
    name, raw = sample_images(min(args.n, 50))
    ready = [question(reencode(one, view), args.model, text) for one in raw]
    environment = {
        "MELALOG_VLM_ENGINE": "openai",
        "MELALOG_VLM_BASE_URL": args.url,
        "MELALOG_VLM_MODEL": args.model,
        "MELALOG_VLM_ARTIFACT": str(args.artifact or ""),
        "MELALOG_DEADLINE_S": "60",
    }
    lines = [f"| {name} | |", "|---|---|"]
    port = urlsplit(args.url).port or 80
    with tempfile.TemporaryDirectory() as folder, running(("vlm",), Path(folder), environment) as system:
        for concurrency in (1, 4, 16):
            lines += compare(port, system.ports["vlm"], (ready, raw), args.n, args.rounds, concurrency)
    print("\n" + "\n".join(lines))


if __name__ == "__main__":
    main()
