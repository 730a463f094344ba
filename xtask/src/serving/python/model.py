"""Makes a model folder to measure with: random weights in distilbert-base's shape, a tokenizer of its own, and model.onnx beside them.

usage: model.py DIR
"""
import json, pathlib, string, sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import DistilBertConfig, DistilBertForSequenceClassification, PreTrainedTokenizerFast

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
words = [f"{a}{b}{c}" for a in "bcdfghlmnprst" for b in "aeiou" for c in ["", "n", "r", "s", "t", "l", "m"]]
chars = string.ascii_lowercase + string.digits
vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *".,!?'", *chars, *("##" + c for c in chars)]
vocab += [word for word in words if word not in vocab]
vocab += [f"[unused{n}]" for n in range(30522 - len(vocab))]
fast = Tokenizer(models.WordPiece({token: n for n, token in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=100))
fast.normalizer, fast.pre_tokenizer = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
fast.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
PreTrainedTokenizerFast(tokenizer_object=fast, model_max_length=512, model_input_names=["input_ids", "attention_mask"], **names).save_pretrained(out)
torch.manual_seed(42)
net = DistilBertForSequenceClassification(DistilBertConfig(num_labels=2, id2label={0: "negative", 1: "positive"})).eval()
net.save_pretrained(out)
ids = torch.tensor([[2, 100, 101, 3], [2, 102, 103, 3]])


class Logits(torch.nn.Module):
    def __init__(self):
        super().__init__()
        # The other implementations of attention cannot be traced.
        self.net = DistilBertForSequenceClassification.from_pretrained(out, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask):
        return self.net(input_ids=input_ids, attention_mask=attention_mask).logits


axes = {"input_ids": {0: "n", 1: "l"}, "attention_mask": {0: "n", 1: "l"}, "logits": {0: "n"}}
torch.onnx.export(Logits(), (ids, torch.ones_like(ids)), str(out / "model.onnx"), input_names=["input_ids", "attention_mask"],
                  output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False)
