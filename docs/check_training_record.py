#!/usr/bin/env python3
"""Checks a training record of kit-rs without kit-rs: Python's own library, nothing else.

    check_training_record.py MODEL [--key PUBLIC.pem] [--record FILE] [--states DIR]

MODEL is a model's folder as `kit-rs train` writes it, or as `kit-rs unpack` brings it. It is shown

* that the record's chain holds: no input and no link was changed, left out or moved;
* that the weights in the folder are those of the link of the epoch that was kept;
* with --key, that the holder of the key has signed the record and every other file of the folder
  (`kit-rs sign MODEL --key`, OpenSSF Model Signing with ECDSA P-256);
* with --states, that the optimiser's moments in the states that were kept are those of their links.

What it cannot show: that the steps between two links give what the links say. That takes the
training itself: `kit-rs verify REF --retrain`, or a sample of it with `--audit`.
"""

import argparse
import base64
import hashlib
import json
import pathlib
import sys

FORM = "kit-rs training record 1"
RECORD = "training-record.json"
SIGNATURE = "model.sig"


class Refused(Exception):
    pass


def require(holds, problem):
    if not holds:
        raise Refused(problem)


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


# The chain.


def chain_of_inputs(record):
    lines = [record["form"] + "\n"]
    # By the bytes of their names, as all that is sorted here.
    for name, value in sorted(record["inputs"].items(), key=lambda it: it[0].encode()):
        plain = "\n" not in name + value and "=" not in name
        require(plain, f"the input {name!r} would be two in the chain's text")
        lines.append(f"{name}={value}\n")
    return sha256("".join(lines).encode())


def chain_of_link(before, link):
    line = "{step} {epoch} {weights} {optimizer} {losses}".format(**link)
    return sha256(f"{before}\n{line}\n".encode())


def check_chain(record):
    """Returns the link of the weights that were kept."""
    require(record.get("form") == FORM, f"the record is no {FORM}")
    links = record["links"]
    require(links and links[0]["step"] == 0, "the record does not begin at step 0")
    tip, step, epoch = chain_of_inputs(record), 0, 0
    for n, link in enumerate(links):
        at = f"at step {link['step']}"
        require(chain_of_link(tip, link) == link["chain"], f"the chain does not hold {at}")
        follows = n == 0 or (link["step"] > step and link["epoch"] - epoch in (0, 1))
        require(follows, f"steps and epochs do not follow on each other {at}")
        require(len(link["losses"]) == 8 * (link["step"] - step), f"losses are missing {at}")
        tip, step, epoch = link["chain"], link["step"], link["epoch"]
    kept = [link for link in links if link["epoch"] == record["best_epoch"] > 0]
    require(kept, f"no link ends epoch {record['best_epoch']}")
    return kept[-1]


# Tensors.


def tensors(path):
    """Name and bytes of each tensor of a safetensors file."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + size :]
    return {name: body[slice(*tensor["data_offsets"])] for name, tensor in header.items()}


def digest_of_tensors(named):
    lines = [
        f"{name} {hashlib.sha256(named[name]).hexdigest()}\n"
        for name in sorted(named, key=str.encode)
    ]
    return sha256("".join(lines).encode())


def check_weights(folder, kept):
    found = digest_of_tensors(tensors(folder / "model.safetensors"))
    require(
        found == kept["weights"],
        f"the weights are {found}, and after epoch {kept['epoch']} they were {kept['weights']}",
    )


def check_states(folder, links):
    n_states = 0
    for link in links:
        path = folder / f"state-{link['step']}.safetensors"
        if not path.exists():
            continue
        moments = {
            name: data
            for name, data in tensors(path).items()
            if name.startswith(("first/", "second/"))
        }
        require(
            digest_of_tensors(moments) == link["optimizer"],
            f"the moments in {path.name} are not those of its link",
        )
        n_states += 1
    require(n_states, f"no state of the record's links is in {folder}")
    return n_states


# ECDSA over P-256 (FIPS 186-5, SEC 1), for verifying only: nothing here is secret.

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
GENERATOR = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def add(a, b):
    """The sum of two points; None is the neutral one."""
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P) % P
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P) % P
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(factor, point):
    total = None
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def read_public_key(path):
    """An uncompressed point of P-256, which ends a SubjectPublicKeyInfo (RFC 5480)."""
    lines = path.read_text().split("-----BEGIN PUBLIC KEY-----")[-1].split("-----END")[0]
    data = base64.b64decode("".join(lines.split()))
    beginning = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
    require(data.startswith(beginning) and len(data) == 91, f"{path} is no public key of P-256")
    x, y = (int.from_bytes(data[at : at + 32], "big") for at in (27, 59))
    on_curve = max(x, y) < P and (y * y - (x * x * x - 3 * x + B)) % P == 0
    require(on_curve, f"the key in {path} is no point of P-256")
    return x, y


def read_signature(data):
    """r and s of a DER SEQUENCE of two INTEGERs."""
    require(len(data) >= 8 and data[0] == 0x30 and data[1] == len(data) - 2, "no signature in DER")
    numbers, at = [], 2
    for _ in range(2):
        require(at + 2 <= len(data) and data[at] == 2, "no signature in DER")
        end = at + 2 + data[at + 1]
        require(end <= len(data), "no signature in DER")
        numbers.append(int.from_bytes(data[at + 2 : end], "big"))
        at = end
    require(at == len(data), "more than a signature")
    return numbers


def is_signed(message, signature, key):
    r, s = read_signature(signature)
    if not (0 < r < ORDER and 0 < s < ORDER):
        return False
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    inverse = pow(s, -1, ORDER)
    point = add(times(digest * inverse % ORDER, GENERATOR), times(r * inverse % ORDER, key))
    return point is not None and point[0] % ORDER == r


# The signature of a folder (OpenSSF Model Signing: a DSSE envelope in a Sigstore bundle).


def check_signature(folder, key):
    bundle = json.loads((folder / SIGNATURE).read_text())
    envelope = bundle["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    message = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    signatures = [base64.b64decode(it["sig"]) for it in envelope["signatures"]]
    require(any(is_signed(message, it, key) for it in signatures), "the key has not signed it")
    require(kind == b"application/vnd.in-toto+json", "what is signed is no statement")
    predicate = json.loads(payload)["predicate"]
    signed = {it["name"]: it["digest"] for it in predicate["resources"]}
    found = {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path != folder / SIGNATURE
    }
    names = sorted(set(signed) ^ set(found)) or [n for n in signed if signed[n] != found[n]]
    require(not names, f"{', '.join(names)}: not as it was signed")
    return len(signed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--record", type=pathlib.Path)
    parser.add_argument("--key", type=pathlib.Path)
    parser.add_argument("--states", type=pathlib.Path)
    options = parser.parse_args()
    try:
        record = json.loads((options.record or options.model / RECORD).read_text())
        kept = check_chain(record)
        print(f"chain: {len(record['links'])} links hold, to step {record['links'][-1]['step']}")
        check_weights(options.model, kept)
        print(f"weights: those after epoch {kept['epoch']}, {kept['weights']}")
        if options.states:
            print(f"states: {check_states(options.states, record['links'])} have their moments")
        if options.key:
            n_files = check_signature(options.model, read_public_key(options.key))
            print(f"signature: the key has signed all {n_files} files")
        else:
            print("signature: not looked at; without it anybody may have written the record")
    except BrokenPipeError:
        return 1  # nobody listens, which says nothing of the record
    except (Refused, KeyError, TypeError, ValueError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
