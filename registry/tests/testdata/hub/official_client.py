"""Makes a tiny model, and takes it through a hub with the official client.

Called with `make DIR` it writes DIR/org/tiny; with `take DIR` it loads org/tiny from the hub at $HF_ENDPOINT and compares everything;
with `load DIR` it loads the model alone, as from a ModelKit, which offers no more.
Written for huggingface_hub 2.4 and transformers 5.23.
"""

import filecmp
import hashlib
import pathlib
import sys

import torch
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizerFast,
)

action, folder = sys.argv[1], pathlib.Path(sys.argv[2]) / "org" / "tiny"
text = "a good day"

if action == "make":
    folder.mkdir(parents=True)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "good", "bad", "day"]
    (folder / "vocab.txt").write_text("\n".join(words))
    DistilBertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(1)
    config = DistilBertConfig(vocab_size=len(words), dim=256, hidden_dim=512, n_layers=2, n_heads=4)
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    (folder / "extra").mkdir()
    (folder / "extra" / "a note.txt").write_text("note")
    sys.exit()


def logits(source):
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source).eval()
    with torch.no_grad():
        return model(**tokenizer(text, return_tensors="pt")).logits


def refused(error, call):
    try:
        call()
    except error:
        return
    raise AssertionError(f"{error.__name__} was expected")


if action == "load":
    assert torch.equal(logits("org/tiny"), logits(folder))
    sys.exit(print("loaded"))

snapshot = pathlib.Path(snapshot_download("org/tiny"))
files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
assert sorted(str(path.relative_to(snapshot)) for path in snapshot.rglob("*") if path.is_file()) == files, files
assert filecmp.cmpfiles(folder, snapshot, files, shallow=False) == (files, [], []), files
assert HfApi().model_info("org/tiny").sha == snapshot.name
assert HfApi().list_repo_files("org/tiny") == files, HfApi().list_repo_files("org/tiny")
assert pathlib.Path(hf_hub_download("org/tiny", "extra/a note.txt", revision=snapshot.name)).read_text() == "note"
assert torch.equal(logits("org/tiny"), logits(folder))
refused(RepositoryNotFoundError, lambda: snapshot_download("org/other"))
refused(RevisionNotFoundError, lambda: snapshot_download("org/tiny", revision="v9"))
refused(EntryNotFoundError, lambda: hf_hub_download("org/tiny", "none.txt"))
api = HfApi()
sizes = {path: (folder / path).stat().st_size for path in files}
info = api.model_info("org/tiny", files_metadata=True)
assert {sibling.rfilename: sibling.size for sibling in info.siblings} == sizes, info
weights = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
assert {s.lfs.sha256 for s in info.siblings if s.rfilename == "model.safetensors"} == {weights}, info
found = {entry.path for entry in api.get_paths_info("org/tiny", ["config.json", "extra", "none"], expand=True)}
assert found == {"config.json", "extra"}, found
assert [branch.target_commit for branch in api.list_repo_refs("org/tiny").branches] == [snapshot.name]
assert [commit.commit_id for commit in api.list_repo_commits("org/tiny")] == [snapshot.name]
assert "org/tiny" in [model.id for model in api.list_models(author="org", search="TIN")]
assert [model.id for model in api.list_models(author="nobody")] == []
refused(HfHubHTTPError, lambda: list(api.list_models(filter="text-classification")))
print("taken")
