#!/usr/bin/env python3
"""Write down which tokens `transformers` makes of a tokenizer's files when those beside it say something else of it.

usage: make.py            (needs: pip install transformers; made with transformers 5.24, tokenizers 0.23)

Each case is one of the two tiny checkpoints of ../../../testdata, some files beside its tokenizer (or another part of it),
and the ids of all texts; none where `transformers` refuses them.
"""
import json, pathlib, shutil, tempfile

import tokenizers, transformers
from transformers import AutoTokenizer

HERE = pathlib.Path(__file__).parent
CHECKPOINTS = HERE.parent.parent.parent / "testdata"
TEXTS = ["A Wonderful film, été 中文 x", "the plot<new> is thin [SEP] but the music", "[MASK] i never want to see it again and again and again", ""]


def added(token: str, number: int, **flags) -> dict:
    plain = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True, "special": False}
    return {"added_tokens_decoder": {str(number): {"content": token, **plain, **flags}}}


def settings(**keys) -> dict:
    return {"tokenizer_config.json": keys}


CASED = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": False}
CUT = {"direction": "Right", "max_length": 6, "strategy": "LongestFirst", "stride": 0}
PARTS = ["normalizer", "truncation", "pre_tokenizer"]
WHOLE, VOCABULARY = "tiny-distilbert", "tiny-bert"
CASES = {
    "cased": (WHOLE, settings(do_lower_case=False)),
    "accents are kept": (WHOLE, settings(strip_accents=False)),
    "chinese is not cut": (WHOLE, settings(tokenize_chinese_chars=False)),
    "another class heeds no case": (WHOLE, settings(tokenizer_class="PreTrainedTokenizerFast", do_lower_case=False)),
    "nobody calls it cased": (WHOLE, {"normalizer": CASED}),
    "another class calls it cased": (WHOLE, {"normalizer": CASED, **settings(tokenizer_class="PreTrainedTokenizerFast")}),
    "a token is added": (WHOLE, settings(**added("<new>", 318))),
    "a word is added": (WHOLE, settings(**added("film", 0, single_word=True))),
    "special tokens are text": (WHOLE, settings(split_special_tokens=True)),
    "the end is kept": (WHOLE, settings(truncation_side="left", model_max_length=8)),
    "the end is kept, by the tokenizer's own file": (WHOLE, {"truncation": {**CUT, "direction": "Left"}, **settings(model_max_length=8)}),
    "the file is overruled": (WHOLE, {"truncation": {**CUT, "direction": "Left"}, **settings(truncation_side="right", model_max_length=8)}),
    "the file's own length is nobody's": (WHOLE, {"truncation": CUT}),
    "the longest text in the words of old": (WHOLE, settings(max_len=8)),
    "the longest text in both words": (WHOLE, settings(max_len=5, model_max_length=8)),
    "the longest text is null in one": (WHOLE, settings(max_len=8, model_max_length=None)),
    "no longest text": (WHOLE, settings(model_max_length=1000000000000000019884624838656)),
    "a file as it is written, by its normalizer": (WHOLE, {"normalizer": {"type": "Lowercase"}, **settings(tokenizer_class="PreTrainedTokenizerFast")}),
    "a file as it is written, by its pre-tokenizer": (WHOLE, {"pre_tokenizer": {"type": "WhitespaceSplit"}, **settings(tokenizer_class="PreTrainedTokenizerFast")}),
    "a file as it is written, whatever it calls its special tokens": (WHOLE, settings(cls_token="[MASK]", tokenizer_class="PreTrainedTokenizerFast")),
    "further special tokens by name": (WHOLE, settings(extra_special_tokens={"new_token": "<new>"})),
    "a vocabulary alone": (VOCABULARY, {}),
    "a cased vocabulary": (VOCABULARY, settings(do_lower_case=False, strip_accents=None)),
    "a vocabulary with old added tokens": (VOCABULARY, {"added_tokens.json": {"<new>": 318}}),
    "a vocabulary with an added token": (VOCABULARY, settings(**added("<new>", 318))),
    "a vocabulary with further special tokens": (VOCABULARY, {"special_tokens_map.json": {"additional_special_tokens": ["<new>"]}}),
}


def ids(checkpoint: str, files: dict) -> list:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file in ["config.json", "tokenizer.json", "vocab.txt"]:
            if (CHECKPOINTS / checkpoint / file).exists():
                shutil.copy(CHECKPOINTS / checkpoint / file, folder / file)
        for file, document in files.items():
            if file in PARTS:
                whole = json.loads((folder / "tokenizer.json").read_text())
                file, document = "tokenizer.json", {**whole, file: document}
            (folder / file).write_text(json.dumps(document))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        longest = min(tokenizer.model_max_length, 64)
        return [tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in TEXTS]


def main() -> None:
    vocabulary = (CHECKPOINTS / VOCABULARY / "vocab.txt").read_text().split("\n")
    film = settings(**added("film", vocabulary.index("film"), single_word=True))
    CASES["a word is added"] = (WHOLE, film)
    cases = [{"name": name, "checkpoint": of, "files": files, "input_ids": ids(of, files)} for name, (of, files) in CASES.items()]
    versions = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    lines = ",\n".join(json.dumps(case) for case in cases)
    head = f'{{"versions": {json.dumps(versions)},\n"texts": {json.dumps(TEXTS)},\n"cases": [\n'
    (HERE / "golden.json").write_text(f"{head}{lines}\n]}}\n")


if __name__ == "__main__":
    main()
