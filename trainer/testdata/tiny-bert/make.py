#!/usr/bin/env python3
"""Make the tiny BERT checkpoint beside this file and its golden values, with PyTorch and transformers.

usage: make.py            (needs: pip install torch transformers safetensors; made with torch 2.15, transformers 5.24)

The same as ../tiny-distilbert/make.py, whose texts, batch and ten steps are used, with three differences: the network is BERT's
(token type embedding, pooler), it has three labels without names, and its tokenizer is an old vocab.txt without tokenizer.json.
"""
import importlib.util, json, os, pathlib

import torch, tokenizers, transformers
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("distil", HERE.parent / "tiny-distilbert/make.py")
distil = importlib.util.module_from_spec(spec)
spec.loader.exec_module(distil)
distil.HERE = HERE


def main() -> None:
    vocabulary = sorted(distil.tokenizer().get_vocab().items(), key=lambda item: item[1])
    (HERE / "vocab.txt").write_text("".join(token + "\n" for token, _ in vocabulary))
    torch.manual_seed(21)
    net = BertForSequenceClassification(BertConfig(
        vocab_size=len(vocabulary), hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3,
        max_position_embeddings=64, type_vocab_size=2, num_labels=3, layer_norm_eps=1e-6))
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight.copy_(torch.randn_like(weight) * 0.2 + (1 if name.endswith("LayerNorm.weight") else 0))
    net.eval().save_pretrained(HERE)
    words = BertTokenizer(str(HERE / "vocab.txt"))
    ids = words(distil.TEXTS, truncation=True, max_length=64)["input_ids"]
    with torch.no_grad():
        logits = [net(torch.tensor([row])).logits[0].tolist() for row in ids]
    rows, labels = words([text for text, _ in distil.BATCH])["input_ids"], [label + label * (n % 3 == 0) for n, (_, label) in enumerate(distil.BATCH)]
    steps = distil.ten_steps(net, distil.padded(rows), torch.tensor(labels))
    golden = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "texts": distil.TEXTS, "input_ids": ids, "logits": logits,
        "training": {"texts": [text for text, _ in distil.BATCH], "labels": labels, **steps},
    }
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    for file in HERE.glob("*.safetensors"):
        os.chmod(file, 0o644)


if __name__ == "__main__":
    main()
