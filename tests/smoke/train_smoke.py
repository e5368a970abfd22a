"""`make train-smoke`: the whole factory on generated pictures, through its commands, as an engineer would use it.

Check, train in two processes, kill, resume, average, calibrate, gate, export, evaluate, quantise, serve by Triton,
release; and what must be refused. Prints each step with its time; ends at the first that is not as it should be.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.models.classifier import tiny  # noqa: E402  (the checkout is not installed as a package of tests)

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
        self.work, self.data = work, tiny.write_data(work / "data")
        self.env = {"MELALOG_DATA_DIR": str(self.data), "OMP_NUM_THREADS": "1"}
        photographs = self.data / "pad_ufes_20"
        shutil.copytree(self.data / "ham10000", photographs)
        told = (photographs / "ham10000.csv").rename(photographs / "pad_ufes_20.csv")
        told.write_text(told.read_text().replace("ham10000-", "pad-").replace(",test", ",train"))
        (work / "plan.yaml").write_text(PLAN)

    def step(
        self, name: str, *words: object, launcher: list[str] = MELALOG, code: int | None = 0, says: str = ""
    ) -> str:
        began = time.monotonic()
        process = start([*launcher, *map(str, words)], self.env)
        output, _ = process.communicate(timeout=170)
        said = " ".join(output.replace("│", " ").split())
        if code not in {None, process.returncode} or says not in said:
            console.print(output)
            wanted = f"exit {code}" + (f" and {says!r}" if says else "")
            raise SystemExit(f"{name}: exit {process.returncode}, wanted {wanted}")
        console.print(f"[green]ok[/] {name:52} {time.monotonic() - began:5.1f} s")
        return output

    def train(self, run: str, seed: int) -> list[object]:
        plan = ("--config", self.work / "plan.yaml", "--set", f"seed={seed}")
        return ["train", "classifier", "--out", self.work / run, *plan, "--only-train"]

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
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        chain = Chain(work)
        table = work / "table.csv"
        chain.step("a table of a data set", "data", "table", f"ham10000={chain.data / 'ham10000'}", "--out", table)
        chain.step("split by lesion", "data", "split", table, "--out", work / "split.csv", says="train")
        chain.step("checked for leaks", "data", "check", table, "--report", work / "check.html")
        leaky = table.read_text().replace(",test", ",train", 1)
        table.write_text(leaky)
        chain.step("a lesion on both sides is found", "data", "check", table, "--report", work / "leak.html", code=1)
        chain.step("a typo in the plan is named", *chain.train("x", 1), "--set", "optimiser.lrr=1", code=2, says="lrr")
        chain.killed("run1", 1)
        chain.step("resumed where it stopped", *chain.train("run1", 1), launcher=TORCHRUN, says="epoch 4")
        chain.step("a second network, one process", *chain.train("run2", 2))
        for name, runs in (("old", ["run2"]), ("new", ["run1", "run2"])):
            paths = [work / run for run in runs]
            made = ("--out", work / name, "--config", work / "plan.yaml", "--version", "1.0.0")
            chain.step(f"calibrated, gated, exported: {' + '.join(runs)}", "export", "classifier", *paths, *made)
        chain.step(
            "evaluated", "evaluate", work / "new", "--source", "ham10000", "--split", "test", "--out", work / "report"
        )
        if "<html" not in (work / "report" / "report.html").read_text():
            raise SystemExit("evaluated: no report")
        chain.step("as a Triton repository", "export", "triton", work / "new", "--out", work / "triton")
        chain.step("INT8, kept only if worth it", "export", "int8", work / "new", code=None, says="speed x")
        refused = ("release", work / "new", "--released", work / "old")
        gate = chain.step(
            "the gate: two dozen pictures calibrate nothing", *refused, code=1, says="REFUSED calibration"
        )
        console.print(gate.strip())
        tampered = work / "new" / "manifest.json"
        manifest = json.loads(tampered.read_text())
        manifest["files"]["model.onnx"]["sha256"] = "0" * 64
        tampered.write_text(json.dumps(manifest))
        chain.step("a tampered file is refused", *refused, code=2, says="is not the file that was released")
    console.print(f"the whole chain: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
