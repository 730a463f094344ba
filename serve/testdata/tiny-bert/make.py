#!/usr/bin/env python3
"""Make the tiny BERT classifier beside this file and its golden values, with PyTorch and transformers.

usage: make.py            (needs: pip install torch transformers tokenizers safetensors)

Its sizes divide into nothing (48 wide, heads of 12, 80 in the feed-forward layers, 3 labels), so that the ends of panels are met; biases,
norms and both token types are random, so that none of them can be forgotten unseen. golden.json: texts, their token ids, PyTorch's logits.
"""
import json, os, pathlib, string

import torch, tokenizers, transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification

HERE = pathlib.Path(__file__).parent
WORDS = "a all and bad film good great i is it love more movie no not of plot that the this to was were worst".split()
TEXTS = ["I love this movie", "the worst film", "", "a", "It was... GOOD? no: great!", "good " * 45, "the plot is not that bad and i love it " * 3]


def tokenizer() -> Tokenizer:
    chars = string.ascii_lowercase + string.digits
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"!\"'(),-./:;?", *chars, *("##" + c for c in chars)]
    vocab += [word for word in WORDS if word not in vocab]
    made = Tokenizer(models.WordPiece({token: n for n, token in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    made.add_special_tokens(vocab[:5])
    return made


def main() -> None:
    words = tokenizer()
    torch.manual_seed(6)
    net = BertForSequenceClassification(BertConfig(
        vocab_size=words.get_vocab_size(), hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=64, layer_norm_eps=1e-7, id2label={0: "bad", 1: "so so", 2: "good"}))
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight.copy_(torch.randn_like(weight) * 0.2 + (1 if name.endswith("LayerNorm.weight") else 0))
    net.eval().save_pretrained(HERE)
    ids = [words.encode(text).ids for text in TEXTS]
    with torch.no_grad():
        logits = [net(torch.tensor([row])).logits[0].tolist() for row in ids]
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    (HERE / "golden.json").write_text(json.dumps({"versions": versions, "texts": TEXTS, "input_ids": ids, "logits": logits}, indent=1) + "\n")
    words.save(str(HERE / "tokenizer.json"))
    os.chmod(HERE / "model.safetensors", 0o644)


if __name__ == "__main__":
    main()
