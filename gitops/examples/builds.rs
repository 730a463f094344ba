//! Builds kustomizations that come as lines of JSON on stdin, `{"files": {PATH: TEXT}, "path":
//! FOLDER}` or, from a disk, `{"dir": ROOT, "path": FOLDER}`; each answer is a line on stdout,
//! `{"yaml": TEXT}` or `{"error": TEXT}`.
//!
//! `cargo xtask conformance kustomize` asks it.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;

use kit_gitops::kustomize::{self, Overlay};
use kit_gitops::{Object, Tree};
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    files: BTreeMap<String, String>,
    dir: Option<PathBuf>,
    path: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?)?;
        let built = std::panic::catch_unwind(|| build(&question).map_err(|error| chain(&*error)));
        let answer = match built {
            Ok(Ok(yaml)) => json!({ "yaml": yaml }),
            Ok(Err(error)) => json!({ "error": error }),
            Err(_) => json!({ "error": "panic: see stderr" }),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn build(question: &Question) -> Result<String, Box<dyn Error>> {
    let tree = match &question.dir {
        Some(dir) => Tree::open(dir)?,
        None => Tree::from_files(&question.files)?,
    };
    let objects = kustomize::build(&tree, &question.path, &Overlay::default())?;
    Ok(Object::to_yaml_all(&objects))
}

fn chain(error: &dyn Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(cause) => format!("{error}: {}", chain(cause)),
    }
}
