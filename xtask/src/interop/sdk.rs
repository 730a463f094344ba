//! KitOps' Python library, which runs whatever program is called `kit`.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use fs_err as fs;

use crate::peers::{KIT, Peers, run_quietly};
use crate::registries::Registry;
use crate::report::Report;

/// The library.
const PACKAGE: &str = "kitops==1.5.0";
/// A user of the registry: `user`, with the password `secret`.
const USERS: &str = "user:$2y$04$08bx3XJKJXtYs4FeQk2mnOaq1/zpIJQZvWsa1GIZjMbUPCYMJEv.C\n";

/// Shows that each of its calls does what it should, with `kit-rs` as with `kit`.
pub(super) fn run(
    peers: &Peers,
    program: &Path,
    workspace: &Path,
    root: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let python = match peers.python("kitops", &[PACKAGE]) {
        Ok(python) => python,
        Err(error) => {
            report.skip(PACKAGE, "drives kit-rs as it drives kit", &format!("{error:#}"));
            return Ok(());
        }
    };
    let model = root.join("models/org/tiny");
    fs::create_dir_all(&model)?;
    fs::write(model.join("config.json"), "{}")?;
    fs::write(root.join("users"), USERS)?;
    let users = root.join("users").display().to_string();
    let flags = ["--htpasswd", &users];
    let registry = Registry::ours(program, &root.join("registry"), "127.0.0.1:0", &flags)?;
    let hub = Registry::hub(program, &root.join("models"))?;
    let script = workspace.join("modelkit/testdata/kitops/sdk.py");
    // Each call that the script makes is held to what the library promises of it.
    let drive = |name: &str, kit: &Path, ours: bool| {
        let (bin, home) = (root.join(name).join("bin"), root.join(name).join("home"));
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(&home)?;
        fs::write(home.join("disable-update-notifications"), "")?;
        fs_err::os::unix::fs::symlink(kit, bin.join("kit"))?;
        let mut command = Command::new(&python);
        command.arg(&script).arg(&registry.address).arg(root.join(name).join("files"));
        command.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", bin.display()));
        command.env("KITOPS_HOME", &home).env("KIT_RS_HOME", &home).env_remove("HF_ENDPOINT");
        if ours {
            command.env("HF_ENDPOINT", format!("http://{}", hub.address)).env("MANAGER", "1");
        }
        run_quietly(&mut command).map(drop).with_context(|| format!("with {}", kit.display()))
    };
    match peers.kit() {
        Ok(kit) => {
            report.claim(PACKAGE, &format!("drives kit {KIT}"), || drive("theirs", &kit, false))
        }
        Err(error) => report.skip(PACKAGE, &format!("drives kit {KIT}"), &format!("{error:#}")),
    }
    report.claim(PACKAGE, "drives kit-rs under the name kit: every call passes", || {
        drive("ours", program, true)
    });
    Ok(())
}
