//! `kit-rs import`: a repository of a hub, or of Git, becomes a ModelKit.

mod args;
mod brought;
mod choice;
mod convert;
mod folder;
mod git;
mod glob;
mod hub;
mod large;

use std::collections::HashSet;
use std::path::Path;

use anyhow::Context as _;
pub(crate) use args::Args;
use args::Tool;
use brought::Brought;
use kitfile::{InitOptions, Kitfile};
use modelkit::{PackOptions, Plan};
use registry::Reference;
use serde_json::{Value, json};

use crate::env;
use crate::failure::asked_wrongly;
use crate::output::{n_of, pinned, some_of};
use crate::steps::front_matter::FrontMatter;
use crate::steps::hub::Remote;
use crate::steps::pickles;
use crate::steps::project::{kitfile_in, read_kitfile};
use crate::steps::survey::survey;
use crate::steps::trusted::Trusted;
use crate::ui::Ui;

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    // A Kitfile that is none, and a name that cannot be, are told before anything is fetched.
    let given = args.file.as_deref().map(|file| read_kitfile(Path::new("."), Some(file), ui));
    let given = given.transpose()?;
    let (target, brought) = match args.tool.unwrap_or_else(|| tool_of(&args.repository)) {
        Tool::Git => {
            let repository = git::Repository::new(&args)?;
            (target(args.tag.as_ref(), &repository.name)?, git::bring(repository, &args, ui)?)
        }
        Tool::Hf => {
            let remote =
                Remote::new(&args.repository, args.revision.as_deref(), args.token.as_deref(), ui)?;
            (target(args.tag.as_ref(), remote.id.name())?, hub::bring(remote, &args, ui)?)
        }
    };
    ui.note(format_args!("{} at {}", brought.name, brought.commit));
    ui.no_warnings()?;
    if args.to_safetensors {
        convert::pickles(brought.folder.path(), ui)?;
    }
    let kitfile = match given {
        Some(kitfile) => kitfile,
        None => kitfile_of(brought.folder.path(), &brought, args.depth)?,
    };
    let layout = ui.layout()?;
    let hold = layout.hold()?;
    let mut options = PackOptions { created: env::source_date_epoch()?, ..PackOptions::default() };
    let plan = modelkit::plan(&kitfile, brought.folder.path(), &layout, &options)?;
    tell_rest(&plan, brought.folder.path(), ui)?;
    ui.no_warnings()?;
    let files = plan.layers.iter().flat_map(|layer| &layer.files).map(|file| &file.path);
    let found = pickles::found(brought.folder.path(), files)?;
    pickles::require(&found, Trusted::ambient(ui)?.pickles(), ui)?;
    let plan = match &brought.large {
        None => plan,
        Some(large) => {
            options.ready = large.bring(&brought.folder, &plan, &layout, ui)?;
            // Where one came to its place in the folder, another file was planned.
            match options.ready.len() < large.files.len() {
                true => modelkit::plan(&kitfile, brought.folder.path(), &layout, &options)?,
                false => plan,
            }
        }
    };
    let packed =
        modelkit::pack_plan(plan, &kitfile, &layout, &options, &|_| ui.interrupt().flow())?;
    drop(hold);
    for warning in &packed.warnings {
        ui.warn(warning);
    }
    ui.no_warnings()?;
    layout.tag(&packed.descriptor, &target)?;
    brought.folder.remove()?;
    let digest = packed.descriptor.digest();
    let document = json!({ "reference": target.to_string(), "digest": digest.to_string(), "commit": brought.commit });
    ui.answer(pinned(&target, digest), &document)
}

/// Says which files of the repository are in no layer: hidden ones, and those that its own Kitfile
/// does not name or its ignore file takes out.
fn tell_rest(plan: &Plan, dir: &Path, ui: &Ui) -> anyhow::Result<()> {
    let packed: HashSet<&str> =
        plan.layers.iter().flat_map(|layer| &layer.files).map(|file| file.path.as_str()).collect();
    let kitfile = kitfile_in(dir);
    let rest: Vec<String> = survey(dir)?
        .into_iter()
        .map(|file| file.path)
        .filter(|path| !packed.contains(path.as_str()))
        .filter(|path| kitfile.as_ref() != Some(&dir.join(path)))
        .collect();
    if !rest.is_empty() {
        ui.warn(format_args!(
            "in no layer, and so left out: {}, {}",
            n_of(rest.len() as u64, "file"),
            some_of(rest.iter().map(String::as_str))
        ));
    }
    Ok(())
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

/// The repository's own Kitfile, or one guessed from its files.
fn kitfile_of(dir: &Path, brought: &Brought, depth: i64) -> anyhow::Result<Kitfile> {
    if let Some(path) = kitfile_in(dir) {
        let text = fs_err::read_to_string(&path)?;
        return Ok(Kitfile::parse(&text)
            .with_context(|| format!("the repository's {} is not valid", path.display()))?
            .kitfile);
    }
    let options = InitOptions { depth: usize::try_from(depth).unwrap_or(usize::MAX) };
    let mut kitfile = kitfile::init(&brought.name, &survey(dir)?, &options);
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
