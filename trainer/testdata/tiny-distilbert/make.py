#!/usr/bin/env python3
"""Make the tiny DistilBERT checkpoint beside this file and its golden values, with PyTorch and transformers.

usage: make.py            (needs: pip install torch transformers safetensors)

config.json, tokenizer.json, model.safetensors: a sequence classifier with random weights, as transformers saves it. The tokenizer
carries truncation and fixed padding of its own, as published checkpoints do: whoever loads it has to leave them out.
golden.json: texts, their token ids and logits; a batch with labels and what ten steps of AdamW do with it (dropout off, clipping
at 1, two warm-up steps, linear decay). golden-gradients.safetensors: the first step's gradients before clipping;
golden-after.safetensors: the weights after the tenth step.
"""
import json, os, pathlib, string

import torch, tokenizers, transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, decoders
from transformers import DistilBertConfig, DistilBertForSequenceClassification, get_linear_schedule_with_warmup

HERE = pathlib.Path(__file__).parent
WORDS = """a about acting actor all always amazing an and any are as at audience awful bad be beautiful best better big boring bright
brilliant but by camera can cast charming cinema clever cold comedy could dark deep did director do does drama dull end ending enjoy
even ever every excellent fail fails fantastic far fast feel fell felt few film films find fine first flat for forgettable fresh from
fun funny gem gentle good great had hard has hate hated have heart her him his hold horrible how i if in into is it its joy just
kind last laugh lazy leave less like lines little long look lost lot love loved made make makes many me mess moments more most movie
much music my never new nice no not nothing of off old on one only or our out over own pace part performance perfect plot poor
really right sad same scene scenes score script see seen she should shot show simple slow smart so some something still story
strong stupid sweet terrible than that the their them there they thing think this through time tired to too touching true two ugly
up very want warm was waste watch watched way we weak well were what when which while who why wise with without wonderful work
worst would wrong you your ##ed ##ing ##er ##ly ##s ##es ##est ##ful ##less ##ness""".split()
TEXTS = [
    "I love this movie, it is wonderful!", "The worst film I have ever seen.", "Great acting and a touching story.", "A dull, lazy mess.",
    "", "ok", "It was... fine?", "The Café's naïve résumé: 3.5/5 — not BAD",
    "\u7535\u5f71 good \U0001F600 film", "slowly endless watchfulness, untouchable!",
    "the plot is thin but the music and the camera make every scene of this long film a joy to watch and i never want it to end",
    "\tspaces   and\nlines\u200b and\u00a0odd \u0000 ones",
]
BATCH = [
    ("a wonderful film", 1), ("boring and slow, a waste of time", 0), ("the cast is brilliant", 1), ("i hated every scene", 0),
    ("charming, warm and funny from the first scene to the last", 1), ("terrible", 0), ("a true gem with heart", 1),
    ("the script is a mess and the ending is stupid", 0),
]


def tokenizer() -> Tokenizer:
    chars = string.ascii_lowercase + string.digits
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"!\"'(),-./:;?", *chars, *("##" + c for c in chars)]
    vocab += [word for word in WORDS if word not in vocab]
    made = Tokenizer(models.WordPiece({token: n for n, token in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    made.decoder = decoders.WordPiece(prefix="##")
    made.add_special_tokens(vocab[:5])
    return made


def model(n_words: int) -> DistilBertForSequenceClassification:
    torch.manual_seed(20)
    made = DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=n_words, dim=32, hidden_dim=64, n_layers=2, n_heads=4, max_position_embeddings=64, initializer_range=0.1,
        id2label={0: "negative", 1: "positive"}, label2id={"negative": 0, "positive": 1}))
    with torch.no_grad():  # biases and LayerNorm too, so that none of them can be forgotten unseen
        for name, weight in made.named_parameters():
            weight.copy_(torch.randn_like(weight) * 0.2 + (1 if name.endswith("layer_norm.weight") or name.endswith("LayerNorm.weight") else 0))
    return made.eval()


def padded(rows: list) -> dict:
    longest = max(map(len, rows))
    return {"input_ids": torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])}


def decayed_names(net) -> set:
    """Those that transformers' Trainer decays."""
    from transformers.trainer_pt_utils import get_parameter_names
    patterns = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
    return set(get_parameter_names(net, [torch.nn.LayerNorm], patterns))


def ten_steps(net, batch: dict, labels: torch.Tensor) -> dict:
    names = decayed_names(net)
    plain = [p for n, p in net.named_parameters() if n not in names]
    decayed = [p for n, p in net.named_parameters() if n in names]
    steps = {"learning_rate": 1e-3, "weight_decay": 0.01, "n_steps": 10, "warmup_steps": 2, "max_grad_norm": 1.0, "losses": [], "gradient_norms": []}
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=1e-3)
    schedule = get_linear_schedule_with_warmup(optimizer, 2, 10)
    for step in range(10):
        loss = net(**batch, labels=labels).loss
        loss.backward()
        if step == 0:
            save_file({n: p.grad.clone() for n, p in net.named_parameters()}, HERE / "golden-gradients.safetensors")
        steps["gradient_norms"].append(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0).item())
        steps["losses"].append(loss.item())
        optimizer.step(), schedule.step(), optimizer.zero_grad()
    save_file({n: p.detach() for n, p in net.named_parameters()}, HERE / "golden-after.safetensors")
    return steps


def main() -> None:
    words = tokenizer()
    net = model(words.get_vocab_size())
    net.save_pretrained(HERE)
    ids = [words.encode(text).ids for text in TEXTS]
    with torch.no_grad():
        logits = [net(torch.tensor([row])).logits[0].tolist() for row in ids]
    rows, labels = [words.encode(text).ids for text, _ in BATCH], [label for _, label in BATCH]
    golden = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "texts": TEXTS, "input_ids": ids, "logits": logits,
        "training": {"texts": [text for text, _ in BATCH], "labels": labels, **ten_steps(net, padded(rows), torch.tensor(labels))},
    }
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    words.enable_truncation(16)
    words.enable_padding(length=16)
    words.save(str(HERE / "tokenizer.json"))
    for file in HERE.glob("*.safetensors"):  # safetensors writes them for the owner only
        os.chmod(file, 0o644)


if __name__ == "__main__":
    main()
