//! Where a model comes from, in the words of supply chains: an SLSA provenance of the training, and
//! a CycloneDX bill of materials. `kit-rs attest` signs both.
//!
//! Neither says when: the same training writes the same bytes.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use modelkit::Existing;
use registry::content::Hasher;
use serde_json::{Value, json};
use trainer::Report;

use super::args::Args;
use super::base::Base;
use super::beside;
use crate::steps::splits;

/// What made it; the kind of making has a name of its own below it.
const BUILDER: &str = env!("CARGO_PKG_REPOSITORY");

/// The two files beside the model's folder.
pub(super) struct Places {
    /// A predicate of the type `https://slsa.dev/provenance/v1`.
    pub(super) provenance: PathBuf,
    /// One of the type `https://cyclonedx.org/bom`.
    pub(super) bom: PathBuf,
}

impl Places {
    pub(super) fn of(args: &Args) -> Self {
        let [provenance, bom] =
            ["-provenance.json", "-bom.json"].map(|end| beside(&args.output, end));
        Self { provenance, bom }
    }

    /// Writes both, from what was saved.
    pub(super) fn write(&self, args: &Args, base: &Base, report: &Report) -> anyhow::Result<()> {
        let made = Made { files: files(&args.output)?, args, base, report };
        for (path, document) in [(&self.provenance, made.provenance()), (&self.bom, made.bom()?)] {
            let text = serde_json::to_string_pretty(&document)? + "\n";
            modelkit::write_file(path, text.as_bytes(), Existing::Replace)?;
        }
        Ok(())
    }
}

/// A model that is on the disk, and what is known of its making.
struct Made<'a> {
    /// Each file with its SHA-256 in hexadecimal, sorted by name.
    files: Vec<(String, String)>,
    args: &'a Args,
    base: &'a Base,
    report: &'a Report,
}

impl Made<'_> {
    /// <https://slsa.dev/spec/v1.0/provenance>
    fn provenance(&self) -> Value {
        let Report { config, base_weights, train, validation, labels, task, .. } = self.report;
        let mut parameters = json!(config);
        if let Some(parameters) = parameters.as_object_mut() {
            // The weights do not depend on them.
            for name in ["threads", "record_every"] {
                parameters.remove(name);
            }
            parameters.retain(|_, value| !value.is_null());
        }
        let mut sources = vec![json!({
            "name": "base weights", "digest": { "sha256": hex(base_weights) },
        })];
        let source = self.base.source.as_ref();
        if let Some(digest) = source.and_then(|source| source["modelkit"].as_str()) {
            sources.push(json!({
                "name": "base ModelKit", "uri": format!("oci://{}", self.args.model), "digest": { "sha256": hex(digest) },
                "annotations": source,
            }));
        }
        // The digests of a dataset are those of its texts and labels, in whatever form they lie.
        for (name, data) in [("training examples", train), ("held-out examples", validation)] {
            if data.n_examples > 0 {
                sources.push(json!({
                    "name": name, "digest": { "sha256": hex(&data.digest) },
                    "annotations": { "examples": data.n_examples, "by_label": data.n_by_label },
                }));
            }
        }
        let byproducts = self
            .files
            .iter()
            .map(|(name, sha256)| json!({ "name": name, "digest": { "sha256": sha256 } }));
        json!({
            "buildDefinition": {
                "buildType": format!("{BUILDER}/training/v1"),
                "externalParameters": { "training": parameters, "task": task, "labels": labels },
                "internalParameters": {
                    "device": self.report.device, "instruction_set": self.report.instruction_set,
                },
                "resolvedDependencies": sources,
            },
            "runDetails": {
                "builder": { "id": BUILDER, "version": self.report.versions },
                "byproducts": byproducts.collect::<Vec<_>>(),
            },
        })
    }

    /// <https://cyclonedx.org/docs/1.7/json>
    fn bom(&self) -> anyhow::Result<Value> {
        let report = self.report;
        let config = fs::read_to_string(self.args.output.join("config.json"))?;
        let config: Value = serde_json::from_str(&config)?;
        let name = crate::env::folder_name(&self.args.output).unwrap_or_else(|| "model".to_owned());
        let weights = self.files.iter().find(|(name, _)| name == "model.safetensors");
        let (_, weights) = weights.context("the weights that were just saved are gone")?;
        let hash = |sha256: &str| json!([{ "alg": "SHA-256", "content": sha256 }]);
        let best = report.best();
        let metric = |of: &str, value: f64| json!({ "type": of, "value": format!("{value:.6}") });
        let mut metrics: Vec<Value> =
            best.figures().into_iter().map(|(name, value)| metric(name, value)).collect();
        metrics.push(metric("loss", best.loss));
        let mut model = json!({
            "type": "machine-learning-model", "bom-ref": "model", "name": name, "hashes": hash(weights),
            "modelCard": {
                "modelParameters": {
                    "approach": { "type": "supervised" },
                    "task": "text-classification",
                    "architectureFamily": config["model_type"],
                    "modelArchitecture": config["architectures"][0],
                    "datasets": [{ "ref": "dataset" }],
                    "inputs": [{ "format": "text" }],
                    "outputs": [{ "format": "label" }],
                },
                "quantitativeAnalysis": { "performanceMetrics": metrics },
            },
        });
        if let Some(license) = &self.base.card.license {
            model["licenses"] = json!([{ "license": { "name": license } }]);
        }
        let data = |reference: &str, name: &str, data: &trainer::DataSummary| {
            json!({
                "type": "data", "bom-ref": reference, "name": name, "hashes": hash(hex(&data.digest)),
                "data": [{ "type": "dataset", "name": name }],
            })
        };
        let dataset = splits::shown(&self.args.dataset);
        let mut components = vec![
            json!({
                "type": "machine-learning-model", "bom-ref": "base", "name": self.args.model,
                "hashes": hash(hex(&report.base_weights)),
            }),
            data("dataset", &dataset, &report.train),
        ];
        if report.validation.n_examples > 0 {
            let held_out = match &self.args.validation[..] {
                [] => format!("{dataset}, held out"),
                paths => splits::shown(paths),
            };
            components.push(data("held-out", &held_out, &report.validation));
        }
        let references: Vec<Value> = components.iter().map(|it| it["bom-ref"].clone()).collect();
        let tools = report.versions.iter().map(
            |(name, version)| json!({ "type": "application", "name": name, "version": version }),
        );
        Ok(json!({
            "bomFormat": "CycloneDX", "specVersion": "1.7", "version": 1,
            "metadata": { "tools": { "components": tools.collect::<Vec<_>>() }, "component": model },
            "components": components,
            "dependencies": [{ "ref": "model", "dependsOn": references }],
        }))
    }
}

/// `sha256:…` without its beginning.
fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

/// The files of a folder that has no others in it, with their digests.
fn files(dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        files.push((name, sha256(&entry.path())?));
    }
    files.sort();
    Ok(files)
}

fn sha256(path: &Path) -> anyhow::Result<String> {
    let mut hasher = Hasher::default();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish().digest().to_owned()),
            n => hasher.update(&buffer[..n]),
        }
    }
}
