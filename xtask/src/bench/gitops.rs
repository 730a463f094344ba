//! Building kustomizations, side by side with `kustomize` and `kubectl kustomize`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use fs_err as fs;
use serde_json::json;

use crate::build;
use crate::conformance::kustomize::{KUSTOMIZE, kustomize};
use crate::e2e::say;
use crate::measure::{Cost, Side, alternate, machine, run as measured};
use crate::peers::{Peers, on_search_path};
use crate::scratch::{MIB, Scratch};

/// Build kustomizations, side by side with `kustomize` and `kubectl kustomize`
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many objects the kustomization has; a second one has twice as many
    #[arg(long, default_value_t = 4000)]
    objects: usize,
    /// How many patches it has
    #[arg(long, default_value_t = 200)]
    patches: usize,
    /// How many files lie around a small overlay
    #[arg(long, default_value_t = 14_000)]
    files: usize,
    /// How many definitions of kinds a large overlay has, of 45 kB each
    #[arg(long, default_value_t = 300)]
    definitions: usize,
    /// How often each side runs
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The `kit-rs` to measure, if it is built already
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// One kustomization: the repository and the folder within it.
struct Material {
    name: String,
    root: PathBuf,
    folder: &'static str,
}

/// Runs the benchmark.
pub(crate) fn run(args: &Args, workspace: &Path) -> anyhow::Result<()> {
    let ours = match &args.program {
        Some(program) => fs::canonicalize(program)?,
        None => build::optimised_for_training(workspace)?, // `gitops` is in whole builds only
    };
    let theirs = kustomize(&Peers::new(workspace)?)?;
    let kubectl = on_search_path("kubectl");
    let scratch = Scratch::new(&workspace.join("target/bench/gitops"), 200 * MIB)?;
    say(&format!(
        "\n{}\nkustomize {KUSTOMIZE}, kubectl {}, kit-rs of this tree; medians of {} alternating runs\n",
        machine(),
        kubectl.as_deref().map_or_else(|| Ok("absent".to_owned()), version)?,
        args.rounds
    ));
    let materials = [
        many(scratch.path(), args.objects, args.patches)?,
        many(scratch.path(), 2 * args.objects, args.patches)?,
        small(scratch.path(), args.files)?,
        large(scratch.path(), args.definitions)?,
    ];
    let mut rows = Vec::new();
    let mut walls = Vec::new();
    for material in &materials {
        let out = |name: &str| scratch.path().join(format!("{name}.yaml"));
        let in_root = |program: &Path, words: &[&str]| {
            let mut command = Command::new(program);
            command.args(words).current_dir(&material.root).stderr(Stdio::null());
            command
        };
        let mut sides = vec![
            side("kit-rs", in_root(&ours, &["gitops", "build", material.folder]), out("ours")),
            side("kustomize", in_root(&theirs, &["build", material.folder]), out("theirs")),
        ];
        if let Some(kubectl) = &kubectl {
            let command = in_root(kubectl, &["kustomize", material.folder]);
            sides.push(side("kubectl kustomize", command, out("kubectl")));
        }
        let costs = alternate(args.rounds, &mut sides)?;
        let names: Vec<&str> = sides.iter().map(|side| side.name).collect();
        let n = |name: &str| -> anyhow::Result<usize> {
            Ok(fs::read_to_string(out(name))?.lines().filter(|line| *line == "---").count() + 1)
        };
        let counts = (n("ours")?, n("theirs")?);
        ensure!(counts.0 == counts.1, "{} and {} objects are built", counts.0, counts.1);
        say(&table(&material.name, &names, &costs));
        walls.push(costs[0].cpu.as_secs_f64());
        let row = |(name, cost): (&&str, &Cost)| {
            json!({
                "side": name, "wall_s": cost.wall.as_secs_f64(), "cpu_s": cost.cpu.as_secs_f64(),
                "peak_bytes": cost.peak,
            })
        };
        let sides: Vec<_> = names.iter().zip(&costs).map(row).collect();
        rows.push(json!({ "name": material.name, "objects": counts.0, "sides": sides }));
    }
    say(&format!("twice the objects cost kit-rs {:.2} × the time", walls[1] / walls[0]));
    let document = json!({ "machine": machine(), "kustomize": KUSTOMIZE, "rows": rows });
    let path = workspace.join("target/bench/gitops.json");
    fs::write(&path, serde_json::to_string_pretty(&document)?)?;
    say(&format!("written to {}", path.display()));
    Ok(())
}

