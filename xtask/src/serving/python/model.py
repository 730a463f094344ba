"""Makes a model folder to measure with: random weights in the shape of an architecture's base model (but for the size of its vocabulary, which
costs nothing), a tokenizer of its own, and model.onnx beside them where PyTorch can write it.

usage: model.py DIR [ARCHITECTURE]
"""
import json, pathlib, string, sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

out, architecture = pathlib.Path(sys.argv[1]), (sys.argv[2] if len(sys.argv) > 2 else "distilbert")
BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
AFTER_PADDING = dict(max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
SHAPES = {
    "distilbert": {},
    "bert": BASE,
    "roberta": {**BASE, **AFTER_PADDING},
    "xlm-roberta": {**BASE, **AFTER_PADDING},
    "camembert": {**BASE, **AFTER_PADDING},
    "electra": dict(**BASE, embedding_size=768),
    "mpnet": {**BASE, **AFTER_PADDING},
    "albert": dict(**BASE, embedding_size=128),
    "deberta-v2": dict(**BASE, relative_attention=True, position_buckets=256, pos_att_type=["p2c", "c2p"], share_att_key=True, norm_rel_ebd="layer_norm",
                       position_biased_input=False, max_relative_positions=-1, type_vocab_size=0, pooler_hidden_size=768, pooler_hidden_act="gelu"),
    "modernbert": {},
}
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
specials = dict(pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
config = AutoConfig.for_model(architecture, vocab_size=30522, num_labels=2, id2label={0: "negative", 1: "positive"}, **specials, **SHAPES[architecture])
net = AutoModelForSequenceClassification.from_config(config).eval()
net.save_pretrained(out)
ids = torch.tensor([[2, 100, 101, 3], [2, 102, 103, 3]])


class Logits(torch.nn.Module):
    def __init__(self):
        super().__init__()
        # The other implementations of attention cannot be traced.
        self.net = AutoModelForSequenceClassification.from_pretrained(out, attn_implementation="eager").eval()

    def forward(self, input_ids, attention_mask):
        return self.net(input_ids=input_ids, attention_mask=attention_mask).logits


axes = {"input_ids": {0: "n", 1: "l"}, "attention_mask": {0: "n", 1: "l"}, "logits": {0: "n"}}
try:
    torch.onnx.export(Logits(), (ids, torch.ones_like(ids)), str(out / "model.onnx"), input_names=["input_ids", "attention_mask"],
                      output_names=["logits"], dynamic_axes=axes, opset_version=17, dynamo=False)
except Exception as error:
    (out / "model.onnx").unlink(missing_ok=True)
    (out / "no-onnx.txt").write_text(str(error).split("\n")[0][:200])
