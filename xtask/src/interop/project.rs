//! Projects to pack, programs to pack them with, and folders to compare.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use fs_err as fs;

use crate::peers::run_quietly;

/// A folder of files with a Kitfile.
pub(super) struct Project {
    pub(super) name: &'static str,
    pub(super) kitfile: &'static str,
    /// Paths; each file says its own path, and what ends in `.sh` may be executed.
    pub(super) files: &'static [&'static str],
    pub(super) ignore: &'static str,
}

impl Project {
    /// Writes the project into a folder of its name.
    pub(super) fn write(&self, within: &Path) -> anyhow::Result<PathBuf> {
        let root = within.join(self.name);
        for path in self.files {
            let file = root.join(path);
            fs::create_dir_all(file.parent().context("a file has a folder")?)?;
            fs::write(&file, format!("testing: {path}\n"))?;
            let mode = if path.ends_with(".sh") { 0o755 } else { 0o644 };
            fs::set_permissions(&file, std::fs::Permissions::from_mode(mode))?;
        }
        fs::create_dir_all(&root)?;
        fs::write(root.join("Kitfile"), format!("manifestVersion: 1.0.0\n{}", self.kitfile))?;
        if !self.ignore.is_empty() {
            fs::write(root.join(".kitignore"), self.ignore)?;
        }
        Ok(root)
    }
}

/// `kit` or `kit-rs`, with a home of its own.
pub(super) struct Tool {
    program: PathBuf,
    home: PathBuf,
}

impl Tool {
    /// A tool whose home is an empty folder.
    pub(super) fn new(program: &Path, home: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir_all(&home)?;
        // Otherwise `kit` asks the internet for a newer version of itself.
        fs::write(home.join("disable-update-notifications"), "")?;
        Ok(Self { program: program.to_owned(), home })
    }

    /// Runs a command; its stdout.
    pub(super) fn run(&self, args: &[&str]) -> anyhow::Result<String> {
        run_quietly(&mut self.command(args))
    }

    /// A command of this tool. The umask is 022, under which layers of `kit` and `kit-rs` are to be
    /// equal.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "umask 022 && exec \"$@\"", "sh"]).arg(&self.program).args(args);
        command
            .env("KITOPS_HOME", &self.home)
            .env("KIT_RS_HOME", &self.home)
            .env_remove("SOURCE_DATE_EPOCH");
        command
    }
}

/// All files beneath a folder: content, and whether they may be executed.
pub(super) fn tree(root: &Path) -> anyhow::Result<BTreeMap<String, (Vec<u8>, bool)>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder)? {
            let item = item?;
            if item.file_type()?.is_dir() {
                folders.push(item.path());
            } else {
                let path = item.path().strip_prefix(root)?.display().to_string();
                let executable = item.metadata()?.permissions().mode() & 0o100 != 0;
                files.insert(path, (fs::read(item.path())?, executable));
            }
        }
    }
    Ok(files)
}

/// Fails where two folders do not hold the same files.
pub(super) fn ensure_same(a: &Path, b: &Path) -> anyhow::Result<()> {
    let (tree_a, tree_b) = (tree(a)?, tree(b)?);
    let names = |tree: &BTreeMap<String, (Vec<u8>, bool)>| tree.keys().cloned().collect::<Vec<_>>();
    ensure!(names(&tree_a) == names(&tree_b), "{:?} and {:?}", names(&tree_a), names(&tree_b));
    for (path, content) in &tree_a {
        ensure!(*content == tree_b[path], "{path} differs");
    }
    ensure!(!tree_a.is_empty(), "there are no files in {}", a.display());
    Ok(())
}
