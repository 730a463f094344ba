//! Hostile peers on loopback, with our programs' memory, descriptors and processes limited: the
//! registry is attacked while a good client goes on, and clients meet hostile content.

mod clients;
mod registry;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::peers::Peers;
use crate::report::Report;

/// Descriptors that a program of ours may open.
const DESCRIPTORS: u32 = 256;

/// Addresses that it may map, in bytes: whoever believes a number in somebody's document ends here.
const ADDRESSES: u64 = 3 << 30;

/// Resident memory that it may reach, in bytes.
const MEMORY: u64 = 400 << 20;

/// Runs all attacks.
pub(super) fn run(
    peers: &Peers,
    program: &Path,
    workspace: &Path,
    dir: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let limited = limited(program, dir)?;
    registry::run(peers, &limited, dir, report)?;
    clients::run(&limited, workspace, dir, report)
}

/// A program that is `program` with the limits above.
fn limited(program: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let path = dir.join("limited");
    let text = format!(
        "#!/bin/sh\nulimit -n {DESCRIPTORS}\nulimit -v {}\nexec '{}' \"$@\"\n",
        ADDRESSES >> 10,
        program.display()
    );
    fs::write(&path, text)?;
    fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// The limited program, with a home of its own.
fn kit_rs(limited: &Path, home: &Path) -> Command {
    let mut command = Command::new(limited);
    command.env("KIT_RS_HOME", home).env("DOCKER_CONFIG", home.join("none"));
    command
}
