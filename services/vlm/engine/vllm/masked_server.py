"""vLLM 0.10.2's server with the mask of Llama 3.2 Vision's picture encoder put back. Runs in place of its own module.

0.10.2 moved that encoder to an attention without one, so padding looks at padding, and what it sees reaches the
picture's patches: P(yes) of a small model moved by up to 0.09. 0.10.1.1 and before, transformers and Meta's own code
have the mask. tests/engine/mask_probe.py shows both with 0.10.2's own classes.
"""

import importlib
import runpy
from typing import Any

MODULE = "vllm.entrypoints.openai.api_server"


def mend() -> None:
    """Put it in place; fails where vLLM is another than the one this is for."""
    mllama: Any = importlib.import_module("vllm.model_executor.models.mllama")

    def masked(self: Any, hidden_state: Any, attention_mask: Any = None) -> Any:
        """Attention of one layer of the encoder, [N, tokens, width]."""
        together, _ = self.qkv_proj(hidden_state)
        split = (part.unflatten(-1, (self.num_local_heads, self.head_dim)) for part in together.chunk(3, dim=-1))
        query, key, value = (part.transpose(1, 2) for part in split)
        seen = mllama.F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        return self.o_proj(seen.transpose(1, 2).flatten(2))[0]

    mllama.MllamaVisionSdpaAttention.forward = masked


if __name__ == "__main__":
    mend()
    runpy.run_module(MODULE, run_name="__main__")
