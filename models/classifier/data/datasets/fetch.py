"""Downloading a data set by the Kaggle client, where it is installed and may log in."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from models.classifier.data.datasets.dataset import DataSet
from models.common.files import new_folder

CLIENT = "install it beside Melalog, in its folder: .venv/bin/uv pip install -e '.[datasets]'"
LOG_IN = (
    "make an API token in the settings of your account on kaggle.com and save it as ~/.kaggle/kaggle.json "
    "(or set KAGGLE_USERNAME and KAGGLE_KEY)"
)


class FetchError(RuntimeError):
    """It cannot be downloaded from here; the message says what to do."""


def fetch(dataset: DataSet, out: Path) -> None:
    """Download and unpack into the folder `out`, which is there only when all of it is. Raises FetchError."""
    if out.exists():
        raise FetchError(f"{out} is there already: name another folder, or remove it first")
    client = _client(dataset)
    try:
        with new_folder(out) as unfinished:
            _download(client, dataset, unfinished)
            for archive in sorted(unfinished.glob("*.zip")):
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(unfinished)
                archive.unlink()
    except zipfile.BadZipFile as error:
        raise FetchError(f"the download of {dataset.name} is no zip archive: try again") from error


def _client(dataset: DataSet) -> str:
    """The client's path. Raises FetchError with what is to be done by hand."""
    by_hand = f"Or download it from {dataset.page} and unpack it. Expected there: {dataset.layout}"
    if not dataset.kaggle:
        where = f"download it from {dataset.page} and unpack it" if dataset.page else "it is your own"
        raise FetchError(f"{dataset.name} is not fetched: {where}. Expected there: {dataset.layout}")
    client = shutil.which("kaggle") or shutil.which("kaggle", path=str(Path(sys.executable).parent))
    if client is None:
        raise FetchError(f"the Kaggle client is not installed: {CLIENT}. {by_hand}")
    if not _may_log_in():
        raise FetchError(f"Kaggle does not know you: {LOG_IN}. {by_hand}")
    return client


def _may_log_in() -> bool:
    folder = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle")
    named = os.environ.get("KAGGLE_USERNAME") and os.environ.get("KAGGLE_KEY")
    return bool(named or os.environ.get("KAGGLE_API_TOKEN")) or any(
        (folder / name).is_file() for name in ("kaggle.json", "access_token")
    )


def _download(client: str, dataset: DataSet, folder: Path) -> None:
    kind, name = dataset.kaggle.split("/", 1)
    option = "-c" if kind == "competitions" else "-d"
    done = subprocess.run(  # noqa: S603  (our own words, no shell)
        [client, kind, "download", option, name, "-p", str(folder)], check=False, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        rules = f"; its rules must be accepted once on {dataset.page}" if kind == "competitions" else ""
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise FetchError(f"the Kaggle client failed on {dataset.kaggle}{rules}: {last}")
