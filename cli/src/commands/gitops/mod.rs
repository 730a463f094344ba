//! `kit-rs gitops`: what runs, said in Git.

mod bootstrap;
mod build;
mod bump;
mod get;
mod release;
mod render;
#[cfg(unix)]
mod up;

use crate::ui::Ui;

/// Say in Git what runs, as Flux and Kustomize read it
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Bootstrap(bootstrap::Args),
    Render(render::Args),
    Build(build::Args),
    Bump(bump::Args),
    Get(get::Args),
    #[cfg(unix)]
    Up(up::Args),
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    match command {
        Command::Bootstrap(args) => bootstrap::run(args, ui),
        Command::Render(args) => render::run(args, ui),
        Command::Build(args) => build::run(args, ui),
        Command::Bump(args) => bump::run(args, ui),
        Command::Get(args) => get::run(args, ui),
        #[cfg(unix)]
        Command::Up(args) => up::run(args, ui),
    }
}

/// Writes the files of a tree, and answers with their paths.
fn write(tree: &gitops::Tree, dir: &std::path::Path, ui: &Ui) -> anyhow::Result<()> {
    tree.write(dir)?;
    let paths: Vec<&str> = tree.paths().collect();
    ui.answer(paths.join("\n"), &serde_json::json!({ "written": paths }))
}
