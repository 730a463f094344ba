#!/usr/bin/env python3
"""PyTorch and transformers on the other side of `cargo xtask interop --only transformers`.

usage: peer.py make SHAPE DIR            a checkpoint with random weights: full (distilbert-base-uncased), bert, sharded, or an architecture's model_type
       peer.py logits DIR FILE N         the logits of a dataset's first N texts, as JSON: DIR's own tokenizer, one text at a time
       peer.py texts FILE N              N awkward texts as a dataset
       peer.py predictions DIR FILE [X]  holds what `kit-rs evaluate --predictions` wrote to transformers: tokens, and logits within X
       peer.py datasets DIR              multi.jsonl, figures.csv and pairs.tsv: several labels, a figure, two texts
       peer.py task DIR FILE TYPE N [X]  the same as predictions of a folder for such a task, as transformers opens it: its tokenizer, problem_type and N labels
       peer.py steps DIR DATASET OUT REPORT   the same steps of AdamW in PyTorch, and the weights' distances to OUT's
       peer.py train DIR DATASET VALID BATCH FIXED STEPS   trains, and prints times and accuracy as JSON (for the benchmark)

Needs: pip install torch transformers safetensors (written for torch 2.15, transformers 5.24).
"""
import json, pathlib, random, resource, string, sys, time

HERE = pathlib.Path(__file__).parent
AFTER_PADDING = ("roberta", "xlm-roberta", "camembert", "data2vec-text", "mpnet")  # whose positions are counted from the padding token's number
ODD = ["\u00e9\u00e8\u00fc\u00df", "\u4e2d\u6587\u7535\u5f71", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0645\u0631\u062d\u0628\u0627", "\u0939\u093f\u0928\u094d\u0926\u0940", "\ufb01\u2460\u00bd", "\u200b\u00ad\ufeff",
       "\x00\x07\x1b", "a\u0301\u0302", "[CLS]", "[SEP] [MASK]", "[PAD]", "##ing", "\u2014\u2026\u201c\u201d", "\t\r\n\u2028\u3000\u00a0", "\ud55c\uad6d\uc5b4", "\u0e44\u0e17\u0e22", "x" * 120, "$1,234.56%", "http://a.b/c?d=e&f", "\uff21\uff22", "\u0130\u0131", "\ue000\U0010ffff"]


def texts(n: int) -> list:
    draw = random.Random(5)
    words = "a good bad film movie watching unbelievable don't CAN'T Great, the plot acting-wise 10/10 so-so!!! résumé naïve".split()
    def piece():
        kind = draw.random()
        if kind < 0.5:
            return draw.choice(words)
        if kind < 0.75:
            return draw.choice(ODD)
        if kind < 0.9:
            return "".join(draw.choice(string.printable) for _ in range(draw.randint(1, 12)))
        return "".join(chr(draw.choice([draw.randint(1, 0x2FF), draw.randint(0x300, 0xD7FF), draw.randint(0xE000, 0x1FFFF)])) for _ in range(draw.randint(1, 8)))
    rows = ["x " + draw.choice(["", " ", "  "]).join(piece() for _ in range(draw.randint(1, 30))) for _ in range(n)]
    return [{"text": text, "label": draw.randint(0, 1)} for text in rows]


def make(shape: str, to: pathlib.Path) -> None:
    import torch
    from transformers import BertConfig, BertForSequenceClassification, DistilBertConfig, DistilBertForSequenceClassification
    torch.manual_seed(7)
    to.mkdir(parents=True, exist_ok=True)
    if shape not in ("full", "sharded", "bert"):
        tiny = architectures()
        wider = dict(hidden_size=96, num_labels=2, intermediate_size=200, num_attention_heads=6, max_position_embeddings=130 if shape in AFTER_PADDING else 128)
        if shape == "deberta-v2":
            wider |= dict(pooler_hidden_size=96, position_buckets=32)
        net, _ = tiny.network(shape, to, **wider)
        net.eval().save_pretrained(to)
        return
    tiny = HERE / "tiny-distilbert"
    if shape == "bert":
        net = BertForSequenceClassification(BertConfig(vocab_size=318, hidden_size=96, intermediate_size=200, num_hidden_layers=3, num_attention_heads=6, num_labels=2))
    else:
        vocab = 30522
        net = DistilBertForSequenceClassification(DistilBertConfig(vocab_size=vocab))
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight.mul_(1.5)
            if name.endswith(".bias"):  # as in every trained checkpoint; of one that begins at zero only Adam's update would be compared
                weight.add_(torch.randn_like(weight) * 0.02)
    net.save_pretrained(to, **({"max_shard_size": "60MB"} if shape == "sharded" else {}))
    (to / "tokenizer.json").write_bytes((tiny / "tokenizer.json").read_bytes())


