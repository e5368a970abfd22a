"""Progress of a long step: a line for each step of the Dockerfile, and on a terminal the engine's latest line too."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

OnLine = Callable[[str], None]
# `[1/2] STEP 3/4: RUN …` as podman and buildah write it, `#7 [packages 3/3] RUN …` as docker's BuildKit does.
STEP = re.compile(
    r"(?:\[\d+/\d+\] )?STEP \d+/\d+: (?P<podman>(?:FROM|RUN|COPY) .+)|#\d+ \[\S+ \d+/\d+\] (?P<docker>.+)"
)
LONGEST = 100


@contextmanager
def step(console: Console, title: str) -> Iterator[OnLine]:
    """Print the title; yields the callback that takes the engine's output line by line."""
    console.print(title, markup=False)
    with console.status("") as status:

        def on_line(line: str) -> None:
            status.update(Text(line[: console.width - 4]))
            if match := STEP.match(line):
                text = " ".join((match["podman"] or match["docker"]).split())
                console.print(f"  {text if len(text) <= LONGEST else text[:LONGEST] + ' …'}", style="dim", markup=False)

        yield on_line
