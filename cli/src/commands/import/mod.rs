//! `kit-rs import`: a repository of a hub, or of Git, becomes a ModelKit.

mod folder;
mod git;
mod glob;
mod hub;
mod large;
mod token;

use std::path::Path;

use anyhow::Context as _;
use kitfile::{InitOptions, Kitfile};
use modelkit::PackOptions;
use registry::Reference;
use serde_json::{Value, json};

use super::front_matter::FrontMatter;
use crate::env;
use crate::failure::asked_wrongly;
use crate::output::pinned;
use crate::ui::Ui;
use glob::Glob;
pub(crate) use hub::Remote;

/// Import a model or a dataset from Hugging Face's hub, or a Git repository, as a ModelKit
#[derive(clap::Args)]
pub(crate) struct Args {
    /// ORG/NAME, datasets/ORG/NAME, or a URL; HF_ENDPOINT overrides the host of a hub
    repository: String,
    /// Branch, tag or commit [default: the URL's, else main; of a Git repository its HEAD]
    #[arg(long = "ref", value_name = "REVISION")]
    revision: Option<String>,
    /// Access token [default: $HF_TOKEN, at HF_ENDPOINT and huggingface.co only]
    #[arg(long)]
    token: Option<String>,
    /// Name of the ModelKit [default: org/name:latest, in lower case]
    #[arg(short, long, value_name = "REFERENCE")]
    tag: Option<Reference>,
    /// What brings the files [default: git for addresses that end with .git or lie at a forge, else
    /// hf]
    #[arg(long, value_enum)]
    tool: Option<Tool>,
    /// Only files whose path matches; `*` matches slashes too (repeatable)
    #[arg(long, value_name = "GLOB")]
    include: Vec<Glob>,
    /// No files whose path matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<Glob>,
    /// Files that are on their way at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    concurrency: u8,
}

/// What brings the files.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Tool {
    /// The hub's own interface: paged, resumed, verified.
    Hf,
    /// The program git.
    Git,
}

/// Files that were brought, and where they are from.
struct Brought {
    /// Taken away when the ModelKit is packed.
    folder: folder::Folder,
    /// `org/name`.
    name: String,
    commit: String,
    /// Files of which only the beginning is in the folder yet.
    large: Option<large::Large>,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    // A name that cannot be is told before anything is fetched.
    let (target, brought) = match args.tool.unwrap_or_else(|| tool_of(&args.repository)) {
        Tool::Git => {
            let repository = git::Repository::new(&args)?;
            (target(args.tag.as_ref(), &repository.name)?, git::bring(repository, &args, ui)?)
        }
        Tool::Hf => {
            let remote =
                Remote::new(&args.repository, args.revision.as_deref(), args.token.as_deref())?;
            (target(args.tag.as_ref(), remote.id.name())?, hub::bring(remote, &args, ui)?)
        }
    };
    ui.note(format_args!("{} at {}", brought.name, brought.commit));
    let kitfile = kitfile_of(brought.folder.path(), &brought)?;
    let layout = ui.layout()?;
    let hold = layout.hold()?;
    let mut options = PackOptions { created: env::source_date_epoch()?, ..PackOptions::default() };
    if let Some(large) = &brought.large {
        options.ready = large.bring(&brought.folder, &kitfile, &layout, &options, ui)?;
    }
    let packed = modelkit::pack(&kitfile, brought.folder.path(), &layout, &options, &|_| {
        ui.interrupt().flow()
    })?;
    drop(hold);
    layout.tag(&packed.descriptor, &target)?;
    brought.folder.remove()?;
    let digest = packed.descriptor.digest();
    let document = json!({ "reference": target.to_string(), "digest": digest.to_string(), "commit": brought.commit });
    ui.answer(pinned(&target, digest), &document)
}

