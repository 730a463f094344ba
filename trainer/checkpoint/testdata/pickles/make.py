#!/usr/bin/env python3
"""Make the files of `torch.save` beside this one: good ones in both forms with the same tensors as model.safetensors, and bad ones.

usage: make.py            (needs: pip install torch safetensors; made with torch 2.15)
"""
import collections, io, os, pathlib, pickle, zipfile

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


class Calls:
    """A pickle of it calls a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def main() -> None:
    torch.manual_seed(1)
    whole = torch.randn(6, 5)
    tensors = collections.OrderedDict(
        a=torch.randn(3, 4), half=torch.randn(2, 2).half(), brain=torch.randn(3).bfloat16(), double=torch.randn(2).double(), ids=torch.arange(4)[None],
        part=whole[2:4], scalar=torch.tensor(1.5), empty=torch.zeros(0, 3))
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, HERE / "model.safetensors")
    os.chmod(HERE / "model.safetensors", 0o644)
    tensors._metadata = {"": {"version": 1}}
    torch.save(tensors, HERE / "zip.bin")
    torch.save(tensors, HERE / "legacy.bin", _use_new_zipfile_serialization=False)
    parameters = {name: torch.nn.Parameter(tensor, requires_grad=False) for name, tensor in tensors.items()}
    torch.save(parameters, HERE / "parameters.bin")
    bad = {"weight": Calls(os.system, "exit 3")}
    torch.save(bad, HERE / "system.bin")
    torch.save(bad, HERE / "legacy-system.bin", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), HERE / "module.bin")
    torch.save({"weight": Calls(eval, "1")}, HERE / "stack-global.bin", pickle_protocol=4)
    torch.save({"turned": torch.randn(3, 4).T}, HERE / "strided.bin")
    torch.save({"epoch": 3, "state_dict": dict(tensors)}, HERE / "nested.bin")
    with zipfile.ZipFile(HERE / "zip.bin") as good, zipfile.ZipFile(HERE / "compressed.bin", "w", zipfile.ZIP_DEFLATED) as made:
        for entry in good.infolist():
            made.writestr(zipfile.ZipInfo(entry.filename), good.read(entry), zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main()
