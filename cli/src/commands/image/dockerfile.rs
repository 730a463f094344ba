//! `kit-rs image dockerfile`.

use std::path::PathBuf;

use anyhow::Context as _;
use modelkit::Existing;
use registry::Reference;
use serde_json::json;

use crate::failure::{WithHint as _, asked_wrongly};
use crate::kind::Kind;
use crate::network::Network;
use crate::output::lines;
use crate::steps::found::{Place, find_trusted, here};
use crate::steps::trusted::TrustArgs;
use crate::ui::Ui;

/// Write a Dockerfile and a start script for a ModelKit, for those who build their images with
/// Docker
///
/// Everything in it is named by digest: the ModelKit, which is verified while it is unpacked, the
/// server and the base. The image runs as nobody in particular, and its server refuses another model.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The ModelKit, in a registry that the build can reach
    reference: Reference,
    /// The image of the server, as `kit-rs image server` makes it, in such a registry, too
    #[arg(long, value_name = "REFERENCE")]
    server: Reference,
    /// What the image begins with: it has a shell for the start script
    #[arg(long, value_name = "REFERENCE", default_value = "docker.io/library/busybox:stable")]
    base: Reference,
    /// The folder to write to; made when it is not there
    #[arg(short, long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// Replace files that are there
    #[arg(short, long)]
    overwrite: bool,
    #[command(flatten)]
    trust: TrustArgs,
    #[command(flatten)]
    network: Network,
}

pub(super) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    for reference in [&args.reference, &args.server, &args.base] {
        if reference.is_local() {
            return Err(asked_wrongly(format!(
                "`{reference}` names no registry, and a build asks one: write HOST/{reference}"
            )));
        }
    }
    let trusted = args.trust.read(ui)?;
    let reference = args.reference.clone().or_latest();
    let found = find_trusted(&reference, Place::Anywhere, &trusted, &args.network, ui)?;
    let server = pin(&args.server, &args.network, ui)?;
    trusted.require(&server, server.digest().expect("it is pinned"), &args.network, ui)?;
    let plan = Plan {
        kit: reference.with_digest(found.kit.digest().clone()),
        known_by: reference.to_string(),
        server,
        base: pin(&args.base, &args.network, ui).hint("name another with --base, or its digest")?,
        plain_http: args.network.client(ui)?.is_plain(reference.registry())?,
    };
    let texts = [("Dockerfile", plan.dockerfile()), ("start.sh", start())];
    let existing = if args.overwrite { Existing::Replace } else { Existing::Refuse };
    let files = texts.iter().map(|(path, text)| (*path, text.as_bytes()));
    modelkit::write_files(&args.dir, files, existing)
        .with_context(|| format!("cannot write to {}", args.dir.display()))
        .hint_if(&[Kind::Exists], "--overwrite replaces what is there")?;
    let written: Vec<String> =
        texts.iter().map(|(path, _)| args.dir.join(path).display().to_string()).collect();
    let document =
        json!({ "written": written, "modelkit": plan.kit.digest().map(ToString::to_string) });
    ui.note(format_args!("build it: docker build -t IMAGE {}", args.dir.display()));
    ui.answer(lines(&written), &document)
}

/// A reference by the digest that it has now.
fn pin(reference: &Reference, network: &Network, ui: &Ui) -> anyhow::Result<Reference> {
    let reference = reference.clone().or_latest();
    if reference.digest().is_some() {
        return Ok(reference);
    }
    if let Some((_, descriptor)) = here(&reference, ui)? {
        return Ok(reference.with_digest(descriptor.digest().clone()));
    }
    let client = network.client(ui)?;
    let found = ui
        .block_on(async { Ok(client.resolve(&reference).await?) })
        .with_context(|| format!("cannot look which digest {reference} has"))?;
    Ok(reference.with_digest(found.digest().clone()))
}

/// All that the files name, by digest.
struct Plan {
    kit: Reference,
    /// The ModelKit's reference with its tag.
    known_by: String,
    server: Reference,
    base: Reference,
    plain_http: bool,
}

impl Plan {
    fn dockerfile(&self) -> String {
        let Self { kit, known_by, server, base, plain_http } = self;
        let digest = kit.digest().expect("it is pinned");
        let mut words = vec![
            "/kit-rs".to_owned(),
            "unpack".to_owned(),
            kit.to_string(),
            "--dir=/model".to_owned(),
            "--filter=kitfile,model".to_owned(),
            "--with-manifest".to_owned(),
        ];
        if *plain_http {
            words.push("--plain-http".to_owned());
        }
        let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
        let unpack = words.join(", ");
        format!(
            "# Serves {known_by}, and no other ModelKit: written by `kit-rs image dockerfile`, which writes
# it anew for the next one. A digest is what is built, whatever becomes of its tag.

# The server: one static program, and nothing else.
FROM {server} AS kit-rs

# The model, verified while it is unpacked. What this step needs for that is in no layer of the image.
# For a private registry: docker build --secret id=registry,src=$HOME/.docker/config.json, and
# `RUN --mount=type=secret,id=registry,target=/registry/config.json` here.
FROM kit-rs AS model
USER 0:0
ENV DOCKER_CONFIG=/registry
RUN [{unpack}]

FROM {base}
COPY --from=kit-rs /kit-rs /usr/local/bin/kit-rs
COPY --from=model /model /model
COPY start.sh /start.sh
# Whoever serves owns none of it, and needs no right.
USER 65532:65532
ENV KIT_RS_HOST=:: KIT_RS_PORT=8000 KIT_RS_MODELKIT={known_by} KIT_RS_EXPECT_DIGEST={digest}
EXPOSE 8000
ENTRYPOINT [\"/bin/sh\", \"/start.sh\"]
"
        )
    }
}

fn start() -> String {
    "#!/bin/sh
# Starts the server, which reads KIT_RS_HOST and KIT_RS_PORT, and refuses a model whose digest is not
# KIT_RS_EXPECT_DIGEST. Whatever `docker run IMAGE` is given goes to it: --threads 2, for example.
set -eu

# exec: the server is process 1 then, hears SIGTERM, and ends what has begun.
exec kit-rs serve /model \"$@\"
"
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_build_takes_is_named_by_digest() {
        let pinned = |name: &str, c: char| -> Reference {
            format!("h.example/{name}@sha256:{}", c.to_string().repeat(64)).parse().unwrap()
        };
        let plan = Plan {
            kit: pinned("kit", 'a'),
            known_by: "h.example/kit:1".to_owned(),
            server: pinned("server", 'b'),
            base: pinned("base", 'c'),
            plain_http: false,
        };
        let text = plan.dockerfile();
        let stages: Vec<&str> = text.lines().filter(|line| line.starts_with("FROM ")).collect();
        assert_eq!(stages.len(), 3);
        for stage in stages.iter().filter(|stage| **stage != "FROM kit-rs AS model") {
            assert!(stage.contains("@sha256:"), "{stage}");
        }
        let user = text.rfind("USER 65532:65532").unwrap();
        assert!(user > text.rfind("FROM ").unwrap(), "what runs is not root");
        assert!(text.contains(&format!("\"h.example/kit@sha256:{}\"", "a".repeat(64))));
        assert!(start().lines().last().unwrap().starts_with("exec "));
    }
}
