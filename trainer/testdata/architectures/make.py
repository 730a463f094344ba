#!/usr/bin/env python3
"""Make a tiny checkpoint of each architecture in folders beside this file, and its golden values, with PyTorch and transformers.

usage: make.py [NAME ...]      (needs: pip install torch transformers safetensors sentencepiece protobuf; made with torch 2.15, transformers 5.24)

Each has random weights, biases and LayerNorms included, and a tokenizer in one of the forms that are published: `vocab.json` with
`merges.txt`, SentencePiece's model, `vocab.txt`, `tokenizer.json`. What transformers makes of the folder is written down:
golden.json: texts, their token ids and logits, the same of pairs; for architectures that are trained here also ten steps of AdamW,
as ../tiny-distilbert/make.py takes them, with golden-gradients.safetensors and golden-after.safetensors.
whole.json: the tokenizer.json that transformers makes of it.
dropouts.json: of a text, how many values are given to dropout at each place, where it is everywhere that it can be.
zero-shot.json: the pipeline's scores of labels of one's own.
tokenizers.json: cases of tokenizers: a folder's own files or whole.json as tokenizer.json, parts of that, settings, and the ids of all texts.
"""
import importlib.util, io, json, os, pathlib, shutil, sys, tempfile

import torch, tokenizers, transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

HERE = pathlib.Path(__file__).parent
spec = importlib.util.spec_from_file_location("distil", HERE.parent / "tiny-distilbert/make.py")
distil = importlib.util.module_from_spec(spec)
spec.loader.exec_module(distil)

TEXTS = [*distil.TEXTS, "a <mask> of <pad> and </s>", "[CLS] [MASK] [PAD]film", "  two  spaces ", "\ufb01lm \uff21\uff22 \u2460 ``quoted''",
         "word " * 70, "x" * 130, "\u0130stanbul\u00ad \u0301e", "don't can't 10/10\r\nnew line "]
PAIRS = [["a wonderful film", "the plot is thin"], ["", "best"], ["the cast is brilliant and " * 9, "a dull, lazy mess and " * 9], ["caf\u00e9 <pad>", ""]]
BASE = dict(hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=3, max_position_embeddings=64, num_labels=3)
AFTER_PADDING = dict(max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2)
SETTINGS = {
    "roberta": dict(**{**BASE, **AFTER_PADDING}, type_vocab_size=1, layer_norm_eps=1e-5),
    "xlm-roberta": dict(**{**BASE, **AFTER_PADDING}, type_vocab_size=1, layer_norm_eps=1e-5),
    "camembert": dict(**{**BASE, **AFTER_PADDING, "num_labels": 2}, type_vocab_size=1, hidden_act="gelu_new"),
    "data2vec-text": dict(**{**BASE, **AFTER_PADDING}, type_vocab_size=1),
    "electra": dict(**BASE, embedding_size=16, hidden_act="gelu"),
    "mpnet": dict(**{**BASE, **AFTER_PADDING}),
    "albert": dict(**{**BASE, "num_hidden_layers": 5}, embedding_size=16, num_hidden_groups=2, hidden_act="gelu_new"),
    "deberta-v2": dict(**BASE, relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"], share_att_key=True, norm_rel_ebd="layer_norm",
                       position_biased_input=False, max_relative_positions=-1, type_vocab_size=0, pooler_hidden_size=24),
    "modernbert": dict(**{**BASE, "num_hidden_layers": 4, "num_attention_heads": 2}, local_attention=8, layer_norm_eps=1e-5, classifier_pooling="mean",
                       pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3),
}
OTHERS = {"deberta-v2-convolution": ("deberta-v2", dict(conv_kernel_size=3, num_labels=2, conv_act="gelu", share_att_key=False, pos_att_type=["p2c"]))}  # of the same model_type
TRAINED = ["roberta", "camembert", "electra", "mpnet", "albert", "deberta-v2", "modernbert", *OTHERS]
RULES = {"\ufb01": "fi", "\uff21": "A", "\uff22": "B", "\u2460": "1", "\t": " ", "\n": " ", "\r": " ", "\u3000": " ", "\u00a0": " ", "\u200b": " ", "\u0130": "I"}


