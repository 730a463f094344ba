"""Every call of PyKitOps, through whatever program is called `kit` on the search path.

Called with `HOST:PORT DIR`: a registry that lets in `user` with the password `secret`, and an empty folder.
Prints a line for each call that does not do what it should; the exit code is 1 if there is one. The last line tells how many there were.
Written for kitops 1.5.0.
"""

import contextlib
import io
import os
import pathlib
import subprocess
import sys

import yaml
from kitops.cli import kit
from kitops.modelkit.kitfile import Kitfile
from kitops.modelkit.manager import ModelKitManager
from kitops.modelkit.user import UserCredentials

registry, folder = sys.argv[1], pathlib.Path(sys.argv[2])
project, work = folder / "project", folder / "work"
local, remote = "sdk/kit:v1", f"{registry}/sdk/kit:v1"
http = {"plain-http": True}
failed, called = [], 0

KITFILE = """\
manifestVersion: 1.0.0
package: {name: sdk, version: 1.0.0, description: d, authors: [me]}
model: {name: m, path: model.bin, framework: none}
datasets:
  - {name: data, path: data.csv}
code:
  - {path: run.py}
docs:
  - {path: README.md}
"""
FILES = {"model.bin": "model", "data.csv": "data", "run.py": "code", "README.md": "docs"}


def call(name, function, holds=lambda value: True):
    """Makes a call, and looks at what comes of it."""
    global called
    called += 1
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            value = function()
        if not holds(value):
            failed.append(f"{name}: {value!r}")
    except subprocess.CalledProcessError as error:
        failed.append(f"{name}: {error.returncode}: {error.stdout}{error.stderr}")
    except Exception as error:
        failed.append(f"{name}: {type(error).__name__}: {error}")


def unpacked(name, **flags):
    """Unpacks into a folder of its own; returns the names of the files."""
    place = work / name
    kit.unpack(flags.pop("reference", local), str(place), **flags)
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def flag(name, value=True):
    return {name: value}


project.mkdir(parents=True)
work.mkdir()
for name, content in FILES.items():
    (project / name).write_text(content)
(project / "Kitfile").write_text(KITFILE)
(work / "Other").write_text(KITFILE.replace("name: sdk", "name: other"))
everything = ["Kitfile", "README.md", "data.csv", "model.bin", "run.py"]

# Packing, and what is known of it here.
call("version", kit.version)
call("version, notifications", lambda: kit.version(**flag("show-update-notifications")))
call("pack", lambda: kit.pack(local, str(project)))
call("pack, two tags", lambda: kit.pack("sdk/kit:v1,v2", str(project)))
call("pack, file", lambda: kit.pack("sdk/other:v1", str(project), file=str(work / "Other")))
call("pack, compression", lambda: kit.pack("sdk/gzip:v1", str(project), compression="gzip"))
call("list", kit.list, lambda text: "sdk/kit" in text and "v2" in text)
call("info", lambda: kit.info(local), lambda it: it["package"]["name"] == "sdk")
call("info, filter", lambda: kit.info(local, filters=["package"]), lambda it: it["name"] == "sdk")
call("info, text", lambda: kit.info(local, filters=["model.name"]), lambda it: it == "m")
call("info, filters", lambda: kit.info(local, filters=["package", "model"]))
call("inspect", lambda: kit.inspect(local), lambda it: it["kitfile"]["package"]["name"] == "sdk")
call("inspect, file", lambda: kit.inspect("sdk/other:v1"), lambda it: it["kitfile"]["package"]["name"] == "other")
call("tag", lambda: kit.tag(local, "sdk/tagged:v1"))
call("unpack", lambda: unpacked("all"), lambda it: it == everything)
call("unpack, filters", lambda: unpacked("some", filters=["model", "docs:README.md"]), lambda it: it == ["README.md", "model.bin"])
call("unpack, overwrite", lambda: unpacked("all", overwrite=True), lambda it: it == everything)
call("unpack, compressed", lambda: unpacked("gzip", reference="sdk/gzip:v1"), lambda it: it == everything)
(folder / "init").mkdir()
(folder / "init" / "model.safetensors").write_text("m")
call("init", lambda: kit.init(str(folder / "init"), "made", "a description", "me"), lambda it: it.package.name == "made")
call("init, force", lambda: kit.init(str(folder / "init"), "again", force=True), lambda it: it.package.name == "again")

