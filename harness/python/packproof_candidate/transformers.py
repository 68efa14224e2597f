"""The whole stack: transformers' own model code and collator on the kernels that are installed.

Without a GPU, flash-linear-attention runs in Triton's interpreter, and a module named `causal_conv1d` that calls
FLA's convolution stands in for the CUDA package of that name. Without flash-linear-attention the library falls
back to its torch code, as it does for a user. On a GPU what is installed is judged; the stand-in is there to be asked for.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import os
import sys
import types
from typing import Any, Iterator

import numpy as np

from . import device as devices
from . import interpreter
from .call import NotSupported
from .candidate import Candidate

MODES = ("both", "position_ids", "seq_idx", "cu_seqlens", "padded_left")
_WITHHELD = {
    "both": (),
    "position_ids": ("seq_idx", "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k"),
    "seq_idx": ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k"),
    "cu_seqlens": ("seq_idx",),
}


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def _stand_in_convolution(convolution: Any) -> types.ModuleType:
    """`causal_conv1d_fn` with the signature of the CUDA package (x [B, C, T], seq_idx [B, T])."""
    import torch

    def causal_conv1d_fn(x, weight, bias=None, seq_idx=None, initial_states=None, return_final_states=False,
                         final_states_out=None, activation=None):
        if initial_states is not None or return_final_states or final_states_out is not None:
            raise NotSupported("the stand-in for causal_conv1d carries no states")
        boundaries = None
        if seq_idx is not None:
            starts = torch.nonzero(seq_idx[0, 1:] != seq_idx[0, :-1]).flatten() + 1
            ends = torch.tensor([0, seq_idx.shape[1]], device=seq_idx.device)
            boundaries = torch.cat([ends[:1], starts, ends[1:]])
        output, _ = convolution(x=x.transpose(1, 2).contiguous(), weight=weight, bias=bias, activation=activation,
                                cu_seqlens=boundaries)
        return output.transpose(1, 2)

    module = types.ModuleType("causal_conv1d", "FLA's convolution under the interface of causal-conv1d.")
    module.__spec__ = importlib.machinery.ModuleSpec("causal_conv1d", None)
    module.__version__ = "0.0.0"
    module.causal_conv1d_fn = causal_conv1d_fn
    return module


STAND_IN = "causal_conv1d is not installed: FLA's convolution stands in for it"
TORCH_CODE = "flash-linear-attention is not installed: the library's torch code is judged"
EXACT = "float32 products run in float32, not in tf32 (TRITON_F32_DEFAULT=ieee, cuBLAS and cuDNN likewise)"


def _prepare_gpu(stand_in: bool) -> list[str]:
    """Leaves what is installed as it is, but for tf32: limits of float32 runs count on float32's roundoff."""
    import torch

    os.environ.setdefault("TRITON_F32_DEFAULT", "ieee")
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    notes = [EXACT] if os.environ["TRITON_F32_DEFAULT"] == "ieee" else []
    if not _installed("fla"):
        return [*notes, TORCH_CODE]
    if _installed("causal_conv1d"):
        return notes
    if not stand_in:
        return [*notes, "causal_conv1d is not installed: --stand-in puts FLA's convolution in its place"]
    from .fla import first_module

    convolution = first_module("fla.modules.convolution", "fla.modules.causal_conv1d").causal_conv1d
    sys.modules["causal_conv1d"] = _stand_in_convolution(convolution)
    return [*notes, STAND_IN]


def prepare_kernels(stand_in: bool = False) -> tuple[str, list[str]]:
    """Where the model runs and what that means for the verdict. Must come before transformers' model code.

    With `stand_in` FLA's convolution takes the place of a `causal_conv1d` that is not installed on a GPU too.
    """
    if devices.on_gpu():
        return "cuda", _prepare_gpu(stand_in)
    if not _installed("fla"):
        return "cpu", [TORCH_CODE]
    interpreter.enable()
    import fla.ops.gated_delta_rule  # noqa: F401  transformers looks it up by name
    from .fla import first_module

    convolution = first_module("fla.modules.convolution", "fla.modules.causal_conv1d").causal_conv1d
    interpreter.finish("fla")
    notes = [interpreter.NOTE]
    if not _installed("causal_conv1d"):
        sys.modules["causal_conv1d"] = _stand_in_convolution(convolution)
        notes.append(STAND_IN)
    return "cpu", notes


