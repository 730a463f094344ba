//! The table of commands; each file holds one.

mod attest;
mod copy;
mod diff;
mod info;
mod init;
mod inspect;
mod keygen;
mod list;
mod login;
mod logout;
mod pack;
mod pull;
mod push;
mod remove;
#[cfg(feature = "serve")]
mod serve;
mod sign;
mod tag;
mod unpack;
mod verify;
mod version;

#[cfg(feature = "full")]
mod evaluate;
#[cfg(feature = "full")]
mod gitops;
#[cfg(feature = "servers")]
mod hub;
#[cfg(feature = "full")]
mod image;
#[cfg(feature = "full")]
mod import;
#[cfg(feature = "full")]
mod lineage;
#[cfg(feature = "servers")]
mod registry;
#[cfg(feature = "full")]
mod train;

use crate::ui::Ui;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Pack(pack::Args),
    Unpack(unpack::Args),
    Push(push::Args),
    Pull(pull::Args),
    Copy(copy::Args),
    Tag(tag::Args),
    List(list::Args),
    Inspect(inspect::Args),
    Info(info::Args),
    Diff(diff::Args),
    Verify(verify::Args),
    #[cfg(feature = "full")]
    Lineage(lineage::Args),
    Keygen(keygen::Args),
    Sign(sign::Args),
    Attest(attest::Args),
    Remove(remove::Args),
    Login(login::Args),
    Logout(logout::Args),
    #[cfg(feature = "full")]
    Import(import::Args),
    #[cfg(feature = "full")]
    Train(Box<train::Args>),
    #[cfg(feature = "full")]
    Evaluate(evaluate::Args),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Args>),
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Image(image::Command),
    #[cfg(feature = "servers")]
    #[command(subcommand)]
    Registry(registry::Command),
    #[cfg(feature = "servers")]
    #[command(subcommand)]
    Hub(hub::Command),
    #[cfg(feature = "full")]
    #[command(subcommand)]
    Gitops(gitops::Command),
    Version(version::Args),
}

impl Command {
    pub(crate) fn run(self, ui: &Ui) -> anyhow::Result<()> {
        match self {
            Self::Init(args) => init::run(args, ui),
            Self::Pack(args) => pack::run(args, ui),
            Self::Unpack(args) => unpack::run(args, ui),
            Self::Push(args) => push::run(args, ui),
            Self::Pull(args) => pull::run(args, ui),
            Self::Copy(args) => copy::run(args, ui),
            Self::Tag(args) => tag::run(args, ui),
            Self::List(args) => list::run(args, ui),
            Self::Inspect(args) => inspect::run(args, ui),
            Self::Info(args) => info::run(args, ui),
            Self::Diff(args) => diff::run(args, ui),
            Self::Verify(args) => verify::run(args, ui),
            #[cfg(feature = "full")]
            Self::Lineage(args) => lineage::run(args, ui),
            Self::Keygen(args) => keygen::run(args, ui),
            Self::Sign(args) => sign::run(args, ui),
            Self::Attest(args) => attest::run(args, ui),
            Self::Remove(args) => remove::run(args, ui),
            Self::Login(args) => login::run(args, ui),
            Self::Logout(args) => logout::run(args, ui),
            #[cfg(feature = "full")]
            Self::Import(args) => import::run(args, ui),
            #[cfg(feature = "full")]
            Self::Train(args) => train::run(*args, ui),
            #[cfg(feature = "full")]
            Self::Evaluate(args) => evaluate::run(args, ui),
            #[cfg(feature = "serve")]
            Self::Serve(args) => serve::run(*args, ui),
            #[cfg(feature = "full")]
            Self::Image(command) => image::run(command, ui),
            #[cfg(feature = "servers")]
            Self::Registry(command) => registry::run(command, ui),
            #[cfg(feature = "servers")]
            Self::Hub(command) => hub::run(command, ui),
            #[cfg(feature = "full")]
            Self::Gitops(command) => gitops::run(command, ui),
            Self::Version(args) => version::run(args, ui),
        }
    }
}
