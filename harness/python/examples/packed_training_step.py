"""Training steps of a tiny Qwen3.5 on packed sequences, captured: packproof judge says whether they were kept apart.

    python packed_training_step.py CONFIG FOLDER

CONFIG is a folder with a config.json of Qwen3.5: its first and last layer are built, with random weights. FOLDER gets
default.h5 (the collator's defaults) and boundaries.h5 (with the options that hybrid models need).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from packproof_candidate.transformers import prepare_kernels

COLLATOR_OPTIONS = {"default": {}, "boundaries": {"return_seq_idx": True, "return_flash_attn_kwargs": True}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="folder with config.json")
    parser.add_argument("folder", type=Path, help="where the steps are recorded")
    arguments = parser.parse_args()

    device, notes = prepare_kernels()  # Without a GPU: Triton's interpreter. On a GPU nothing needs it.
    print(*notes, sep="\n")
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, DataCollatorWithFlattening

    from packproof_candidate import capture

    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(arguments.config)
    config.layer_types = [config.layer_types[0], config.layer_types[-1]]
    config.num_hidden_layers = 2
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rows = [torch.randint(3, config.vocab_size, (length,)).tolist() for length in (3, 4)]
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, options in COLLATOR_OPTIONS.items():
        collated = DataCollatorWithFlattening(**options)([{"input_ids": row} for row in rows])
        batch = {key: value.to(device) if torch.is_tensor(value) else value for key, value in collated.items()}
        file = arguments.folder / f"{name}.h5"
        with capture(file, batch=batch):
            loss = model(**batch, use_cache=False).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        print(f"loss {loss.item():.4f}, recorded in {file}")


if __name__ == "__main__":
    main()
