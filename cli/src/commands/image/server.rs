//! `kit-rs image server`.

use std::path::PathBuf;

use anyhow::Context as _;
use modelkit::image::{self, ServerOptions};
use registry::Reference;
use serde_json::json;

use crate::env;
use crate::output::pinned;
use crate::steps::runtime::runtime;
use crate::ui::Ui;

/// Make the image of the server alone, for models that are mounted, unpacked beside it, or followed
/// at run time
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the image
    #[arg(short, long, value_name = "REFERENCE")]
    tag: Reference,
    /// The static program [default: kit-rs-runtime beside kit-rs, else kit-rs itself where it is
    /// static]
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let options = ServerOptions {
        binary: runtime(args.runtime)?,
        port: 8000,
        created: env::source_date_epoch()?,
    };
    let layout = ui.layout()?;
    let hold = layout.hold()?;
    let descriptor = image::server(&layout, &options).context("cannot make the server's image")?;
    let target = args.tag.or_latest();
    layout.tag(&descriptor, &target)?;
    drop(hold);
    let document = json!({
        "reference": target.to_string(),
        "digest": descriptor.digest().to_string(),
    });
    ui.answer(pinned(&target, descriptor.digest()), &document)
}