def architectures():
    import importlib.util
    spec = importlib.util.spec_from_file_location("architectures", HERE / "architectures/make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def logits(folder: str, file: str, n: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    net, words = AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    longest, rows = min(128, words.model_max_length), []
    for sample in json.load(open(file))["samples"][:int(n)]:
        with torch.no_grad():
            rows.append(net(**words(sample["text"], truncation=True, max_length=longest, return_tensors="pt")).logits[0].tolist())
    print(json.dumps(rows))


def opened(folder: str):
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
    net, notes = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    if any(notes.get(key) for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs")):
        sys.exit(f"transformers complains: {notes}")
    path, told = pathlib.Path(folder), 1 << 30
    if net.config.model_type not in ("distilbert", "bert"):
        from transformers import AutoTokenizer
        made = AutoTokenizer.from_pretrained(folder)
        words, told = made.backend_tokenizer, made.model_max_length
    elif (path / "tokenizer.json").exists():
        words = PreTrainedTokenizerFast(tokenizer_file=str(path / "tokenizer.json"), pad_token="[PAD]").backend_tokenizer
    else:
        from transformers import BertTokenizer
        words = BertTokenizer(str(path / "vocab.txt")).backend_tokenizer
    longest = net.config.max_position_embeddings
    longest = longest - net.config.pad_token_id - 1 if net.config.model_type in AFTER_PADDING else longest
    words.no_padding(), words.enable_truncation(min(longest, told))  # as a pipeline with truncation has it
    return torch, net.eval(), words


def predictions(folder: str, file: str, bound: str = "2e-6") -> None:
    torch, net, words = opened(folder)
    rows = [json.loads(line) for line in open(file)]
    largest, differing = 0.0, 0
    for row in rows:
        ids = words.encode(row["text"]).ids
        differing += ids != row["input_ids"]
    for row in rows[:64]:
        with torch.no_grad():
            logits = net(torch.tensor([row["input_ids"]])).logits[0]
        largest = max(largest, (logits - torch.tensor(row["logits"])).abs().max().item())
    print(f"{len(rows)} texts, {differing} tokenized otherwise, logits within {largest:.2e}")
    if differing or largest > float(bound):
        sys.exit(1)


def datasets(to: pathlib.Path) -> None:
    draw = random.Random(3)
    words = {"fun": ["funny", "silly"], "long": ["endless", "slow"], "sad": ["tragic", "gloomy"]}
    def row():
        labels = [label for label in words if draw.random() < 0.45]
        return {"text": " ".join(["a film", *(draw.choice(words[label]) for label in labels)]) + f" {draw.random():.3f}", "label": labels}
    (to / "multi.jsonl").write_text("".join(json.dumps(row()) + "\n" for _ in range(80)))
    figures = [draw.randint(0, 5) for _ in range(80)]
    (to / "figures.csv").write_text("text;label\n" + "".join(f'"{"good " * n}film; {draw.random():.3f}";{n / 2}\n' for n in figures))
    pairs = [(draw.choice("abcdef"), draw.choice("abcdef")) for _ in range(80)]
    (to / "pairs.tsv").write_text("text\ttext_pair\tlabel\n" + "".join(f"the {a} film {draw.random():.3f}\tthe {b} plot\t{str(a == b).lower()}\n" for a, b in pairs))


def task(folder: str, file: str, problem_type: str, n_labels: str, bound: str = "2e-5") -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    net, words = AutoModelForSequenceClassification.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    rows, largest, differing = [json.loads(line) for line in open(file)], 0.0, 0
    for row in rows:
        inputs = words(*(row[key] for key in ("text", "text_pair") if key in row), return_tensors="pt", truncation=True)
        differing += inputs["input_ids"][0].tolist() != row["input_ids"]
        with torch.no_grad():
            largest = max(largest, (net(**inputs).logits[0] - torch.tensor(row["logits"])).abs().max().item())
    found = (net.config.problem_type, net.config.num_labels)
    print(f"{found}, {len(rows)} rows, {differing} tokenized otherwise, logits within {largest:.2e}")
    if found != (problem_type, int(n_labels)) or not rows or differing or largest > float(bound):
        sys.exit(1)


def batch(torch, words, samples, limit, fixed=0):
    rows = [words.encode(sample["text"]).ids for sample in samples]
    rows = [row if len(row) <= limit else row[:limit - 1] + row[-1:] for row in rows]
    longest = fixed or max(map(len, rows))
    return dict(input_ids=torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
                attention_mask=torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
                labels=torch.tensor([sample["label"] for sample in samples]))


def optimizer_of(torch, net, rate, n_steps, warmup):
    from transformers import get_linear_schedule_with_warmup
    decayed = architectures().distil.decayed_names(net)
    groups = [{"params": [p for n, p in net.named_parameters() if (n in decayed) == is_decayed], "weight_decay": decay} for is_decayed, decay in ((True, 0.01), (False, 0.0))]
    optimizer = torch.optim.AdamW(groups, lr=rate, fused=True)
    return optimizer, get_linear_schedule_with_warmup(optimizer, warmup, n_steps)


def steps(folder: str, dataset: str, out: str, report: str) -> None:
    from safetensors.torch import load_file
    torch, net, words = opened(folder)
    net = net.double()  # Adam makes the rounding errors of small gradients as large as the gradients: float32 is no measure for itself
    told = json.loads(open(report).read())
    samples, config = json.load(open(dataset))["samples"], told["config"]
    optimizer, schedule = optimizer_of(torch, net, config["learning_rate"], config["epochs"], -(-int(config["epochs"] * config["warmup"] * 1000) // 1000))
    inputs, worst_loss = batch(torch, words, samples, config["max_length"]), 0.0
    for step in range(config["epochs"]):
        loss = net(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        worst_loss = max(worst_loss, abs(loss.item() - told["losses"][step]) / loss.item())
        optimizer.step(), schedule.step(), optimizer.zero_grad()
    ours, distances = load_file(pathlib.Path(out) / "model.safetensors"), {}
    for name, theirs in net.state_dict().items():
        if not name.endswith(("k_lin.bias", "key.bias", "attn.k.bias")):  # their gradients are rounding errors, in PyTorch as here
            distances[name] = ((ours[name].double() - theirs).norm() / theirs.norm()).item()
    worst = max(distances, key=distances.get)
    print(f"{config['epochs']} steps: losses within {worst_loss:.1e}, weights within {distances[worst]:.1e} ({worst})")
    if worst_loss > 1e-4 or distances[worst] > 1e-4:
        sys.exit(1)


def train(folder: str, dataset: str, valid: str, size: str, fixed: str, n_steps: str) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerFast
    torch.manual_seed(42), torch.set_num_threads(2)
    net = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2).train()
    words = PreTrainedTokenizerFast(tokenizer_file=str(pathlib.Path(folder) / "tokenizer.json")).backend_tokenizer
    words.no_padding(), words.no_truncation()
    samples, size, fixed, n_steps = json.load(open(dataset))["samples"], int(size), int(fixed), int(n_steps)
    per_epoch = -(-len(samples) // size)
    n_steps = n_steps or 2 * per_epoch
    optimizer, schedule = optimizer_of(torch, net, 5e-5, n_steps, n_steps // 10)
    draw, times, order = random.Random(42), [], []
    for _ in range(n_steps):
        if len(order) < size:
            order = list(range(len(samples)))
            draw.shuffle(order)
        chosen, order = [samples[n] for n in order[:size]], order[size:]
        began, cpu = time.time(), time.process_time()
        loss = net(**batch(torch, words, chosen, 128, fixed)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step(), schedule.step(), optimizer.zero_grad()
        times.append((time.time() - began, time.process_time() - cpu))
    right, held_out = 0, json.load(open(valid))["samples"] if valid != "-" else []
    for at in range(0, len(held_out), 32):
        inputs = batch(torch, words, held_out[at:at + 32], 512)
        with torch.no_grad():
            right += (net.eval()(**inputs).logits.argmax(1) == inputs["labels"]).sum().item()
    wall, cpu = (sorted(t[n] for t in times)[len(times) // 2] for n in (0, 1))
    print(json.dumps({"step_wall_ms": wall * 1e3, "step_cpu_ms": cpu * 1e3, "n_steps": len(times), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                      "accuracy": right / len(held_out) if held_out else None, "torch": torch.__version__}))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make", shape, to]: make(shape, pathlib.Path(to))
        case ["texts", file, n]: pathlib.Path(file).write_text(json.dumps({"samples": texts(int(n))}))
        case ["logits", folder, file, n]: logits(folder, file, n)
        case ["predictions", folder, file, *bound]: predictions(folder, file, *bound)
        case ["datasets", to]: datasets(pathlib.Path(to))
        case ["task", *rest] if len(rest) in (4, 5): task(*rest)
        case ["steps", folder, dataset, out, report]: steps(folder, dataset, out, report)
        case ["train", *rest] if len(rest) == 6: train(*rest)
        case _: sys.exit(__doc__)
