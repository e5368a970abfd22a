"""The adapter to the small model in this process: one prefill graph in ONNX Runtime, no torch."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from PIL import Image

from models.vlm.serving.artifact import MODEL_FILE, VlmArtifact, vocabulary
from services.vlm.engine.port import EngineFailure


class EmbeddedEngine:
    """Picture and prompt in, the whole distribution of the next token out. Answers the released question only."""

    def __init__(self, artifact: VlmArtifact, threads: int) -> None:
        """Raises ArtifactError for a release without a graph."""
        artifact.require_graph()
        manifest = artifact.manifest
        self.model = manifest.name
        self._question = manifest.question
        self._prompt = np.array([manifest.prompt_ids], dtype=np.int64)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoding needs the cores too
        self._session = onnxruntime.InferenceSession(
            artifact.folder / MODEL_FILE, options, providers=["CPUExecutionProvider"]
        )
        self._tokens = vocabulary(artifact)
        self._thread = ThreadPoolExecutor(1, "network")

    async def first_token(self, picture: bytes, question: str, within_s: float) -> list[tuple[str, float]]:
        """Run in this engine's one thread; who has given up is not computed."""
        if question != self._question:
            raise EngineFailure("invalid", "other_question")
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, picture)
        except TimeoutError as error:
            raise EngineFailure("timeout", "timeout") from error

    def _answer(self, picture: bytes) -> list[tuple[str, float]]:
        with Image.open(io.BytesIO(picture), formats=("PNG",)) as image:
            logits = self._run(np.asarray(image.convert("RGB")))
        logits -= logits.max()
        logprobs = logits - np.log(np.exp(logits).sum())
        return [(self._tokens[index], float(logprobs[index])) for index in np.argsort(-logprobs)]

    def _run(
        self, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        (logits,) = self._session.run(["logits"], {"image": pixels[None], "input_ids": self._prompt})
        return np.asarray(logits[0], dtype=np.float64)

    async def close(self) -> None:
        """Stop the thread after what it is doing."""
        self._thread.shutdown(wait=False, cancel_futures=True)
