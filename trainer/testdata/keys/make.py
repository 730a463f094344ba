#!/usr/bin/env python3
"""Write down which logits `transformers` computes when a key of `config.json` says something else, is there under two names, or is missing.

usage: make.py            (needs: pip install torch transformers; made with torch 2.15, transformers 5.24)

Each case is one of the tiny checkpoints beside this folder, keys that are set (`null` too) or removed, and the logits of all texts;
none where `transformers` refuses it, or would draw weights anew.
"""
import json, pathlib, shutil, tempfile

import torch, transformers
from transformers import AutoModelForSequenceClassification, AutoTokenizer

HERE = pathlib.Path(__file__).parent
TEXTS = ["a wonderful film", "the plot is thin and the music is dull, but i never want to see it end", ""]
OWN = {"tiny-distilbert": ("dim", "n_heads", "n_layers"), "tiny-bert": ("hidden_size", "num_attention_heads", "num_hidden_layers")}


def both() -> dict:
    """Cases of either family."""
    return {
        "as it is": {},
        "the layers' epsilon": {"layer_norm_eps": 0.5},
        "in BERT's words": {"hidden_act": "relu", "intermediate_size": 5, "hidden_dropout_prob": 0.9, "num_hidden_layers": 1},
        "in DistilBERT's words": {"activation": "relu", "hidden_dim": 5, "dropout": 0.9, "n_layers": 1},
        "relu in both words": {"activation": "relu", "hidden_act": "relu"},
        "gelu written out": {"activation": "gelu_python", "hidden_act": "gelu_python"},
        "no activation": {"activation": None, "hidden_act": None},
        "the tanh form of gelu": {"activation": "gelu_new", "hidden_act": "gelu_new"},
        "another number of heads in BERT's words": {"num_attention_heads": 2},
        "another number of heads in DistilBERT's words": {"n_heads": 2},
        "another width in BERT's words": {"hidden_size": 48},
        "another width in DistilBERT's words": {"dim": 48},
        "a decoder": {"is_decoder": True},
        "cross attention": {"add_cross_attention": True},
        "an encoder and decoder": {"is_encoder_decoder": True},
        "relative positions": {"position_embedding_type": "relative_key"},
        "positions by sines": {"sinusoidal_pos_embds": True},
        "feed-forward in chunks": {"chunk_size_feed_forward": 2},
        "a plain attention": {"attn_implementation": "eager", "_attn_implementation": "eager"},
        "half precision is how it was stored": {"torch_dtype": "float16"},
        "another way of saying so": {"dtype": "bfloat16"},
        "one layer less": {"n_layers": 1, "num_hidden_layers": 1},
        "a padding token that is another": {"pad_token_id": 5},
        "no padding token": {"pad_token_id": None},
        "a negative padding token": {"pad_token_id": -1},
        "more labels than the classifier has": {"num_labels": 3},
        "as many labels without names": {"num_labels": 2, "id2label": ...},
        "more labels without names": {"num_labels": 3, "id2label": ...},
        "names that contradict": {"label2id": {"x": 0, "y": 1}},
        "no names": {"id2label": None, "label2id": None},
        "names with numbers": {"id2label": {"0": 3, "1": 4}},
        "names as a list": {"id2label": ["a", "b"]},
        "names in another order": {"id2label": {"1": "b", "0": "a"}},
        "a name that is missing": {"id2label": {"0": "a", "2": "b"}},
        "regression": {"problem_type": "regression"},
        "several labels at once": {"problem_type": "multi_label_classification"},
        "an unknown problem": {"problem_type": "poetry"},
        "no problem": {"problem_type": None},
        "heads that were pruned": {"pruned_heads": {"0": [1]}},
        "no heads that were pruned": {"pruned_heads": {}},
        "left over from long ago": {"output_past": True, "tie_weights_": True, "return_dict": False, "torchscript": False, "use_cache": False},
        "answers with more than logits": {"output_hidden_states": True, "output_attentions": True},
        "another class": {"architectures": ["SomethingElse"]},
        "dropout": {"classifier_dropout": 0.9, "seq_classif_dropout": 0.9, "attention_probs_dropout_prob": 0.9, "attention_dropout": 0.9},
        "dropout that is null": {"classifier_dropout": None},
        "code of its own": {"auto_map": {"AutoModelForSequenceClassification": "own.Model"}},
        "another kind of tokens": {"type_vocab_size": 1},
        "no kinds of tokens": {"type_vocab_size": 0},
        "a vocabulary that is too small": {"vocab_size": 7},
        "fewer positions": {"max_position_embeddings": 8},
        "a size that is a text": {"vocab_size": "318"},
        "a size with a point": {"hidden_dim": 64.0, "intermediate_size": 48.0},
        "an epsilon that is a text": {"layer_norm_eps": "1e-12"},
    }


