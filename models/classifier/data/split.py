"""Shares of a table: no group in two of them, each label spread as evenly as the groups allow."""

import hashlib
import shutil
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.classifier.data.table import Row
from models.common.files import new_folder

NAMES = {2: ("train", "test"), 3: ("train", "validation", "test")}


def parse(told: str) -> dict[str, float]:
    """Shares by name, their sum 1: `60/20/20`, `80/20` or `train=70,test=30`. Raises ValueError."""
    try:
        if "=" in told:
            shares = {name.strip(): float(share) for name, share in (part.split("=") for part in told.split(","))}
        else:
            numbers = [float(share) for share in told.split("/")]
            shares = dict(zip(NAMES[len(numbers)], numbers, strict=True))
    except (ValueError, KeyError):
        raise ValueError(f"{told!r} are no shares: write 60/20/20, 80/20 or train=70,test=30") from None
    whole = sum(shares.values())
    if not all(share > 0 for share in shares.values()) or not np.isfinite(whole) or "" in shares:
        raise ValueError(f"{told!r}: every share needs a name and must be above 0")
    return {name: share / whole for name, share in shares.items()}


def split(rows: Sequence[Row], shares: Mapping[str, float], seed: int, keep: str = "") -> list[Row]:
    """The rows, in order, each with its split. The same groups, shares and seed give the same splits in any order.

    Rows of the split named `keep`, and all of their groups, stay in it. Raises ValueError where there are fewer
    groups than shares.
    """
    kept = {row.group for row in rows if keep and row.split == keep}
    if keep and not kept:
        raise ValueError(f"no row has split = {keep}, nothing to keep")
    placed = dict.fromkeys(kept, keep) | _place([row for row in rows if row.group not in kept], shares, seed)
    empty = [name for name in shares if name not in placed.values()]
    if empty:
        raise ValueError(f"{len(placed) - len(kept)} groups are too few for {len(shares)} splits: none for {empty[0]}")
    return [replace(row, split=placed[row.group]) for row in rows]


def _place(rows: Sequence[Row], shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Large groups first, each to where it brings the counts nearest to what the shares ask for."""
    strata = sorted({(row.source, row.dx) for row in rows})
    column = {stratum: i for i, stratum in enumerate(strata)}
    groups: dict[str, Counter[int]] = defaultdict(Counter)
    for row in rows:
        groups[row.group][column[row.source, row.dx]] += 1
    counts = Counter((row.source, row.dx) for row in rows)
    totals = [*(counts[stratum] for stratum in strata), len(rows)]  # the last: pictures of any label
    wanted = np.outer(list(shares.values()), totals)
    have, names, placed = np.zeros_like(wanted), list(shares), {}
    for group in sorted(groups, key=lambda name: (-groups[name].total(), _chance(name, seed))):
        places, adds = zip(*sorted(groups[group].items()), (len(strata), groups[group].total()), strict=True)
        # growth of the sum of (have - wanted)² / wanted
        more = np.array(adds)
        growth = ((2 * (have - wanted)[:, places] * more + more**2) / wanted[:, places]).sum(1)
        chosen = int(np.argmin(growth))
        have[chosen, places] += more
        placed[group] = names[chosen]
    return placed


def _chance(group: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{group}".encode()).digest()


def write_folders(rows: Sequence[Row], folder: Path) -> None:
    """Copy the pictures to FOLDER/<split>/<label>/: all of them or none. Raises FileExistsError, never overwrites."""
    if folder.exists():
        raise FileExistsError(f"{folder} is there already: name another folder, or remove it first")
    often = Counter((row.split, row.dx, row.path.name) for row in rows)
    with new_folder(folder) as unfinished:
        for row in rows:
            name = row.path.name
            if often[row.split, row.dx, name] > 1:
                name = f"{row.path.stem}-{hashlib.sha256(str(row.path).encode()).hexdigest()[:8]}{row.path.suffix}"
            place = unfinished / row.split / row.dx
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(row.path, place / name)
