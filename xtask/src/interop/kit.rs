//! ModelKits, with KitOps' own `kit`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::Value;

use super::project::{Project, Tool, ensure_same, tree};
use crate::peers::{KIT, Peers};
use crate::registries::Registry;
use crate::report::Report;

const PROJECTS: [Project; 7] = [
    Project {
        name: "basic",
        kitfile: "package:\n  name: basic\n  version: 1.0.0\n  authors: [a, b]\nmodel:\n  name: m\n  path: ./model/\n  framework: x\n  parameters: {n: 1, f: 0.5, s: 'true', l: [1, 2]}\ncode:\n  - path: ./code\ndatasets:\n  - name: train\n    path: data/train.csv\n  - name: valid\n    path: data/valid\ndocs:\n  - path: README.md\n    description: <read> & me\n",
        files: &[
            "model/w.bin",
            "model/sub/x.json",
            "code/run.sh",
            "code/lib/a.py",
            "data/train.csv",
            "data/valid/v1.csv",
            "README.md",
            "not-packed",
        ],
        ignore: "",
    },
    Project {
        name: "parts",
        kitfile: "model:\n  name: m\n  path: model\n  parts:\n    - name: adapter\n      path: model/adapter/\n      type: lora-adapter\n    - path: outside/part.bin\nprompts:\n  - name: p\n    path: prompts/system.prompt.md\n  - path: skill\n",
        files: &[
            "model/w.bin",
            "model/adapter/a.bin",
            "outside/part.bin",
            "outside/other",
            "prompts/system.prompt.md",
            "skill/SKILL.md",
            "skill/run.sh",
        ],
        ignore: "",
    },
    Project {
        name: "ignores",
        kitfile: "model:\n  path: model\ncode:\n  - path: .\n",
        files: &[
            "model/a.bin",
            "model/a.tmp",
            "dir1/x",
            "dir1/sub/y",
            "dir2/deep/x",
            "dir2/x",
            "dir3/keep",
            "dir3/drop",
            "a1.log",
            "b12.log",
            "notes/z.md",
            "y.md",
        ],
        ignore: "# comment\n\n**/*.tmp\ndir1\ndir2/*/x\ndir3/*\n!dir3/keep\n?1.log\nnotes/*.md\n",
    },
    Project {
        name: "nested",
        kitfile: "model:\n  path: main\ndatasets:\n  - path: main/data\ndocs:\n  - path: main/data/docs\ncode:\n  - path: .\n",
        files: &[
            "main/a",
            "main/data/b",
            "main/data/docs/c",
            "main/data/docs/d/e",
            "main/code/f",
            "test7/test7/test7",
            "z",
        ],
        ignore: "",
    },
    Project {
        name: "names",
        kitfile: "code:\n  - path: .\n",
        files: &[
            "ünïcode/ß.txt",
            "a.b/c.d",
            "sp ace/f ile",
            "deep/0123456789012345678901234567890123456789/0123456789012345678901234567890123456789/0123456789012345678901234567890123456789/file",
            ".hidden/x",
            "x/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789.long",
        ],
        ignore: "",
    },
    Project {
        name: "whole",
        kitfile: "model:\n  name: all\n  path: .\n",
        files: &["a", "b/c", "Kitfile.bak"],
        ignore: "",
    },
    Project { name: "empty", kitfile: "package:\n  name: nothing\n", files: &["a"], ignore: "" },
];

/// Projects whose entries are single files, for raw layers.
const SINGLE: Project = Project {
    name: "single",
    kitfile: "package:\n  name: single\nmodel:\n  name: m\n  path: m/w.safetensors\n  format: safetensors\n  parts:\n    - path: m/config.json\ncode:\n  - path: run.sh\ndocs:\n  - path: docs/README.md\nprompts:\n  - path: p.prompt.md\n",
    files: &["m/w.safetensors", "m/config.json", "run.sh", "docs/README.md", "p.prompt.md"],
    ignore: "",
};

/// Two tools, a registry between them, and a folder for everything.
struct Bench {
    kit: Tool,
    ours: Tool,
    registry: Registry,
    root: PathBuf,
}

