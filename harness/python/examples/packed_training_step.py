"""One training step of a small Qwen3.5 on packed sequences, captured: packproof judge says whether they were kept apart.

    python packed_training_step.py CHECKPOINT step.h5                  # the collator's defaults
    python packed_training_step.py CHECKPOINT step.h5 --boundaries     # with the options that hybrid models need
"""

from __future__ import annotations

import argparse

from packproof_candidate.transformers import prepare_kernels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", help="folder with config.json and safetensors")
    parser.add_argument("file", help="where the step is recorded")
    parser.add_argument("--boundaries", action="store_true", help="let the collator say where sequences begin")
    options = parser.parse_args()

    device, notes = prepare_kernels()  # Without a GPU: Triton's interpreter. On a GPU nothing needs it.
    print(*notes, sep="\n")
    import torch
    from transformers import AutoModelForCausalLM, DataCollatorWithFlattening

    from packproof_candidate.capture import capture

    model = AutoModelForCausalLM.from_pretrained(options.checkpoint, dtype=torch.float32).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(3, model.config.vocab_size, (length,), generator=generator).tolist() for length in (5, 3, 1, 6)]
    collator = (DataCollatorWithFlattening(return_seq_idx=True, return_flash_attn_kwargs=True) if options.boundaries
                else DataCollatorWithFlattening())
    batch = {name: value.to(device) if torch.is_tensor(value) else value
             for name, value in collator([{"input_ids": row} for row in rows]).items()}

    with capture(options.file, batch=batch):
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.4f}, recorded in {options.file}")


if __name__ == "__main__":
    main()
