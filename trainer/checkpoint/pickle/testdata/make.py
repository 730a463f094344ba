#!/usr/bin/env python3
"""Make the files of `torch.save` beside this one: good ones in both forms with the same tensors as model.safetensors, and bad ones;
and in shapes/ pickles of other kinds.

usage: make.py [shapes]   (needs: pip install torch numpy safetensors; made with torch 2.15; shapes alone needs numpy)
"""
import collections, datetime, functools, io, os, pathlib, pickle, sys, zipfile

HERE = pathlib.Path(__file__).parent


class Calls:
    """A pickle of it calls a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def shapes() -> None:
    import numpy
    out = HERE / "shapes"
    out.mkdir(exist_ok=True)
    bad = {"weight": Calls(os.system, "exit 3")}
    values = {"a": [1, -2, 3.5, None, True, 2**70, b"bytes", "text"], "b": ({1, 2}, frozenset([3]), 1 + 2j, bytearray(b"x"), collections.OrderedDict(c=range(3))),
              "d": datetime.datetime(2026, 11, 29)}
    for protocol in range(6):
        (out / f"values-{protocol}.pkl").write_bytes(pickle.dumps(values, protocol))
    (out / "protocol0.pkl").write_bytes(pickle.dumps(bad, 0))
    # INST: a class of a module, called with what is since the mark.
    (out / "instance.pkl").write_bytes(b"(S'exit 3'\niposix\nsystem\n.")
    (out / "second.pkl").write_bytes(pickle.dumps([1], 4) + pickle.dumps(bad, 4))
    (out / "partial.joblib").write_bytes(pickle.dumps(functools.partial(print, 1), 4))
    (out / "reduce-ex.pkl").write_bytes(pickle.dumps(Calls(exec, "1"), 5))
    (out / "array.pkl").write_bytes(pickle.dumps(numpy.arange(3.0), 4))
    numpy.save(out / "numbers.npy", numpy.arange(3.0))
    objects = numpy.array([Calls(os.system, "exit 3")], dtype=object)
    numpy.save(out / "objects.npy", objects)
    with zipfile.ZipFile(out / "objects.npz", "w") as made:
        made.writestr(zipfile.ZipInfo("a.npy"), (out / "objects.npy").read_bytes())
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr(zipfile.ZipInfo("archive/data.pkl"), pickle.dumps(bad, 2))
    with zipfile.ZipFile(out / "in-archives.zip", "w") as made:
        made.writestr(zipfile.ZipInfo("deep/model.pt"), inner.getvalue())


def main() -> None:
    import torch
    from safetensors.torch import save_file
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
    if sys.argv[1:] != ["shapes"]:
        main()
    shapes()
