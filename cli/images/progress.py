"""What a long step is at: a line for each step of the Dockerfile, and on a terminal the engine's last word too."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

Told = Callable[[str], None]
# `[1/2] STEP 3/4: RUN …` as podman and buildah write it, `#7 [packages 3/3] RUN …` as docker's BuildKit does.
STEP = re.compile(
    r"(?:\[\d+/\d+\] )?STEP \d+/\d+: (?P<podman>(?:FROM|RUN|COPY) .+)|#\d+ \[\S+ \d+/\d+\] (?P<docker>.+)"
)
LONGEST = 100


@contextmanager
def shown(console: Console, what: str) -> Iterator[Told]:
    """Say what is begun; give a function that takes the engine's output line by line."""
    console.print(what, markup=False)
    with console.status("") as status:

        def told(line: str) -> None:
            status.update(Text(line[: console.width - 4]))
            if found := STEP.match(line):
                step = " ".join((found["podman"] or found["docker"]).split())
                console.print(f"  {step if len(step) <= LONGEST else step[:LONGEST] + ' …'}", style="dim", markup=False)

        yield told