def activations(name: str) -> dict:
    kinds = ["relu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python", "silu", "tanh", "quick_gelu", "gelu_10", "mish", "sigmoid", None]
    return {f"{name} is {kind}": {name: kind} for kind in kinds}


# What the configuration classes of the architectures read besides.
THEIRS = {
    "roberta": {**activations("hidden_act"), "another padding token": {"pad_token_id": 3}, "a padding token beyond the positions": {"pad_token_id": 70},
        "a padding token that is 0": {"pad_token_id": 0}, "no padding token": {"pad_token_id": None}, "relative positions": {"position_embedding_type": "relative_key"},
        "the layers' epsilon": {"layer_norm_eps": 0.5}, "a decoder": {"is_decoder": True}, "feed-forward in chunks": {"chunk_size_feed_forward": 2},
        "without a pooler": {"add_pooling_layer": False}, "tied": {"tie_word_embeddings": False}, "no problem, one label less": {"num_labels": 2},
        "a summary": {"summary_type": "mean", "summary_activation": "relu", "summary_use_proj": False}},
    "electra": {**activations("hidden_act"), "a summary": {"summary_type": "mean", "summary_activation": "relu", "summary_use_proj": False, "summary_last_dropout": 0.3},
        "relative positions": {"position_embedding_type": "relative_key_query"}, "wide embeddings": {"embedding_size": 24}, "the layers' epsilon": {"layer_norm_eps": 0.5}},
    "mpnet": {**activations("hidden_act"), "other buckets": {"relative_attention_num_buckets": 16}, "more buckets": {"relative_attention_num_buckets": 64},
        "another padding token": {"pad_token_id": 3}, "the layers' epsilon": {"layer_norm_eps": 0.5}, "kinds of tokens": {"type_vocab_size": 2},
        "relative positions": {"position_embedding_type": "relative_key"}},
    "albert": {**activations("hidden_act"), "layers inside of groups": {"inner_group_num": 2}, "one group": {"num_hidden_groups": 1}, "three groups": {"num_hidden_groups": 3},
        "more layers": {"num_hidden_layers": 9}, "two layers": {"num_hidden_layers": 2}, "one layer of two groups": {"num_hidden_layers": 1}, "wide embeddings": {"embedding_size": 24},
        "gaps": {"down_scale_factor": 2, "gap_size": 1, "net_structure_type": 1, "num_memory_blocks": 3}, "relative positions": {"position_embedding_type": "relative_key"},
        "the layers' epsilon": {"layer_norm_eps": 0.5}, "a null dropout": {"classifier_dropout_prob": None}},
    "deberta-v2": {**activations("hidden_act"), **activations("pooler_hidden_act"), "a shorter distance": {"max_relative_positions": 16}, "a distance of 0": {"max_relative_positions": 0},
        "no buckets": {"position_buckets": -1}, "buckets that are 0": {"position_buckets": 0}, "no buckets and as short a distance": {"position_buckets": -1, "max_relative_positions": 8},
        "buckets that are null": {"position_buckets": None}, "missing buckets": {"position_buckets": ..., "max_relative_positions": 8}, "other buckets": {"position_buckets": 16},
        "both kinds as a text": {"pos_att_type": "p2c|c2p"}, "spaces and capitals": {"pos_att_type": " C2P | p2c"}, "one kind": {"pos_att_type": "c2p"}, "the other kind": {"pos_att_type": ["p2c"]},
        "no kind": {"pos_att_type": []}, "a null kind": {"pos_att_type": None}, "an unknown kind": {"pos_att_type": ["p2c", "c2p", "p2p"]}, "capitals in a list": {"pos_att_type": ["P2C", "C2P"]},
        "projections of their own": {"share_att_key": False}, "no word of projections": {"share_att_key": ...}, "no norm of distances": {"norm_rel_ebd": "none"}, "a list of norms": {"norm_rel_ebd": "layer_norm|batch_norm"},
        "a missing norm": {"norm_rel_ebd": ...}, "no relative attention": {"relative_attention": False}, "positions, too": {"position_biased_input": True}, "kinds of tokens": {"type_vocab_size": 2},
        "a head size": {"attention_head_size": 4}, "steps of z": {"z_steps": 2}, "convolutions": {"conv_kernel_size": 3, "conv_act": "gelu"}, "no convolutions": {"conv_kernel_size": 0},
        "narrow embeddings": {"embedding_size": 16}, "a head of another width": {"pooler_hidden_size": 12}, "legacy": {"legacy": False}, "the layers' epsilon": {"layer_norm_eps": 0.5}, "another padding token": {"pad_token_id": 3}},
    "modernbert": {**activations("hidden_activation"), **activations("classifier_activation"), "BERT's activation": {"hidden_act": "relu"}, "the first token": {"classifier_pooling": "cls"}, "no word of pooling": {"classifier_pooling": ...},
        "another pooling": {"classifier_pooling": "max"}, "a shorter window": {"local_attention": 4}, "an odd window": {"local_attention": 5}, "a window of 0": {"local_attention": 0}, "no word of the window": {"local_attention": ...},
        "a sliding window": {"sliding_window": 2}, "all see all": {"layer_types": ["full_attention"] * 4}, "none see all": {"layer_types": ["sliding_attention"] * 4}, "every second": {"layer_types": ..., "global_attn_every_n_layers": 2},
        "both words": {"global_attn_every_n_layers": 2}, "every first": {"layer_types": ..., "global_attn_every_n_layers": 1}, "no word of layers": {"layer_types": ...}, "unknown layers": {"layer_types": ["linear_attention"] * 4}, "too few layers": {"layer_types": ["full_attention"]},
        "thetas": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 500.0}, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}},
        "thetas as they were": {"rope_parameters": ..., "global_rope_theta": 500.0, "local_rope_theta": 100.0}, "a null theta": {"rope_parameters": ..., "global_rope_theta": 500.0, "local_rope_theta": None},
        "thetas twice": {"global_rope_theta": 500.0}, "one theta": {"rope_parameters": {"full_attention": {"rope_theta": 500.0, "rope_type": "default"}}}, "a theta without its kind": {"rope_parameters": {"full_attention": {"rope_theta": 500.0}}},
        "a theta for all": {"rope_parameters": {"rope_theta": 500.0, "rope_type": "default"}}, "another kind of turning": {"rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}}},
        "stretched": {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, "half turned": {"partial_rotary_factor": 0.5}, "half turned in the parameters": {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 500.0, "partial_rotary_factor": 0.5}}}, "a head size": {"head_dim": 6},
        "norms with a bias": {"norm_bias": True}, "attention with a bias": {"attention_bias": True}, "the head with a bias": {"classifier_bias": True}, "the layers' epsilon": {"norm_eps": 0.5}, "BERT's epsilon": {"layer_norm_eps": 0.5},
        "how attention is computed": {"deterministic_flash_attn": True, "reference_compile": True, "repad_logits_with_grad": True, "sparse_prediction": True}, "another padding token": {"pad_token_id": 3}},
}