fn version(kubectl: &Path) -> anyhow::Result<String> {
    let output = Command::new(kubectl).args(["version", "--client"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(str::trim).collect::<Vec<_>>().join(", "))
}

fn side(name: &'static str, mut command: Command, out: PathBuf) -> Side<'static> {
    let run = Box::new(move || {
        command.stdout(Stdio::from(fs::File::create(&out)?.into_file()));
        measured(&mut command)
    });
    Side { name, run }
}

fn table(name: &str, names: &[&str], costs: &[Cost]) -> String {
    let mut table = format!("{name}\n");
    for (name, cost) in names.iter().zip(costs) {
        let _ = writeln!(
            table,
            "  {name:<18} {:>8.3} s {:>8.3} s CPU {:>6.1} MiB  {:>6.1} × the time of kit-rs, {:>6.1} × its CPU",
            cost.wall.as_secs_f64(),
            cost.cpu.as_secs_f64(),
            cost.peak as f64 / MIB as f64,
            cost.wall.as_secs_f64() / costs[0].wall.as_secs_f64(),
            cost.cpu.as_secs_f64() / costs[0].cpu.as_secs_f64(),
        );
    }
    table
}

/// Deployments, ConfigMaps, ServiceAccounts and Services that refer to each other, with patches of
/// both kinds, a prefix, a namespace and labels.
fn many(root: &Path, n_objects: usize, n_patches: usize) -> anyhow::Result<Material> {
    const IN_A_FILE: usize = 100;
    let root = root.join(format!("{n_objects}"));
    fs::create_dir_all(root.join("app"))?;
    let objects: Vec<String> = (0..n_objects).map(object).collect();
    let mut resources = String::new();
    for (n, objects) in objects.chunks(IN_A_FILE).enumerate() {
        fs::write(root.join(format!("app/{n}.yaml")), objects.join("---\n"))?;
        let _ = writeln!(resources, "- {n}.yaml");
    }
    let patches: String = (0..n_patches.min(n_objects / 4)).map(patch).collect();
    fs::write(
        root.join("app/kustomization.yaml"),
        format!(
            "namePrefix: pre-\nnamespace: ns\ncommonLabels: {{team: ml}}\nresources:\n{resources}patches:\n{patches}"
        ),
    )?;
    let name = format!("{n_objects} objects, {n_patches} patches, prefix, namespace, labels");
    Ok(Material { name, root, folder: "app" })
}

fn object(n: usize) -> String {
    match n % 4 {
        0 => format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: app-{n}\n  labels: {{app: app-{n}}}\nspec:\n  replicas: 1\n  selector:\n    matchLabels: {{app: app-{n}}}\n  template:\n    metadata:\n      labels: {{app: app-{n}}}\n    spec:\n      serviceAccountName: app-{}\n      containers:\n      - name: main\n        image: registry.example/team/app-{}:v1\n        env:\n        - {{name: A, value: x}}\n        - name: B\n          valueFrom: {{configMapKeyRef: {{name: app-{}, key: k}}}}\n        ports: [{{containerPort: 80}}]\n",
            n + 2,
            n % 40,
            n + 1
        ),
        1 => format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: app-{n}}}\ndata: {{k: v, l: w}}\n"
        ),
        2 => format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: app-{n}}}\n"),
        _ => format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: app-{n}}}\nspec:\n  selector: {{app: app-{}}}\n  ports: [{{port: 80, name: http}}]\n",
            n - 3
        ),
    }
}

