#!/usr/bin/env python3
"""Check that transformers opens a folder that kit-rs saved, and finds in it what kit-rs finds.

usage: kit-rs evaluate MODEL_DIR DATASET --format json > evaluation.json
       check.py MODEL_DIR DATASET evaluation.json            (needs: pip install torch transformers)

DATASET: {"samples": [{"text", "label"}]}. The mean cross-entropy has to agree within 1e-6, the confusion matrix exactly.
"""
import json, pathlib, sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main(folder: str, dataset: str, evaluation: str) -> None:
    samples = json.loads(pathlib.Path(dataset).read_text())["samples"]
    ours = json.loads(pathlib.Path(evaluation).read_text())
    model, notes = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    if any(notes.get(key) for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")):
        sys.exit(f"transformers complains: {notes}")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.no_padding(), tokenizer.backend_tokenizer.no_truncation()
    n = model.config.num_labels
    names = [model.config.id2label[number] for number in range(n)]
    loss, confusion = 0.0, [[0] * n for _ in range(n)]
    for sample in samples:
        label = sample["label"] if isinstance(sample["label"], int) else names.index(sample["label"])
        with torch.no_grad():
            ids = tokenizer.backend_tokenizer.encode(sample["text"]).ids[:model.config.max_position_embeddings]
            logits = model.eval()(torch.tensor([ids])).logits[0].double()
        loss -= logits.log_softmax(0)[label].item() / len(samples)
        confusion[label][logits.argmax().item()] += 1
    print(f"labels {names}, mean cross-entropy {loss:.9f} and {ours['loss']:.9f}, confusion {confusion}")
    if abs(loss - ours["loss"]) > 1e-6 or confusion != ours["confusion"]:
        sys.exit(f"kit-rs found {ours}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