/// Shows everything with `kit`.
pub(super) fn run(
    peers: &Peers,
    program: &Path,
    workspace: &Path,
    root: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let peer = format!("kit {KIT}");
    super::sdk::run(peers, program, workspace, &root.join("sdk"), report)?;
    let kit = match peers.kit() {
        Ok(kit) => kit,
        Err(error) => {
            report.skip(&peer, "ModelKits go both ways", &format!("{error:#}"));
            return Ok(());
        }
    };
    let registry = Registry::ours(program, &root.join("registry"), "127.0.0.1:0", &[])?;
    let bench = Bench {
        kit: Tool::new(&kit, root.join("kit-home"))?,
        ours: Tool::new(program, root.join("our-home"))?,
        registry,
        root: root.to_owned(),
    };
    for project in &PROJECTS {
        let folder = project.write(&bench.root.join("projects"))?;
        report.claim(&peer, &format!("{}: equal layers and configs", project.name), || {
            bench.equal(project, &folder)
        });
        for compression in ["none", "gzip", "gzip-fastest", "zstd"] {
            let options = ["--compression", compression];
            report.claim(
                &peer,
                &format!("{}, {compression}: kit packs, we read and repack", project.name),
                || bench.theirs(project, &folder, compression, &options),
            );
            report.claim(
                &peer,
                &format!("{}, {compression}: we pack, kit reads", project.name),
                || bench.ours(project, &folder, compression, &options),
            );
        }
    }
    let folder = SINGLE.write(&bench.root.join("projects"))?;
    for (tag, options) in [
        ("raw", &["--layer-format", "raw"][..]),
        ("raw-zstd", &["--layer-format", "raw", "--compression", "zstd"]),
        ("modelpack", &["--use-model-pack"]),
        ("modelpack-raw", &["--use-model-pack", "--layer-format", "raw"]),
    ] {
        report.claim(&peer, &format!("{tag}: kit packs, we read and repack"), || {
            bench.theirs(&SINGLE, &folder, tag, options)
        });
        report.claim(&peer, &format!("{tag}: we pack, kit reads"), || {
            bench.ours(&SINGLE, &folder, tag, options)
        });
    }
    let basic = bench.root.join("projects/basic");
    report.claim(&peer, "manifests that a ModelKit carries: we pack, kit reads the rest", || {
        let manifests = bench.root.join("manifests");
        fs::create_dir_all(&manifests)?;
        fs::write(manifests.join("a.yaml"), "kind: ConfigMap\n")?;
        let options = ["--with-manifests", &manifests.display().to_string()];
        bench.ours(&PROJECTS[0], &basic, "manifests", &options)
    });
    report.claim(&peer, "a ModelPack of folders: we pack, kit reads", || {
        bench.ours(&PROJECTS[0], &basic, "folders", &["--use-model-pack"])
    });
    report.claim(&peer, "filters mean the same", || bench.filters());
    report.claim(&peer, "a model from another ModelKit, both ways", || bench.parents());
    report.claim(&peer, "MCP bundles, both ways", || bench.bundles());
    report.claim(&peer, "verify --rebuild proves what kit packed", || bench.rebuild());
    Ok(())
}

impl Bench {
    fn reference(&self, by: &str, project: &str, tag: &str) -> String {
        format!("{}/{by}/{project}:{tag}", self.registry.address)
    }

    /// A folder that is not there yet.
    fn out(&self, parts: &[&str]) -> anyhow::Result<String> {
        let path = self.root.join("out").join(parts.join("-"));
        if path.exists() {
            fs::remove_dir_all(&path)?;
        }
        Ok(path.display().to_string())
    }

    /// Uncompressed tar layers and the config have the digests that `kit` gives them.
    fn equal(&self, project: &Project, folder: &Path) -> anyhow::Result<()> {
        let name = format!("equal/{}:v1", project.name);
        let folder = folder.display().to_string();
        self.kit.run(&["pack", &folder, "-t", &name])?;
        self.ours.run(&["pack", &folder, "-t", &name])?;
        let manifest = |tool: &Tool| -> anyhow::Result<Value> {
            Ok(serde_json::from_str::<Value>(&tool.run(&["inspect", &name])?)?["manifest"].clone())
        };
        let (theirs, ours) = (manifest(&self.kit)?, manifest(&self.ours)?);
        ensure!(
            theirs["config"] == ours["config"],
            "config {} and {}",
            theirs["config"],
            ours["config"]
        );
        let layers = |manifest: &Value| manifest["layers"].as_array().cloned().unwrap_or_default();
        ensure!(
            layers(&theirs) == layers(&ours),
            "layers {} and {}",
            theirs["layers"],
            ours["layers"]
        );
        Ok(())
    }