fn patch(n: usize) -> String {
    let name = format!("app-{}", 4 * n);
    match n % 2 {
        0 => format!(
            "- target: {{kind: Deployment, name: {name}}}\n  patch: |-\n    - op: add\n      path: /metadata/annotations\n      value: {{a: b}}\n"
        ),
        _ => format!(
            "- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {{name: {name}}}\n    spec: {{replicas: {n}, template: {{spec: {{containers: [{{name: main, env: [{{name: C, value: z}}]}}]}}}}}}\n"
        ),
    }
}

/// An overlay of one object in a repository with many files.
fn small(root: &Path, n_files: usize) -> anyhow::Result<Material> {
    let root = root.join("repository");
    for n in 0..n_files {
        let path = root.join(format!("vendor/{}/{}/file-{n}.go", n % 37, n % 101));
        fs::create_dir_all(path.parent().context("a file has a folder")?)?;
        fs::write(path, format!("package p{n}\n").repeat(20))?;
    }
    fs::create_dir_all(root.join("config/base"))?;
    fs::create_dir_all(root.join("config/dev"))?;
    fs::write(root.join("config/base/objects.yaml"), object(1))?;
    fs::write(root.join("config/base/kustomization.yaml"), "resources: [objects.yaml]\n")?;
    let overlay = "resources: [../base]\nnamePrefix: dev-\n";
    fs::write(root.join("config/dev/kustomization.yaml"), overlay)?;
    let name = format!("a small overlay among {n_files} files");
    Ok(Material { name, root, folder: "config/dev" })
}

/// An overlay of definitions of kinds, each in a file of its own, as operators bring them along.
fn large(root: &Path, n_definitions: usize) -> anyhow::Result<Material> {
    let root = root.join("definitions");
    fs::create_dir_all(root.join("crds"))?;
    let mut resources = String::new();
    let mut n_bytes = 0;
    for n in 0..n_definitions {
        let text = definition(n);
        n_bytes += text.len();
        fs::write(root.join(format!("crds/{n}.yaml")), text)?;
        let _ = writeln!(resources, "- {n}.yaml");
    }
    let overlay = format!("commonLabels: {{team: ml}}\nresources:\n{resources}");
    fs::write(root.join("crds/kustomization.yaml"), overlay)?;
    let name = format!("{n_definitions} definitions of kinds, {} MB", n_bytes / 1_000_000);
    Ok(Material { name, root, folder: "crds" })
}

fn definition(n: usize) -> String {
    let mut text = format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n  name: kinds{n}.example.org\n  annotations:\n    controller-gen.kubebuilder.io/version: v0.19.0\nspec:\n  group: example.org\n  names:\n    kind: Kind{n}\n    listKind: Kind{n}List\n    plural: kinds{n}\n    singular: kind{n}\n  scope: Namespaced\n  versions:\n  - name: v1\n    served: true\n    storage: true\n    schema:\n      openAPIV3Schema:\n        type: object\n        properties:\n          spec:\n            type: object\n            properties:\n"
    );
    for group in 0..12 {
        let _ = write!(
            text,
            "              group{group}:\n                description: |-\n                  What the controller does with group {group} of kind {n}.\n\n                  More than one of them is \"an error\", and none means the default: nothing.\n                type: object\n                required:\n                - field0\n                properties:\n"
        );
        for field in 0..14 {
            let _ = write!(
                text,
                "                  field{field}:\n                    description: The field {field} of it; see https://example.org/docs/{n}#{field}\n                      for what it means, and what it does not.\n                    type: string\n                    maxLength: {}\n                    pattern: ^[a-z0-9]([-a-z0-9]*[a-z0-9])?$\n",
                63 + field
            );
        }
    }
    text
}