def corpus() -> list:
    draw = __import__("random").Random(3)
    words = [word for word in distil.WORDS if not word.startswith("##")]
    return [" ".join(draw.choice(words) for _ in range(9)).capitalize() + draw.choice([".", "!", ", 1/5", "?"]) for _ in range(400)]


def pieces(folder: pathlib.Path, name: str, size: int, **options) -> None:
    import sentencepiece
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as at:
        os.chdir(at)  # the model repeats the name of the rules' file
        rules = pathlib.Path("rules.tsv")
        rules.write_text("".join(f"{ord(a):X}\t{' '.join(f'{ord(c):X}' for c in b)}\n" for a, b in RULES.items()))
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(corpus()), model_writer=model, vocab_size=size, model_type="unigram",
                                                 normalization_rule_tsv=str(rules), minloglevel=2, num_threads=1, **options)
        (folder / name).write_bytes(model.getvalue())
        os.chdir(here)


def bpe(specials: list, size: int) -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, special_tokens=specials, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    made.train_from_iterator(corpus(), trainer)
    return made


def words(folder: pathlib.Path, specials: dict) -> None:
    vocabulary = [token for token, _ in sorted(distil.tokenizer().get_vocab().items(), key=lambda item: item[1])]
    vocabulary = [specials.get(token, token) for token in vocabulary]
    first = [token for token in specials.values() if token in vocabulary]
    vocabulary = sorted(vocabulary, key=lambda token: (first.index(token) if token in first else len(first)))
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in vocabulary))


def tokenizer(name: str, folder: pathlib.Path) -> None:
    match name:
        case "roberta" | "data2vec-text":
            made = json.loads(bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"], 340).to_str())["model"]
            (folder / "vocab.json").write_text(json.dumps(made["vocab"], ensure_ascii=False))
            (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in made["merges"]))
        case "xlm-roberta" | "camembert":
            pieces(folder, "sentencepiece.bpe.model", 200)
        case "albert":
            pieces(folder, "spiece.model", 200, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, pad_piece="<pad>", control_symbols=["[CLS]", "[SEP]"], user_defined_symbols=["[MASK]"])
        case "deberta-v2":
            pieces(folder, "spm.model", 200, pad_id=0, unk_id=3, bos_id=1, eos_id=2, pad_piece="[PAD]", unk_piece="[UNK]", bos_piece="[CLS]", eos_piece="[SEP]")
        case "electra":
            words(folder, {})
        case "mpnet":
            words(folder, {"[CLS]": "<s>", "[PAD]": "<pad>", "[SEP]": "</s>", "[MASK]": "<mask>"})
        case "modernbert":
            made = bpe(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], 340)
            made.normalizer = tokenizers.normalizers.NFC()
            made.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
            made.decoder = tokenizers.decoders.ByteLevel()
            made.save(str(folder / "tokenizer.json"))
            (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_input_names": ["input_ids", "attention_mask"],
                "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]", "unk_token": "[UNK]", "model_max_length": 64}))


def network(name: str, folder: pathlib.Path, **other):
    """A tokenizer in the folder, and a network with random weights for it."""
    tokenizer(name, folder)
    (folder / "config.json").write_text(json.dumps({"model_type": name}))
    made = AutoTokenizer.from_pretrained(folder)
    torch.manual_seed(sum(name.encode()))
    config = AutoConfig.for_model(name, vocab_size=len(made), **{"initializer_range": 0.1, **SETTINGS[name], **other})
    net = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        for part, weight in net.named_parameters():
            weight.copy_(torch.randn_like(weight) * 0.2 * (24 / config.hidden_size) ** 0.5 + (1 if "norm" in part.lower() and part.endswith(".weight") else 0))
    return net, config


