//! Claims about the workspace as a whole.

mod arrows;

/// What cargo says of this workspace.
fn cargo(words: &str) -> String {
    let mut command = std::process::Command::new(env!("CARGO"));
    command.args(words.split(' ')).args(["--manifest-path", MANIFEST]);
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