/// Forges keep Git repositories; everything else is taken for a hub.
fn tool_of(repository: &str) -> Tool {
    const FORGES: [&str; 4] = ["github.com", "gitlab.com", "codeberg.org", "bitbucket.org"];
    let has_scheme =
        ["ssh://", "git://", "file://", "git@"].iter().any(|scheme| repository.starts_with(scheme));
    let rest = repository.split_once("://").map_or("", |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    match has_scheme || repository.trim_end_matches('/').ends_with(".git") || FORGES.contains(&host)
    {
        true => Tool::Git,
        false => Tool::Hf,
    }
}

/// What the ModelKit will be called.
fn target(tag: Option<&Reference>, name: &str) -> anyhow::Result<Reference> {
    let target = match tag {
        Some(tag) => tag.clone(),
        None => name
            .to_lowercase()
            .parse::<Reference>()
            .map_err(|error| asked_wrongly(format!("name the ModelKit with --tag: {error}")))?,
    };
    let target = target.or_latest();
    match target.tag() {
        Some(_) => Ok(target),
        None => Err(asked_wrongly(format!("--tag {target}: a ModelKit gets a tag, not a digest"))),
    }
}

/// Refuses an import of nothing.
fn check_any(n_files: usize) -> anyhow::Result<()> {
    match n_files {
        0 => Err(asked_wrongly(
            "the repository has no files, or none that --include and --exclude leave",
        )),
        _ => Ok(()),
    }
}

/// Whether a file is wanted.
fn is_wanted(path: &str, args: &Args) -> bool {
    let is_included = args.include.is_empty() || args.include.iter().any(|glob| glob.matches(path));
    // Git's own, of no use outside it.
    path != ".gitattributes" && is_included && !args.exclude.iter().any(|glob| glob.matches(path))
}

/// The repository's own Kitfile, or one guessed from its files.
fn kitfile_of(dir: &Path, brought: &Brought) -> anyhow::Result<Kitfile> {
    if let Ok(path) = super::pack::find_kitfile(dir) {
        let text = fs_err::read_to_string(&path)?;
        return Ok(Kitfile::parse(&text)
            .with_context(|| format!("the repository's {} is not valid", path.display()))?
            .kitfile);
    }
    let mut kitfile =
        kitfile::init(&brought.name, &super::init::survey(dir)?, &InitOptions::default());
    let card = FrontMatter::of(&fs_err::read_to_string(dir.join("README.md")).unwrap_or_default());
    if let Some(model) = &mut kitfile.model {
        let mut parameters = model.parameters.as_object().cloned().unwrap_or_default();
        parameters.insert(
            "source".to_owned(),
            json!({ "repository": brought.name, "commit": brought.commit }),
        );
        if let Some(base) = card.base_model {
            parameters.entry("base_model").or_insert(Value::String(base));
        }
        model.parameters = Value::Object(parameters);
    }
    Ok(kitfile)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What only the repository is said of.
    pub(super) fn args(repository: &str) -> Args {
        Args {
            repository: repository.to_owned(),
            revision: None,
            token: None,
            tag: None,
            tool: None,
            include: Vec::new(),
            exclude: Vec::new(),
            concurrency: 4,
        }
    }

    #[test]
    fn a_modelkit_is_called_as_its_repository_or_its_tag() {
        let check = |tag: Option<&str>, name: &str, expected: Option<&str>| {
            let tag = tag.map(|tag| tag.parse::<Reference>().expect("a reference"));
            let found = target(tag.as_ref(), name).ok().map(|target| target.to_string());
            assert_eq!(found.as_deref(), expected, "{tag:?} {name}");
        };
        check(None, "Org/Name", Some("org/name:latest"));
        check(Some("r.io/kit:v1"), "org/name", Some("r.io/kit:v1"));
        check(Some("r.io/kit"), "org/bad_", Some("r.io/kit:latest"));
        check(None, "org/bad_", None);
        let pinned = format!("r.io/kit@sha256:{}", "0".repeat(64));
        check(Some(pinned.as_str()), "org/name", None);
    }

    #[test]
    fn an_import_of_nothing_is_refused() {
        assert!(check_any(0).is_err());
        assert!(check_any(1).is_ok());
    }

    #[test]
    fn forges_are_for_git_and_hubs_are_not() {
        for git in
            ["https://github.com/o/n", "git@host:o/n", "https://any.test/o/n.git/", "file:///o/n"]
        {
            assert!(tool_of(git) == Tool::Git, "{git}");
        }
        for hub in ["o/n", "https://huggingface.co/o/n", "http://127.0.0.1:1/o/n", "datasets/o/n"] {
            assert!(tool_of(hub) == Tool::Hf, "{hub}");
        }
    }
}