    /// `kit` packs and pushes; we pull, list, inspect, unpack, and what we unpacked packs to the
    /// same content.
    fn theirs(
        &self,
        project: &Project,
        folder: &Path,
        tag: &str,
        options: &[&str],
    ) -> anyhow::Result<()> {
        let reference = self.reference("theirs", project.name, tag);
        let folder = folder.display().to_string();
        self.kit.run(&[&["pack", &folder, "-t", &reference], options].concat())?;
        self.kit.run(&["push", "--plain-http", &reference])?;
        let streamed = self.out(&["theirs", project.name, tag, "streamed"])?;
        self.ours.run(&["unpack", &reference, "-d", &streamed])?;
        self.ours.run(&["pull", &reference])?;
        let digest = self.ours.run(&["inspect", &reference, "--filter", "digest"])?;
        ensure!(
            self.ours.run(&["list"])?.contains(digest.trim().trim_matches('"')),
            "it is not in the list"
        );
        self.ours.run(&["verify", &reference, "--rebuild", &folder])?;
        let (by_us, by_kit) = (
            self.out(&["theirs", project.name, tag, "us"])?,
            self.out(&["theirs", project.name, tag, "kit"])?,
        );
        self.ours.run(&["unpack", &reference, "-d", &by_us])?;
        self.kit.run(&["unpack", &reference, "-d", &by_kit])?;
        ensure_same(Path::new(&by_kit), Path::new(&by_us))?;
        ensure_same(Path::new(&by_us), Path::new(&streamed))?;
        self.ours.run(&["verify", &reference, "--rebuild", &by_us])?;
        Ok(())
    }

    /// We pack and push; `kit` pulls, lists, inspects and unpacks.
    fn ours(
        &self,
        project: &Project,
        folder: &Path,
        tag: &str,
        options: &[&str],
    ) -> anyhow::Result<()> {
        let reference = self.reference("ours", project.name, tag);
        let folder = folder.display().to_string();
        let pinned = self.ours.run(&[&["pack", &folder, "-t", &reference], options].concat())?;
        let digest =
            pinned.trim().rsplit_once('@').context("pack prints a pinned name")?.1.to_owned();
        self.ours.run(&["push", &reference])?;
        let listed = self.kit.run(&[
            "list",
            "--plain-http",
            &self.reference("ours", project.name, tag).replace(&format!(":{tag}"), ""),
        ])?;
        ensure!(
            listed.contains(&digest[..20]) || listed.contains(tag),
            "kit does not list it: {listed}"
        );
        self.kit.run(&["pull", "--plain-http", &reference])?;
        let inspected: Value = serde_json::from_str(&self.kit.run(&["inspect", &reference])?)?;
        ensure!(inspected["digest"] == *digest, "kit says {}, not {digest}", inspected["digest"]);
        self.kit.run(&["info", &reference])?;
        let (by_us, by_kit) = (
            self.out(&["ours", project.name, tag, "us"])?,
            self.out(&["ours", project.name, tag, "kit"])?,
        );
        self.kit.run(&["unpack", &reference, "-d", &by_kit])?;
        self.ours.run(&["unpack", &reference, "-d", &by_us])?;
        ensure_same(Path::new(&by_kit), Path::new(&by_us))
    }