def of(checkpoint: str) -> dict:
    if checkpoint.startswith("architectures/"):
        return {"as it is": {}, **THEIRS[checkpoint.split("/")[1]]}
    config = json.loads((HERE.parent / checkpoint / "config.json").read_text())
    cases = both()
    theirs = OWN["tiny-bert" if checkpoint == "tiny-distilbert" else "tiny-distilbert"]
    for mine, other in zip(OWN[checkpoint], theirs):
        value = config[mine]
        cases[f"{mine} as {other}"] = {mine: ..., other: value}
        cases[f"{mine} twice"] = {other: value}
        cases[f"{mine} is null, {other} is not"] = {mine: None, other: value}
    return cases


def logits(checkpoint: str, edits: dict):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / "m"
        shutil.copytree(HERE.parent / checkpoint, folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        config = {**json.loads((folder / "config.json").read_text()), **edits}
        config = {key: value for key, value in config.items() if value is not ...}
        (folder / "config.json").write_text(json.dumps(config))
        try:
            model, info = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
            drawn = list(info["missing_keys"]) + list(info.get("mismatched_keys", []))
            if drawn:
                return None, f"draws {sorted(map(str, drawn))[0]} anew"
            with torch.no_grad():
                rows = [model.eval()(**tokenizer(text, truncation=True, max_length=64, return_tensors="pt")) for text in TEXTS]
            rows = [(row[0] if isinstance(row, tuple) else row.logits)[0].tolist() for row in rows]
            return rows, model.config.id2label
        except Exception as error:
            return None, f"{type(error).__name__}: {str(error).strip().splitlines()[0][:100]}"


def main() -> None:
    lines = []
    for checkpoint in [*OWN, *(f"architectures/{name}" for name in THEIRS)]:
        for name, edits in of(checkpoint).items():
            rows, said = logits(checkpoint, edits)
            set_, removed = {k: v for k, v in edits.items() if v is not ...}, [k for k, v in edits.items() if v is ...]
            labels = None if rows is None else [str(said.get(n)) for n in range(len(said))]
            lines.append(json.dumps({"name": name, "checkpoint": checkpoint, "set": set_, "removed": removed, "labels": labels, "logits": rows, "refused": said if rows is None else None}))
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    text = ",\n".join(lines)
    (HERE / "golden.json").write_text(f'{{"versions": {json.dumps(versions)},\n"texts": {json.dumps(TEXTS)},\n"cases": [\n{text}\n]}}\n')


if __name__ == "__main__":
    main()
