"""`melalog assess`: send an image to a running Melalog and print its assessment."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import httpx2
import typer
from rich.console import Console
from rich.table import Table

from fusion import wording
from services.common.settings import load

console = Console(highlight=False)
STYLES = {"low": "green", "moderate": "yellow", "high": "bold red"}
BAR = 20


def command(
    image: Annotated[
        Path, typer.Argument(help="Image of one lesion: JPEG, PNG, WebP or HEIC.", exists=True, dir_okay=False)
    ],
    answers: Annotated[
        Path | None,
        typer.Option(
            help='JSON file with answers, such as {"age": 47, "fair_skin": "yes"}; see GET /v1/questionnaire.',
            exists=True,
        ),
    ] = None,
    modality: Annotated[str, typer.Option(help="How the image was taken: auto, dermoscopy or photograph.")] = "auto",
    language: Annotated[str, typer.Option(help="Language of the hosted model's explanation: en or de.")] = "en",
    url: Annotated[
        str, typer.Option(envvar="MELALOG_URL", help="Address of the orchestrator. Default: from the settings.")
    ] = "",
    token: Annotated[
        str, typer.Option(envvar="MELALOG_TOKEN", help="API key or bearer token, if the server requires sign-in.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's response as JSON.")] = False,
) -> None:
    """Assess one IMAGE with a running Melalog (start one with `melalog serve`)."""
    settings = load()
    url = url or settings.url(settings.orchestrator_bind_port)
    fields = {"modality": modality, "language": language}
    if answers:
        fields["questionnaire"] = answers.read_text(errors="replace")
    try:
        response = httpx2.post(
            f"{url}/v1/assessments",
            files={"image": (image.name, image.read_bytes())},
            data=fields,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=settings.deadline_s + 60,
            trust_env=False,
        )
    except (httpx2.HTTPError, httpx2.InvalidURL):
        _fail(f"Nothing answers at {url}. Start Melalog with `melalog serve`, or name another address with --url.")
    body = _json(response)
    if as_json:
        print(json.dumps(body, indent=2, ensure_ascii=False))
    elif response.is_success:
        _show(body)
    else:
        field_errors = "".join(f"\n  {e['field']}: {e['message']}" for e in body.get("errors", []))
        wait = f"\n  try again in {seconds} s" if (seconds := response.headers.get("Retry-After")) else ""
        _fail(f"{response.status_code} {body.get('title', '')}: {body.get('detail', '')}{field_errors}{wait}")
    raise typer.Exit(0 if response.is_success else 1)


def _json(response: httpx2.Response) -> dict[str, Any]:
    try:
        body: dict[str, Any] = response.json()
    except ValueError:
        _fail(f"The server there is not Melalog (status {response.status_code}, not JSON).")
    return body


def _fail(message: str) -> Any:
    Console(stderr=True, highlight=False).print(message, style="red", markup=False)
    sys.exit(1)


def _percent(p: float | None) -> str:
    return "-" if p is None else wording.percent(p)


def _show(body: dict[str, Any]) -> None:
    risk, findings = body["risk"], body["findings"]
    low, high = risk["interval"]
    console.print(f"\n[{STYLES[risk['level']]}]{risk['level'].upper()}[/]  {risk['headline']}")
    console.print(
        f"melanoma {_percent(risk['melanoma'])} (90 % interval {_percent(low)} to {_percent(high)}), "
        f"any skin cancer {_percent(risk['malignant'])}\n"
    )
    console.print(risk["advice"] + "\n", markup=False)
    console.print(risk["explanation"] + "\n", markup=False)
    console.print(_contributions(risk["contributions"]))
    console.print(_findings(findings))
    if body["degraded"]:
        console.print(f"[yellow]missing from this assessment: {', '.join(body['degraded'])}[/]")
    console.print(f"[dim]{body['disclaimer']}\ntaken as {body['modality']}; id {body['id']}[/]\n")


def _contributions(contributions: list[dict[str, Any]]) -> Table:
    table = Table(title="contributions (log-odds)", title_justify="left", box=None, show_header=False)
    for part in contributions:
        if part["log_odds"]:
            bar = "█" * min(BAR, round(abs(part["log_odds"]) * 4))
            table.add_row(part["id"], f"{part['log_odds']:+.2f}", bar)
    return table


def _findings(findings: dict[str, Any]) -> Table:
    table = Table(title="findings", title_justify="left", box=None, show_header=False)
    classifier, vlm, image = findings["classifier"], findings["vlm"], findings["picture"]
    classes = sorted((classifier["classes"] or {}).items(), key=lambda item: -item[1])[:3]
    table.add_row("classifier", classifier["status"], ", ".join(f"{name} {_percent(p)}" for name, p in classes))
    confidence = "" if vlm["confidence"] is None else f", confidence {_percent(vlm['confidence'])}"
    calibrated = "" if vlm["melanoma"] is None else f", calibrated: melanoma {_percent(vlm['melanoma'])}"
    table.add_row("vlm", vlm["status"], f"{vlm['answer'] or ''}{confidence}{calibrated}")
    table.add_row("image", image["quality"], ", ".join(image["problems"]))
    return table
