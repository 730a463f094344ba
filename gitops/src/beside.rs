//! What an application has beside its objects and its Flux Kustomization, each only where it was
//! asked for: whoever else deploys it, moves its image, hears of commits, or is told what happened.

use crate::flux::SemverRange;
use crate::{Branch, GitUrl};

/// What an application has beside its Flux Kustomization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Argo CD's twin of the Kustomization, in a folder that no Flux watches.
    pub argocd: Option<ArgoCd>,
    /// Flux moves the image to newer tags, and commits that.
    pub image_policy: Option<ImagePolicy>,
    /// Who may tell Flux that there is something new: the type of a `Receiver`.
    pub receiver: Option<String>,
    /// Who is told what Flux did.
    pub alert: Option<Alert>,
}

/// Where Argo CD takes the files from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgoCd {
    /// The repository, as Argo CD reaches it.
    pub repository: GitUrl,
    /// The branch that it follows.
    pub revision: Branch,
}

/// Which tags of the image's repository Flux takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePolicy {
    /// The newest version of these is taken.
    pub range: SemverRange,
    /// Whether the image's registry speaks plain HTTP.
    pub insecure: bool,
}

/// A `Provider`, which the application's `Alert` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The type of the Provider.
    pub provider: String,
    /// Where it is; none: its Secret says so.
    pub address: Option<String>,
}

impl std::str::FromStr for Alert {
    type Err = std::convert::Infallible;

    /// Reads `TYPE` or `TYPE=ADDRESS`; which types there are, Flux' own schema knows.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (provider, address) = match text.split_once('=') {
            Some((provider, address)) => (provider, Some(address.to_owned())),
            None => (text, None),
        };
        Ok(Self { provider: provider.to_owned(), address })
    }
}
