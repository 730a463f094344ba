//! The static program that goes into images.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use modelkit::image::Binary;

use crate::env;
use crate::failure::WithHint as _;

/// Name of the lean static program that goes into images.
const RUNTIME: &str = "kit-rs-runtime";

/// The static program: the one given, or the one that is there.
pub(crate) fn runtime(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let program = env::program().context("where kit-rs lies is unknown")?;
    found(given, &program)
}

/// The static program: the one given, the lean one beside this program, or this program itself
/// where it can serve and needs nothing but a kernel.
fn found(given: Option<PathBuf>, program: &Path) -> anyhow::Result<PathBuf> {
    if let Some(path) = given {
        ensure!(path.is_file(), "there is no program at {}", path.display());
        return Ok(path);
    }
    let lean = program.with_file_name(RUNTIME);
    if lean.is_file() {
        return Ok(lean);
    }
    if cfg!(feature = "serve") && Binary::read(program)?.is_static {
        return Ok(program.to_owned());
    }
    Err(anyhow::anyhow!("an image needs a static program that serves, which this kit-rs is not"))
        .hint(format!(
            "make one, then name it with --runtime kit-rs-runtime/bin/kit-rs:\n\
             RUSTFLAGS='-C target-feature=+crt-static' cargo install kit-cli --git {} \
             --profile dist --target {}-unknown-linux-gnu --no-default-features \
             --features serve,hickory-dns --root kit-rs-runtime",
            env!("CARGO_PKG_REPOSITORY"),
            std::env::consts::ARCH,
        ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::failure::Report;

    #[test]
    fn the_runtime_is_the_one_named_then_the_lean_one_beside_then_the_program_if_static() {
        let dir = tempfile::tempdir().unwrap();
        // This test is a program that needs a loader, so it is none for an image.
        let program = dir.path().join("kit-rs");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let report = Report::new(&found(None, &program).unwrap_err());
        assert!(report.hint.unwrap().contains("--runtime kit-rs-runtime/bin/kit-rs"));

        let lean = dir.path().join(RUNTIME);
        fs::write(&lean, "static").unwrap();
        assert_eq!(found(None, &program).unwrap(), lean);

        let named = dir.path().join("named");
        let absent = found(Some(named.clone()), &program).unwrap_err().to_string();
        assert!(absent.contains("there is no program at"), "{absent}");
        fs::write(&named, "static").unwrap();
        assert_eq!(found(Some(named.clone()), &program).unwrap(), named);
    }
}
