//! `kit-rs lineage`: from what answers, an image or a ModelKit back to what it was made of, and how
//! far each step of the way is shown.

mod deployed;
mod fact;
mod image;
mod kit;
mod page;
mod served;
mod training;

use std::path::PathBuf;
use std::str::FromStr;

use modelkit::Existing;
use registry::Reference;
use trust::PublicKey;

use self::fact::Fact;
use crate::kind::{self, Kind};
use crate::network::NetworkOfKeys;
use crate::steps::keys::public_key;
use crate::steps::retrain::TrainingArgs;
use crate::ui::Ui;

/// Show what a model was made of, step by step, and whether each step is proven, signed or only
/// declared
///
/// Proven is what was computed here and now: digests that agree, a training record whose chain holds
/// and whose weights these are. Signed is what the holder of a --key says. All else is declared:
/// somebody has written it down.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A ModelKit or an image, or the URL of a server
    #[arg(value_name = "REF|URL")]
    target: Target,
    /// Whose signatures count: a public key in PEM (repeatable)
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// Train again, which proves the training itself (as `verify --retrain`)
    #[arg(long)]
    retrain: bool,
    /// The checkpoint that the training began with [default: as the record says]
    #[arg(long, value_name = "REF|DIR", requires = "retrain")]
    base: Option<String>,
    /// A Git repository that deploys it: its commits that name the ModelKit are shown
    #[arg(long, value_name = "DIR")]
    repo: Option<PathBuf>,
    /// Also write it as a page with a picture
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkOfKeys,
}

/// What the way begins with.
#[derive(Clone, Debug)]
enum Target {
    Reference(Reference),
    Url(reqwest::Url),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.starts_with("http://") || text.starts_with("https://") {
            true => text.parse().map(Self::Url).map_err(|error| format!("{error}")),
            false => text.parse().map(Self::Reference).map_err(|error| format!("{error}")),
        }
    }
}

/// What all steps of the way need.
#[derive(Clone)]
struct Way<'a> {
    keys: Vec<PublicKey>,
    /// How to train again, where that is asked for.
    retrain: Option<TrainingArgs>,
    repo: Option<PathBuf>,
    network: &'a NetworkOfKeys,
    ui: &'a Ui,
}

impl Way<'_> {
    /// What was looked for on the way, where it is to be had; that it is not ends no way, and is
    /// told.
    fn found<T>(
        &self,
        reference: &Reference,
        found: anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(error)
                if matches!(
                    kind::of(&error),
                    Kind::NotFound | Kind::Unreachable | Kind::Refused
                ) =>
            {
                self.ui.note(format_args!("{reference}: {error:#}"));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let keys = args.key.iter().map(|path| public_key(path)).collect::<Result<_, _>>()?;
    let retrain = args.retrain.then(|| TrainingArgs::whole(args.base));
    let way = Way { keys, retrain, repo: args.repo, network: &args.network, ui };
    let fact: Fact = match args.target {
        Target::Url(url) => way.served(&url)?,
        Target::Reference(reference) => way.named(&reference.or_latest())?,
    };
    if let Some(path) = &args.html {
        modelkit::write_file(path, page::of(&fact).as_bytes(), Existing::Replace)?;
        ui.note(format_args!("wrote {}", path.display()));
    }
    ui.answer(fact.tree(), &fact)
}
