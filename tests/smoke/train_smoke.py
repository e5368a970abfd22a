"""`make train-smoke`: the whole factory on generated images, through its commands, as an engineer would use it.

Check, train in two processes, kill, resume, average, calibrate, gate, export, evaluate, quantise, serve by Triton,
release; and what must be refused: a leak, a worse candidate, another graph, a tampered file. Prints each step with its
time; ends at the first that is not as it should be.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.export.factory import add_to_bias, melalog  # noqa: E402  (the checkout is not installed as a package of tests)
from tests.models.classifier import tiny  # noqa: E402

PLAN = """\
backbone: test_efficientnet
calibration_folds: 2
cache_size: 40
stages: [{epochs: 4, size: 40}]
batch_size: 8
ema_decay: 0.5
precision: fp32
optimiser: {lr: 0.01}
selection: null
"""
MELALOG = [sys.executable, "-m", "cli.main"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cli.main"]
console = Console(highlight=False)


def start(words: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


class Chain:
    """The steps, one after the other, in one folder."""

    def __init__(self, work: Path) -> None:
        self.work, self.data = work, tiny.write_data(work / "data", times=3)
        self.env = {"MELALOG_DATA_DIR": str(self.data), "OMP_NUM_THREADS": "1"}
        os.environ.update(self.env)
        photographs = self.data / "pad_ufes_20"
        shutil.copytree(self.data / "ham10000", photographs)
        csv = (photographs / "ham10000.csv").rename(photographs / "pad_ufes_20.csv")
        csv.write_text(csv.read_text().replace("ham10000-", "pad-").replace(",test", ",train"))
        (work / "plan.yaml").write_text(PLAN)

    def step(
        self, name: str, *words: object, launcher: list[str] = MELALOG, code: int | None = 0, says: str = ""
    ) -> str:
        began = time.monotonic()
        process = start([*launcher, *map(str, words)], self.env)
        output, _ = process.communicate(timeout=170)
        flattened = " ".join(output.replace("│", " ").split())
        if code not in {None, process.returncode} or says not in flattened:
            console.print(output)
            expected = f"exit {code}" + (f" and {says!r}" if says else "")
            raise SystemExit(f"{name}: exit {process.returncode}, expected {expected}")
        console.print(f"[green]ok[/] {name:52} {time.monotonic() - began:5.1f} s")
        return output

    def here(self, name: str, *words: object, code: int = 0, says: str = "") -> str:
        """The same in this process: what starts once need not be waited for at every step."""
        began = time.monotonic()
        output = melalog(*map(str, words), code=code)
        if says not in output:
            raise SystemExit(f"{name}: expected {says!r}, got\n{output}")
        console.print(f"[green]ok[/] {name:52} {time.monotonic() - began:5.1f} s")
        return output

    def train(self, run: str, seed: int, *changes: str) -> list[object]:
        plan = ["--config", self.work / "plan.yaml"]
        for change in (f"seed={seed}", *changes):
            plan += ["--set", change]
        return ["train", "classifier", "--out", self.work / run, *plan, "--only-train"]

    def export(self, name: str, runs: list[str]) -> None:
        paths = [self.work / run for run in runs]
        options = ("--out", self.work / name, "--config", self.work / "plan.yaml", "--version", "1.0.0")
        self.here(f"calibrated, gated, exported: {' + '.join(runs)}", "export", "classifier", *paths, *options)

    def killed(self, run: str, seed: int) -> None:
        """Two processes, killed without warning once a checkpoint is there."""
        process = start([*TORCHRUN, *map(str, self.train(run, seed))], self.env)
        last = self.work / run / "last.pt"
        while not last.exists():
            if process.poll() is not None:
                raise SystemExit(f"training in two processes ended early:\n{process.communicate()[0]}")
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if (self.work / run / "network.safetensors").exists():
            raise SystemExit("the run was finished before it could be killed: give the plan more epochs")
        console.print("[green]ok[/] two processes, killed after their first checkpoint")


def main() -> None:
    """Run every step."""
    began = time.monotonic()
    torch.set_num_threads(1)  # so small a network is slower on two
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        chain = Chain(work)
        table = work / "table.csv"
        chain.step("a table of a data set", "data", "table", f"ham10000={chain.data / 'ham10000'}", "--out", table)
        chain.here("split by lesion", "data", "split", table, "--out", work / "split.csv", says="train")
        chain.here("checked for leaks", "data", "check", table, "--report", work / "check.html")
        leaky = table.read_text().replace(",test", ",train", 1)
        table.write_text(leaky)
        chain.here("a lesion on both sides is found", "data", "check", table, "--report", work / "leak.html", code=1)
        chain.here("a typo in the plan is named", *chain.train("x", 1), "--set", "optimiser.lrr=1", code=2, says="lrr")
        chain.killed("run1", 1)
        chain.step("resumed where it stopped", *chain.train("run1", 1), launcher=TORCHRUN, says="epoch 4")
        chain.step("a second network, one process", *chain.train("run2", 2))
        chain.here("a third that has hardly learned", *chain.train("run3", 3, "stages.0.epochs=1", "optimiser.lr=1e-6"))
        for name, runs in (("old", ["run2"]), ("new", ["run1", "run2"]), ("bad", ["run3"])):
            chain.export(name, runs)
        (work / "leak.yaml").write_text(PLAN + "fold_seed: 7\n")
        leak = ("export", "classifier", work / "run1", "--out", work / "leak", "--config", work / "leak.yaml")
        chain.here("a run that knows the calibration fold", *leak, code=2, says="has learned from")
        chain.here(
            "evaluated", "evaluate", work / "new", "--source", "ham10000", "--split", "test", "--out", work / "report"
        )
        if "<html" not in (work / "report" / "report.html").read_text():
            raise SystemExit("evaluated: no report")
        chain.here("as a Triton repository", "export", "triton", work / "new", "--out", work / "triton")
        chain.step("INT8, kept only if faster", "export", "int8", work / "new", code=None, says="speed x")
        old = ("--released", work / "old")
        chain.here("a worse candidate is refused", "release", work / "bad", *old, code=1,
                                 says="REFUSED AUC, held out by both")  # fmt: skip
        shutil.copytree(work / "new", work / "shifted")
        add_to_bias(work / "shifted", 3.0)
        chain.here("a graph with another calibration, hash right", "release", work / "shifted", *old, code=1,
                   says="REFUSED scores computed again")  # fmt: skip
        shutil.copytree(work / "new", work / "tampered")
        with (work / "tampered" / "model.onnx").open("ab") as file:
            file.write(b"x")
        chain.here("a tampered file is refused", "release", work / "tampered", *old, code=2,
                   says="is not the file that was released")  # fmt: skip
        chain.here("released", "release", work / "new", *old, says="released to")
    console.print(f"the whole chain: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
