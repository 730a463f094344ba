//! CNCF ModelPacks, with the specification's own validator and the tools that read and write them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::project::{Project, Tool, ensure_same};
use crate::peers::{Peers, run_quietly};
use crate::registries::Registry;
use crate::report::Report;

const SPEC: (&str, &str) =
    ("github.com/modelpack/model-spec", "v0.0.8-0.20251029035601-816c546bfd6b");
const MODCTL: (&str, &str) = ("github.com/modelpack/modctl", "v0.1.0");
const PYTHON: [&str; 2] = ["modelpack-client==0.1.0", "ramalama==0.25.0"];

/// Validates a config, as the specification does it.
const VALIDATE: &str = r#"package main

import (
	"fmt"
	"os"

	"github.com/modelpack/model-spec/schema"
)

func main() {
	if err := schema.ValidatorMediaTypeModelConfig.Validate(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
"#;

/// Reads a manifest as RamaLama does before it takes a model, and prints paths and modes.
const RAMALAMA: &str = r"
import json, sys
from ramalama.transports.oci.spec import Manifest, is_cncf_artifact_manifest
document = json.load(open(sys.argv[1]))
assert is_cncf_artifact_manifest(document)
for layer in Manifest.from_dict(document).layers:
    metadata = layer.file_metadata()
    assert metadata.name and metadata.size == layer.size, layer
    print(layer.filepath(), oct(metadata.mode))
";

const PROJECT: Project = Project {
    name: "demo",
    kitfile: "package:\n  name: demo\n  version: 1.0.0\n  license: MIT\n  authors: [me]\nmodel:\n  name: m\n  path: model\n  license: Apache-2.0\n  parameters: {num_parameters: 66955010, dtype: F32, model_type: bert}\ncode:\n  - path: code\ndocs:\n  - path: README.md\n",
    files: &[
        "model/w.safetensors",
        "model/config.json",
        "model/deep/tokenizer.json",
        "code/run.sh",
        "README.md",
    ],
    ignore: "",
};

struct Bench {
    ours: Tool,
    registry: Registry,
    root: PathBuf,
    reference: String,
}

/// Shows everything with ModelPack's tools.
pub(super) fn run(
    peers: &Peers,
    program: &Path,
    root: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let registry = Registry::ours(program, &root.join("registry"), "127.0.0.1:0", &[])?;
    let reference = format!("{}/demo/modelpack:v1", registry.address);
    let bench = Bench {
        ours: Tool::new(program, root.join("home"))?,
        registry,
        root: root.to_owned(),
        reference,
    };
    let folder = PROJECT.write(&bench.root)?.display().to_string();
    bench.ours.run(&["pack", &folder, "-t", &bench.reference, "--use-model-pack"])?;
    bench.ours.run(&["push", &bench.reference])?;
    match peers.go(MODCTL.0, MODCTL.1, "modctl") {
        Ok(modctl) => report.claim("modctl", "we pack, modctl pulls", || bench.modctl(&modctl)),
        Err(error) => report.skip("modctl", "we pack, modctl pulls", &format!("{error:#}")),
    }
    let spec = format!("model-spec {}", SPEC.1);
    report.claim(&spec, "our config is valid", || bench.validate(peers));
    match peers.python("modelpack-python", &PYTHON) {
        Ok(python) => {
            report.claim(
                PYTHON[1],
                "it reads our manifest, every layer with path and metadata",
                || bench.ramalama(&python),
            );
            report.claim(PYTHON[0], "we pack, it pulls the same files", || bench.pulled(&python));
            report.claim(PYTHON[0], "it pushes, we read a ModelPack without a Kitfile", || {
                bench.foreign(&python)
            });
        }
        Err(error) => report.skip("Python tools", "ModelPacks go both ways", &format!("{error:#}")),
    }
    Ok(())
}

impl Bench {
    fn inspect(&self, part: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.ours.run(&[
            "inspect",
            &self.reference,
            "--filter",
            part,
        ])?)?)
    }

    /// The files as they were packed: what no Kitfile or ignore file is.
    fn original(&self) -> anyhow::Result<PathBuf> {
        let folder = self.root.join("original");
        if !folder.exists() {
            PROJECT.write(&folder)?;
            fs::remove_file(folder.join("demo/Kitfile"))?;
        }
        Ok(folder.join("demo"))
    }

    fn modctl(&self, modctl: &Path) -> anyhow::Result<()> {
        let (out, store) = (self.root.join("modctl"), self.root.join("modctl-home"));
        let mut command = Command::new(modctl);
        command
            .args([
                "pull",
                &self.reference,
                "--plain-http",
                "--extract-from-remote",
                "--extract-dir",
            ])
            .arg(&out);
        run_quietly(command.arg("--storage-dir").arg(store))?;
        ensure_same(&self.original()?, &out)
    }

    fn validate(&self, peers: &Peers) -> anyhow::Result<()> {
        let digest = self.inspect("manifest.config.digest")?;
        let digest = digest.as_str().context("a digest is a text")?.replace(':', "/");
        let config = self.root.join("home/storage/blobs").join(digest);
        let module = peers.go_module(&[SPEC])?;
        fs::write(module.join("main.go"), VALIDATE)?;
        let validator = module.join("validate");
        run_quietly(
            Command::new("go")
                .args(["build", "-mod=mod", "-o"])
                .arg(&validator)
                .arg(".")
                .current_dir(&module),
        )?;
        let valid = Command::new(&validator)
            .stdin(Stdio::from(fs::File::open(&config)?.into_parts().0))
            .output()?;
        ensure!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
        let broken = fs::read_to_string(&config)?.replace("\"modelfs\"", "\"modelFS\"");
        fs::write(self.root.join("broken.json"), broken)?;
        let broken = fs::File::open(self.root.join("broken.json"))?.into_parts().0;
        let refused =
            Command::new(&validator).stdin(Stdio::from(broken)).stderr(Stdio::null()).status()?;
        ensure!(!refused.success(), "the validator takes anything");
        Ok(())
    }

    fn ramalama(&self, python: &Path) -> anyhow::Result<()> {
        let manifest = self.root.join("manifest.json");
        fs::write(&manifest, serde_json::to_vec(&self.inspect("manifest")?)?)?;
        let printed = run_quietly(Command::new(python).args(["-c", RAMALAMA]).arg(&manifest))?;
        let lines: Vec<&str> = printed.lines().collect();
        let expected = [
            "model/w.safetensors 0o644",
            "model/config.json 0o644",
            "model/deep/tokenizer.json 0o644",
            "code/run.sh 0o755",
            "README.md 0o644",
        ];
        ensure!(lines == expected, "{lines:?}");
        Ok(())
    }

    fn pulled(&self, python: &Path) -> anyhow::Result<()> {
        let out = self.root.join("pulled");
        let mut command = Command::new(python);
        command.args(["-m", "modelpack_client", "--insecure", "pull", &self.reference]).arg(&out);
        run_quietly(&mut command)?;
        let (mine, theirs) =
            (super::project::tree(&self.original()?)?, super::project::tree(&out)?);
        let contents = |tree: &std::collections::BTreeMap<String, (Vec<u8>, bool)>| {
            tree.iter()
                .map(|(path, (content, _))| (path.clone(), content.clone()))
                .collect::<Vec<_>>()
        };
        ensure!(contents(&mine) == contents(&theirs), "{:?} and {:?}", mine.keys(), theirs.keys());
        Ok(())
    }

    fn foreign(&self, python: &Path) -> anyhow::Result<()> {
        let reference = format!("{}/demo/foreign:v1", self.registry.address);
        let folder = self.root.join("foreign");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("w.safetensors"), "weights")?;
        fs::write(folder.join("config.json"), "{}")?;
        let digest = |text: &str| format!("sha256:{}", sha256(text));
        let config = serde_json::json!({
            "descriptor": {"name": "foreign", "licenses": ["MIT"]},
            "config": {"format": "safetensors"},
            "modelfs": {"type": "layers", "diffIds": [digest("weights"), digest("{}")]},
        });
        fs::write(folder.join("model.json"), config.to_string())?;
        let mut command = Command::new(python);
        command.args([
            "-m",
            "modelpack_client",
            "--insecure",
            "push",
            &reference,
            "--config",
            "model.json",
        ]);
        command.args(["--layer", "w.safetensors:application/vnd.cncf.model.weight.v1.raw"]);
        command.args(["--layer", "config.json:application/vnd.cncf.model.weight.config.v1.raw"]);
        run_quietly(command.current_dir(&folder))?;
        let out = self.root.join("foreign-out");
        self.ours.run(&["unpack", &reference, "-d", &out.display().to_string()])?;
        ensure!(
            fs::read(out.join("w.safetensors"))? == b"weights"
                && fs::read(out.join("config.json"))? == b"{}"
        );
        let format = self.ours.run(&["info", &reference, "--filter", "model.format"])?;
        ensure!(format.trim() == "safetensors", "{format}");
        Ok(())
    }
}

/// The SHA-256 of a short text, by the program that every system has.
fn sha256(text: &str) -> String {
    let script = "import hashlib, sys; print(hashlib.sha256(sys.argv[1].encode()).hexdigest())";
    run_quietly(Command::new("python3").args(["-c", script, text]))
        .unwrap_or_default()
        .trim()
        .to_owned()
}