def make(name: str) -> None:
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kind, other = OTHERS.get(name, (name, {}))
    net, config = network(kind, folder, **other)
    net.eval().save_pretrained(folder)
    if name == "roberta":  # the same in the oldest form
        torch.save(net.state_dict(), folder / "pytorch_model.bin")
    net = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    made = AutoTokenizer.from_pretrained(folder)
    longest = min(64, made.model_max_length)

    def of(*text):
        inputs = made(*text, truncation=True, max_length=longest, return_tensors="pt")
        with torch.no_grad():
            return inputs["input_ids"][0].tolist(), inputs.get("token_type_ids", torch.zeros(1, 0, dtype=torch.int64))[0].tolist(), net(**inputs).logits[0].tolist()

    ids, _, logits = zip(*map(of, TEXTS))
    # As lists: of a single pair whose second text is empty transformers makes a text alone.
    pair_ids, kinds, pair_logits = zip(*(of([text], [pair]) for text, pair in PAIRS))
    if not (folder / "tokenizer.json").exists():
        made.backend_tokenizer.save(str(folder / "whole.json"))
    golden = {
        "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__, "tokenizers": tokenizers.__version__},
        "texts": TEXTS, "input_ids": ids, "logits": logits,
        "pairs": PAIRS, "pair_input_ids": pair_ids, "pair_token_type_ids": kinds, "pair_logits": pair_logits,
    }
    if name in TRAINED:
        distil.HERE = folder
        rows, labels = made([text for text, _ in distil.BATCH])["input_ids"], [(label + label * (n % 3 == 0)) % config.num_labels for n, (_, label) in enumerate(distil.BATCH)]
        batch = distil.padded(rows)
        batch["input_ids"][batch["attention_mask"] == 0] = config.pad_token_id
        for module in net.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        golden["training"] = {"texts": [text for text, _ in distil.BATCH], "labels": labels, **distil.ten_steps(net, batch, torch.tensor(labels))}
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")
    for file in folder.glob("*.safetensors"):  # safetensors writes them for the owner only
        os.chmod(file, 0o644)


def added(token: str, number: int, **flags) -> dict:
    plain = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True, "special": False}
    return {"added_tokens_decoder": {str(number): {"content": token, **plain, **flags}}}


