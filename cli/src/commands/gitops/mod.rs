//! `kit-rs gitops`: what runs, said in Git.

mod api;
mod asked;
mod bases;
mod beside;
mod bootstrap;
mod build;
mod bump;
mod check;
mod delivered;
mod diff;
mod evaluated;
mod get;
mod history;
mod inventory;
mod lint;
mod port_forward;
mod precheck;
mod promote;
mod push;
mod release;
mod render;
mod revision;
mod rollback;
mod storage_container;
mod trace;
mod tree;
#[cfg(unix)]
mod up;
mod written;

use crate::ui::Ui;

/// Say in Git what runs, as Flux and Kustomize read it
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Bootstrap(bootstrap::Args),
    Render(Box<render::Args>),
    Build(build::Args),
    Bump(bump::Args),
    Promote(promote::Args),
    Rollback(rollback::Args),
    Push(push::Args),
    Diff(diff::Args),
    Lint(lint::Args),
    Check(check::Args),
    Get(get::Args),
    Tree(inventory::Args),
    Trace(trace::Args),
    StorageContainer(Box<storage_container::Args>),
    PortForward(port_forward::Args),
    #[cfg(unix)]
    Up(up::Args),
}

pub(crate) fn run(command: Command, ui: &Ui) -> anyhow::Result<()> {
    match command {
        Command::Bootstrap(args) => bootstrap::run(args, ui),
        Command::Render(args) => render::run(*args, ui),
        Command::Build(args) => build::run(args, ui),
        Command::Bump(args) => bump::run(args, ui),
        Command::Promote(args) => promote::run(args, ui),
        Command::Rollback(args) => rollback::run(args, ui),
        Command::Push(args) => push::run(args, ui),
        Command::Diff(args) => diff::run(args, ui),
        Command::Lint(args) => lint::run(args, ui),
        Command::Check(args) => check::run(args, ui),
        Command::Get(args) => get::run(args, ui),
        Command::Tree(args) => inventory::run(args, ui),
        Command::Trace(args) => trace::run(args, ui),
        Command::StorageContainer(args) => storage_container::run(*args, ui),
        Command::PortForward(args) => port_forward::run(args, ui),
        #[cfg(unix)]
        Command::Up(args) => up::run(args, ui),
    }
}
