#!/usr/bin/env python3
"""Make a tiny checkpoint for each task beside this file, and their golden values, with PyTorch and transformers.

usage: make.py            (needs: pip install torch transformers safetensors)

multi: DistilBERT, several labels at once. regression: DistilBERT, a figure. pairs: BERT, pairs of texts of which one label is right.
one: BERT, pairs and a single logit of yes or no. Each is a folder as transformers saves it.
golden.json: of each the examples as kit-trainer has them, token ids, kinds and logits of transformers (the longest pairs are cut there),
what its pipeline answers, and the losses of ten steps of AdamW (dropout off, clipping at 1, two warm-up steps, linear decay).
`windows`: a long text as transformers cuts it with a stride.
NAME-gradients.safetensors: the first step's gradients before clipping; NAME-after.safetensors: the weights after the tenth step.
"""
import importlib.util, json, os, pathlib

import torch, tokenizers, transformers
from transformers import (BertConfig, BertForSequenceClassification, BertTokenizer, DistilBertConfig,
                          DistilBertForSequenceClassification, pipeline)

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("distil", HERE.parent / "tiny-distilbert/make.py")
distil = importlib.util.module_from_spec(spec)
spec.loader.exec_module(distil)

LONG = "the music and the camera make every scene of this long film a joy to watch "
PAIRS = [("a wonderful film", "the film is good"), ("boring and slow", "it is a joy"), ("the cast is brilliant", "the actors are great"),
         (LONG * 2, "i never want it to end"), ("terrible", LONG * 2), (LONG * 2, LONG * 3), ("a true gem", "a gem"), ("no", "yes, it is")]
TEXTS = [text for text, _ in distil.BATCH]
LABELS = {"multi": [[0], [1, 2], [], [1], [0, 2], [1], [0], [0, 1, 2]], "regression": [4.5, 1.0, 5.0, -0.5, 3.25, 0.0, 4.75, 1.5],
          "pairs": [1, 0, 1, 2, 0, 2, 1, 0], "one": [[0], [], [0], [], [], [0], [0], []]}
NAMES = {"multi": ["funny", "slow", "warm"], "regression": ["LABEL_0"], "pairs": ["contradiction", "entailment", "neutral"], "one": ["LABEL_0"]}
PROBLEMS = {"multi": "multi_label_classification", "regression": "regression", "pairs": "single_label_classification", "one": "multi_label_classification"}


def network(name: str, n_words: int):
    labels = dict(enumerate(NAMES[name]))
    shared = dict(vocab_size=n_words, max_position_embeddings=40, id2label=labels, label2id={label: n for n, label in labels.items()}, problem_type=PROBLEMS[name])
    torch.manual_seed(40 + len(name))
    if name in ("multi", "regression"):
        made = DistilBertForSequenceClassification(DistilBertConfig(dim=16, hidden_dim=24, n_layers=1, n_heads=2, **shared))
    else:
        made = BertForSequenceClassification(BertConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, type_vocab_size=2, **shared))
    with torch.no_grad():  # biases and LayerNorm too, so that none of them can be forgotten unseen
        for weight_name, weight in made.named_parameters():
            is_scale = weight_name.endswith("layer_norm.weight") or weight_name.endswith("LayerNorm.weight")
            weight.copy_(torch.randn_like(weight) * 0.25 + (1 if is_scale else 0))
    return made.eval()


def tokenizer(folder: pathlib.Path, name: str):
    vocabulary = sorted(distil.tokenizer().get_vocab().items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(token + "\n" for token, _ in vocabulary))
    return BertTokenizer(str(folder / "vocab.txt"), model_max_length=40), len(vocabulary)


def targets(name: str):
    if name in ("multi", "one"):
        return torch.tensor([[float(n in row) for n in range(len(NAMES[name]))] for row in LABELS[name]])
    return torch.tensor(LABELS[name])


def made(name: str) -> dict:
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    words, n_words = tokenizer(folder, name)
    net = network(name, n_words)
    net.save_pretrained(folder)
    is_pair = name in ("pairs", "one")
    texts = PAIRS if is_pair else [(text,) for text in TEXTS]
    rows = [words(*text, truncation=True, max_length=40) for text in texts]
    with torch.no_grad():
        logits = [net(input_ids=torch.tensor([row["input_ids"]]), **({"token_type_ids": torch.tensor([row["token_type_ids"]])} if is_pair else {})).logits[0].tolist() for row in rows]
    inputs = words.pad([{key: row[key] for key in ("input_ids", "attention_mask", "token_type_ids") if key != "token_type_ids" or is_pair} for row in rows], return_tensors="pt")
    asked = pipeline("text-classification", model=net, tokenizer=words, top_k=None, truncation=True)
    answers = asked([{"text": text[0], "text_pair": text[1]} if is_pair else text[0] for text in texts])
    scores = [[next(entry["score"] for entry in answer if entry["label"] == label) for label in NAMES[name]] for answer in answers]
    distil.HERE = folder
    steps = distil.ten_steps(net, dict(inputs), targets(name))
    for kind in ("gradients", "after"):
        os.replace(folder / f"golden-{kind}.safetensors", HERE / f"{name}-{kind}.safetensors")
    examples = [{"text": text[0], **({"pair": text[1]} if is_pair else {}), "target": target} for text, target in zip(texts, LABELS[name])]
    return {"examples": examples, "input_ids": [row["input_ids"] for row in rows], "token_type_ids": [row["token_type_ids"] for row in rows] if is_pair else [],
            "logits": logits, "scores": scores, "training": steps}


def main() -> None:
    golden = {"versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}}
    golden |= {name: made(name) for name in LABELS}
    words, _ = tokenizer(HERE / "multi", "multi")
    text = LONG * 7
    golden["windows"] = {"text": text, "overlap": 9, "input_ids": words(text, truncation=True, max_length=40, stride=9, return_overflowing_tokens=True)["input_ids"]}
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    for file in HERE.glob("**/*.safetensors"):  # safetensors writes them for the owner only
        os.chmod(file, 0o644)


if __name__ == "__main__":
    main()