    /// Both choose the same files, for every kind of filter that `kit` knows.
    fn filters(&self) -> anyhow::Result<()> {
        let reference = "equal/basic:v1";
        for (i, filter) in [
            "model",
            "datasets",
            "datasets:train",
            "datasets:data/valid",
            "code,docs",
            "docs:README.md",
            "kitfile,model:m",
        ]
        .into_iter()
        .enumerate()
        {
            let (by_us, by_kit) = (
                self.out(&["filter", &i.to_string(), "us"])?,
                self.out(&["filter", &i.to_string(), "kit"])?,
            );
            self.kit.run(&["unpack", reference, "-d", &by_kit, "-f", filter])?;
            self.ours.run(&["unpack", reference, "-d", &by_us, "-f", filter])?;
            ensure_same(Path::new(&by_kit), Path::new(&by_us))
                .with_context(|| filter.to_owned())?;
        }
        Ok(())
    }

    /// A child of ours on a parent of theirs, and the other way round; ours names its parent by
    /// digest.
    fn parents(&self) -> anyhow::Result<()> {
        for (child, parent, by) in [(&self.ours, "theirs", "ours"), (&self.kit, "ours", "theirs")] {
            let base = self.reference(parent, "basic", "none");
            let folder = self.root.join(format!("projects/child-{by}"));
            fs::create_dir_all(folder.join("more"))?;
            fs::write(folder.join("more/file"), "of the child")?;
            let kitfile =
                format!("manifestVersion: 1.0.0\nmodel:\n  path: {base}\ncode:\n  - path: more\n");
            fs::write(folder.join("Kitfile"), kitfile)?;
            let reference = self.reference(by, "child", "v1");
            child.run(&["pack", &folder.display().to_string(), "-t", &reference])?;
            child.run(&if by == "ours" {
                vec!["push", &reference]
            } else {
                vec!["push", "--plain-http", &reference]
            })?;
            let (by_us, by_kit) =
                (self.out(&["child", by, "us"])?, self.out(&["child", by, "kit"])?);
            self.ours.run(&["unpack", &reference, "-d", &by_us])?;
            self.kit.run(&["unpack", "--plain-http", &reference, "-d", &by_kit])?;
            ensure_same(Path::new(&by_kit), Path::new(&by_us))?;
            let files = tree(Path::new(&by_us))?;
            ensure!(
                files.contains_key("model/w.bin") && files.contains_key("more/file"),
                "{:?}",
                files.keys()
            );
            let path = self.ours.run(&["info", &reference, "--filter", "model.path"])?;
            ensure!(
                by != "ours" || path.contains("@sha256:"),
                "the parent is not named by digest: {path}"
            );
        }
        Ok(())
    }

    fn bundles(&self) -> anyhow::Result<()> {
        let folder = self.root.join("projects/bundle");
        fs::create_dir_all(&folder)?;
        fs::write(
            folder.join("Kitfile"),
            "manifestVersion: 1.0.0\nmcpServers:\n  - name: tool\n    path: tool.mcpb\n",
        )?;
        let script = "import zipfile, sys; zipfile.ZipFile(sys.argv[1], 'w').writestr('manifest.json', '{}')";
        let mut python = std::process::Command::new("python3");
        crate::peers::run_quietly(python.args(["-c", script]).arg(folder.join("tool.mcpb")))?;
        let project = Project { name: "bundle", kitfile: "", files: &[], ignore: "" };
        self.theirs(&project, &folder, "v1", &[])?;
        self.ours(&project, &folder, "v1", &[])
    }

    /// The proof holds for the tree that was packed, and not for another.
    fn rebuild(&self) -> anyhow::Result<()> {
        let reference = self.reference("theirs", "basic", "gzip");
        let folder = self.root.join("projects/basic").display().to_string();
        let proof: Value = serde_json::from_str(&self.ours.run(&[
            "verify",
            &reference,
            "--rebuild",
            &folder,
            "--format",
            "json",
        ])?)?;
        ensure!(proof["rebuilt"]["sameKitfile"] == true, "{proof}");
        let plain = self.reference("theirs", "basic", "none");
        let proof: Value = serde_json::from_str(&self.ours.run(&[
            "verify",
            &plain,
            "--rebuild",
            &folder,
            "--format",
            "json",
        ])?)?;
        ensure!(proof["rebuilt"]["equalManifest"] == true, "{proof}");
        let other = self.root.join("projects/nested").display().to_string();
        ensure!(
            self.ours.run(&["verify", &plain, "--rebuild", &other]).is_err(),
            "another tree was taken for it"
        );
        Ok(())
    }
}
