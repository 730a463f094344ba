//! `kit-rs gitops rollback`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use gitops::promote::{Pins, pins};
use gitops::{Name, Tree};

use super::bases::of_registries;
use super::history::{History, Message, title};
use super::revision::{Repository, Revision};
use crate::failure::{WithHint as _, failure};
use crate::kind::Kind;
use crate::network::Network;
use crate::ui::Ui;

/// Have an app run what it ran before
///
/// The digests of image and ModelKit become those of the former commit that had others, or of
/// --to; every other byte stays. A branch goes forward: it is a new commit, not a reset.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The app: the folder apps/APP
    app: Name,
    /// The environment, where each has an overlay of its own
    #[arg(long)]
    env: Option<Name>,
    /// The revision whose digests it is to run [default: the last one with other digests]
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// Commit the change, with trailers that name the digests
    #[arg(long)]
    commit: bool,
    /// The repository's working tree
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let (app, env) = (&args.app, args.env.as_ref());
    let history = History::of(&args.dir)?;
    let bases = of_registries(&args.network, ui);
    let tree = Tree::read(&args.dir)?.with_bases(Arc::clone(&bases));
    let title = title(app, env);
    let now = pins(&tree, app, env).with_context(|| format!("cannot tell what {title} runs"))?;
    let repository = Repository::of(&args.dir)?;
    let at = |commit: &str| -> anyhow::Result<Option<Pins>> {
        let revision = Revision::Commit(commit.to_owned());
        let [then, _] = repository.trees([&revision, &revision])?;
        // It may not have been there yet, or not have built.
        Ok(pins(&then.with_bases(Arc::clone(&bases)), app, env).ok())
    };
    let (commit, former) = match &args.to {
        Some(name) => {
            let (Revision::Commit(commit), _) = repository.range(name)? else {
                unreachable!("a range begins with a commit")
            };
            let found = at(&commit)?;
            let found = found.ok_or_else(|| {
                failure(Kind::NotFound, format!("{title} is not there at {name}"))
            })?;
            (commit, found)
        }
        None => {
            let folder = gitops::edit::folder_of(&tree, app, env)?;
            let mut former = None;
            for commit in history.of_folder(&folder)? {
                former = at(&commit)?.filter(|then| !then.is_same(&now)).map(|then| (commit, then));
                if former.is_some() {
                    break;
                }
            }
            let none = || failure(Kind::NotFound, format!("{title} has never run anything else"));
            former.ok_or_else(none).hint("--to REV names a revision")?
        }
    };
    let bump = former.bump(app.clone(), args.env.clone());
    let changed = gitops::edit::bump(&tree, &bump)
        .with_context(|| format!("cannot point {title} at {}", former.image))?;
    if changed.is_empty() {
        ui.note("it is there already");
    }
    let message = args
        .commit
        .then(|| Message::new(format!("Roll {title} back"), &bump).with("Rolled-Back-To", &commit));
    ui.note(format_args!("as in {}: {}", &commit[..commit.len().min(12)], former.image));
    super::written::write_as(&changed, &tree, &args.dir, message.as_ref(), ui)
}