# There, and back.
call("login", lambda: kit.login("user", "secret", registry, **http))
call("tag, remote", lambda: kit.tag(local, remote))
call("push", lambda: kit.push(remote, **http))
call("push, concurrency", lambda: kit.push(remote, concurrency="2", **http))
call("list, remote", lambda: kit.list(f"{registry}/sdk/kit", **http), lambda text: "v1" in text)
call("info, remote", lambda: kit.info(remote, remote=True, **http), lambda it: it["model"]["name"] == "m")
call("inspect, remote", lambda: kit.inspect(remote, remote=True, **http), lambda it: it["digest"].startswith("sha256:"))
call("remove", lambda: kit.remove(remote))
call("unpack, streamed", lambda: unpacked("streamed", reference=remote, **http), lambda it: it == everything)
call("pull", lambda: kit.pull(remote, **http))
call("pull, tls-verify", lambda: kit.pull(remote, **flag("tls-verify"), **http))
call("remove, pulled", lambda: kit.remove(remote))
call("remove, force", lambda: kit.remove("sdk/gzip:v1", force=True))
call("remove, remote", lambda: kit.remove(remote, remote=True, **http))

# What every call takes.
for name in ["v", "vv", "vvv", "verbose"]:
    call(f"list, {name}", lambda name=name: kit.list(**flag(name)), lambda text: "sdk/tagged" in text)
for progress in ["none", "plain", "fancy"]:
    call(f"pack, progress {progress}", lambda progress=progress: kit.pack(local, str(project), progress=progress))
for level in ["trace", "debug", "info", "warn", "error"]:
    call(f"list, log-level {level}", lambda level=level: kit.list(**flag("log-level", level)))
call("list, config", lambda: kit.list(config=str(folder / "elsewhere")), lambda text: "sdk/" not in text)
call("list, help", lambda: kit.list(help=True))
call("remove, several", lambda: kit.remove("sdk/kit:v1,v2"))
call("list, without them", kit.list, lambda text: "sdk/kit" not in text and "sdk/tagged" in text)
call("logout", lambda: kit.logout(registry))
call("logout, unknown", lambda: kit.logout("nowhere.example"))

# A hub that stands in for Hugging Face's, where the program can be led to one.
if os.environ.get("HF_ENDPOINT"):
    call("import", lambda: kit.import_from_hf("org/tiny"))
    call("import, tag and token", lambda: kit.import_from_hf("org/tiny", tag="sdk/imported:v1", token="secret"))
    call("list, with it", kit.list, lambda text: "org/tiny" in text and "sdk/imported" in text)

# The manager, which is given no flags: it needs a registry that is plain without being told.
if os.environ.get("MANAGER"):
    user = UserCredentials("user", "secret", registry, "sdk")
    manager = ModelKitManager(str(project), user, modelkit_tag=f"{registry}/sdk/managed:v1")
    manager.kitfile = Kitfile(str(project / "Kitfile"))
    call("manager, pack and push", lambda: manager.pack_and_push_modelkit(save_kitfile=True))
    call("manager, inspect", manager.inspect_modelkit)
    manager.working_directory = str(work / "managed")
    call("manager, pull and unpack", lambda: manager.pull_and_unpack_modelkit(load_kitfile=True), lambda _: manager.kitfile.package.name == "sdk")
    call("manager, unpack some", lambda: ModelKitManager(str(work / "few"), user, modelkit_tag=f"{registry}/sdk/managed:v1").pull_and_unpack_modelkit(filters=["model"]))
    call("manager, remove", lambda: manager.remove_modelkit(local=True, remote=True))

print("\n".join(failed + [f"{called} calls, {len(failed)} failed"]))
sys.exit(bool(failed))