class Stack:
    """Loads checkpoint folders once and runs packed or padded batches through them."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.models: dict[tuple[str, str], Any] = {}

    def model(self, folder: str, dtype: str) -> Any:
        import torch
        from transformers import AutoModelForCausalLM

        if (folder, dtype) not in self.models:
            if self.device == "cpu" and dtype not in interpreter.DTYPES:
                raise NotSupported(f"Triton's interpreter computes {dtype} wrongly: f32 and f16 only")
            kind = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[dtype]
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=kind, local_files_only=True)
            self.models[folder, dtype] = model.to(self.device).eval()
        return self.models[folder, dtype]

    def batch(self, rows: list[list[int]], mode: str) -> dict[str, Any]:
        """What the library's own collators give, less what `mode` withholds."""
        import torch
        from transformers import DataCollatorWithFlattening

        if mode == "padded_left":
            longest = max(map(len, rows))
            pads = [longest - len(row) for row in rows]
            mask = torch.tensor([[0] * pad + [1] * len(row) for pad, row in zip(pads, rows)])
            labels = torch.tensor([[-100] * (pad + 1) + row[1:] for pad, row in zip(pads, rows)])
            return {"input_ids": torch.tensor([[0] * pad + row for pad, row in zip(pads, rows)]),
                    "attention_mask": mask, "labels": labels,
                    "position_ids": (mask.cumsum(1) - 1).clamp(min=0) * mask}
        collator = DataCollatorWithFlattening(return_flash_attn_kwargs=True, return_seq_idx=True)
        batch = collator([{"input_ids": row} for row in rows])
        return {name: value for name, value in batch.items() if name not in _WITHHELD[mode]}

    def forward(self, folder: str, dtype: str, mode: str, inputs: dict[str, np.ndarray],
                gradients: bool = False) -> dict[str, np.ndarray]:
        """Rows of valid tokens in packed order: logits, hidden_states.LL, the library's loss and its gradients."""
        import torch

        if mode not in MODES:
            raise NotSupported(f"there is no mode {mode}: {', '.join(MODES)}")
        ids, boundaries = inputs["input_ids"].reshape(-1), inputs["cu_seqlens"]
        rows = [ids[begin:end].tolist() for begin, end in zip(boundaries, boundaries[1:])]
        batch = self.batch(rows, mode)
        moved = {name: value.to(self.device) if torch.is_tensor(value) else value for name, value in batch.items()}
        model = self.model(folder, dtype)
        with _kept_embeddings(model) as embeddings, torch.set_grad_enabled(gradients):
            output = model(**moved, use_cache=False, output_hidden_states=True)
        results = {"logits": output.logits, **{f"hidden_states.{layer:02d}": states
                                               for layer, states in enumerate(output.hidden_states)}}
        arrays = {"loss": _array(output.loss).reshape(1)}
        if gradients:
            model.zero_grad(set_to_none=True)
            output.loss.backward()
            results["grad_inputs_embeds"] = embeddings[0].grad
            arrays |= {f"grad.{_checkpoint_name(name)}": _array(value.grad)
                       for name, value in model.named_parameters() if value.grad is not None}
        valid = batch.get("attention_mask", torch.ones_like(batch["input_ids"])).bool()
        return arrays | {name: _array(value.cpu()[valid]) for name, value in results.items()}


@contextlib.contextmanager
def _kept_embeddings(model: Any) -> Iterator[list[Any]]:
    """What the embedding layer gives inside the block; its gradient is kept."""
    kept: list[Any] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        if output.requires_grad:
            output.retain_grad()
        kept.append(output)

    hook = model.get_input_embeddings().register_forward_hook(keep)
    try:
        yield kept
    finally:
        hook.remove()


def _array(value: Any) -> np.ndarray:
    return value.detach().float().cpu().numpy()


def _checkpoint_name(parameter: str) -> str:
    """Multimodal classes nest the text model."""
    return parameter.replace("model.language_model.", "model.", 1)


def main(stand_in: bool = False) -> None:
    for name in ("torch", "transformers"):
        if not _installed(name):
            print(f"{name} is not installed: pip install {name}", file=sys.stderr)
            raise SystemExit(2)
    device, notes = prepare_kernels(stand_in)
    candidate = Candidate("transformers", importlib.metadata.version("transformers"), device, notes)
    stack = Stack(device)
    candidate.model_forward(MODES)(stack.forward)
    candidate.serve()