# Name: the checkpoint, whether it gets the tokenizer.json that transformers saves of it, parts of that, and settings.
TOKENIZERS = {
    "whole": (None, True, {}, {}),
    "whole, and its class is named": (None, True, {}, {"tokenizer_class": ...}),
    "as it is written": (None, True, {}, {"tokenizer_class": "PreTrainedTokenizerFast"}),
    "with a blank before": ("roberta", False, {}, {"add_prefix_space": True}),
    "with a blank before, whole": ("roberta", True, {}, {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizer"}),
    "without a blank before": ("xlm-roberta", False, {}, {"add_prefix_space": False}),
    "as older versions wrote it": ("xlm-roberta", True, {"pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}}, {"tokenizer_class": "XLMRobertaTokenizer"}),
    "lowered": ("deberta-v2", False, {}, {"do_lower_case": True}),
    "split at punctuation": ("deberta-v2", True, {}, {"split_by_punct": True, "tokenizer_class": "DebertaV2Tokenizer"}),
    "cased": ("albert", False, {}, {"do_lower_case": False, "keep_accents": True}),
    "cased words": ("mpnet", False, {}, {"do_lower_case": False}),
    "a mask that takes blanks": ("roberta", False, {}, {"mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False}}),
    "another class": ("xlm-roberta", True, {}, {"tokenizer_class": "CamembertTokenizer"}),
}


def cases() -> list:
    found = []
    for name, (only, is_whole, parts, settings) in TOKENIZERS.items():
        for checkpoint in [only] if only else SETTINGS:
            with tempfile.TemporaryDirectory() as at:
                folder = pathlib.Path(at)
                for file in (HERE / checkpoint).iterdir():
                    if not (file.suffix == ".safetensors" or file.name == "golden.json"):
                        shutil.copy(file, folder / file.name)
                files = {}
                if is_whole:
                    whole = HERE / checkpoint / "whole.json"
                    files["tokenizer.json"] = {**json.loads((whole if whole.exists() else folder / "tokenizer.json").read_text()), **parts}
                own = {}
                if (folder / "tokenizer_config.json").exists():
                    own = json.loads((folder / "tokenizer_config.json").read_text())
                if settings:
                    classes = {"roberta": "RobertaTokenizer", "data2vec-text": "RobertaTokenizer", "xlm-roberta": "XLMRobertaTokenizerFast", "camembert": "CamembertTokenizerFast", "electra": "ElectraTokenizer", "mpnet": "MPNetTokenizer", "albert": "AlbertTokenizer", "deberta-v2": "DebertaV2TokenizerFast", "modernbert": "PreTrainedTokenizerFast"}
                    files["tokenizer_config.json"] = {**own, **{key: classes[checkpoint] if value is ... else value for key, value in settings.items()}}
                for file, document in files.items():
                    (folder / file).write_text(json.dumps(document))
                made = AutoTokenizer.from_pretrained(folder)
                ids = [made(text, truncation=True, max_length=min(made.model_max_length, 64))["input_ids"] for text in TEXTS]
            found.append({"name": name, "checkpoint": checkpoint, "settings": files.get("tokenizer_config.json"), "is_whole": is_whole, "parts": parts, "input_ids": ids})
    return found


NAMES = ["contradiction", "neutral", "Entailment"]
ZERO_SHOT = [("roberta", ["film", "music", "the ending"], "This example is {}.", False), ("roberta", ["film", "music", "the ending"], "It is about {}!", True),
             ("roberta", ["film"], "This example is {}.", False), ("electra", ["good", "bad"], "The film is {}.", False)]


def zero_shot() -> dict:
    texts = [TEXTS[0], TEXTS[3], "a wonderful film " * 30]
    cases = []
    for checkpoint, labels, hypothesis, multi_label in ZERO_SHOT:
        net = AutoModelForSequenceClassification.from_pretrained(HERE / checkpoint, id2label=dict(enumerate(NAMES)), label2id={name: n for n, name in enumerate(NAMES)})
        words = AutoTokenizer.from_pretrained(HERE / checkpoint, model_max_length=64)
        pipe = transformers.pipeline("zero-shot-classification", model=net, tokenizer=words)
        scores = []
        for text in texts:
            found = pipe(text, candidate_labels=labels, hypothesis_template=hypothesis, multi_label=multi_label)
            scores.append([dict(zip(found["labels"], found["scores"]))[label] for label in labels])
        cases.append({"checkpoint": checkpoint, "labels": labels, "hypothesis": hypothesis, "multi_label": multi_label, "scores": scores})
    return {"names": NAMES, "texts": texts, "cases": cases}


def dropouts() -> dict:
    text, dropped = "a wonderful film " * 70, {}
    for checkpoint in [*TRAINED, "../tiny-distilbert", "../tiny-bert"]:
        everywhere = ["dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "attention_dropout", "seq_classif_dropout", "classifier_dropout",
                      "classifier_dropout_prob", "pooler_dropout", "cls_dropout", "embedding_dropout", "mlp_dropout"]
        config = AutoConfig.from_pretrained(HERE / checkpoint)
        for key in everywhere:
            setattr(config, key, 0.1)
        net = AutoModelForSequenceClassification.from_pretrained(HERE / checkpoint, config=config, attn_implementation="eager").train()
        seen, real = [], torch.nn.functional.dropout
        def noted(values, p=0.5, training=True, inplace=False):
            if training and p > 0:
                seen.append(values.numel())
            return real(values, p, training, inplace)
        torch.nn.functional.dropout = noted
        net(**AutoTokenizer.from_pretrained(HERE / checkpoint)(text, truncation=True, max_length=64, return_tensors="pt"))
        torch.nn.functional.dropout = real
        dropped[checkpoint] = sorted(seen)
    return {"text": text, "dropped": dropped}


def main() -> None:
    for name in sys.argv[1:] or [*SETTINGS, *OTHERS]:
        make(name)
    (HERE / "zero-shot.json").write_text(json.dumps(zero_shot(), indent=1) + "\n")
    (HERE / "dropouts.json").write_text(json.dumps(dropouts(), indent=1) + "\n")
    lines = ",\n".join(json.dumps(case) for case in cases())
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    (HERE / "tokenizers.json").write_text(f'{{"versions": {json.dumps(versions)},\n"texts": {json.dumps(TEXTS)},\n"cases": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
