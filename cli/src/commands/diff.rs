//! `kit-rs diff`.

use modelkit::diff::{Depth, Diff, FileChange, LayerInfo};
use registry::Reference;

use crate::failure::asked_wrongly;
use crate::network::Network;
use crate::output::{human_size, lines};
use crate::steps::found::{Found, Place, find, warn_of_unknown};
use crate::ui::Ui;

/// Show how two ModelKits differ: their layers, files and tensors
///
/// Each is looked for in the local layout, then in its registry; `local://` and `remote://` before
/// a name look in one of the two only.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The first ModelKit
    a: String,
    /// The second ModelKit
    b: String,
    /// Compare the files in the layers that differ
    #[arg(long)]
    files: bool,
    /// Compare the tensors of safetensors files that differ, too
    #[arg(long)]
    tensors: bool,
    #[command(flatten)]
    network: Network,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    let depth = match (args.tensors, args.files) {
        (true, _) => Depth::Tensors,
        (_, true) => Depth::Files,
        _ => Depth::Layers,
    };
    let a = side(&args.a, &args.network, ui)?;
    let b = side(&args.b, &args.network, ui)?;
    [&a, &b].into_iter().for_each(|side| warn_of_unknown(&side.kit, ui));
    let diff = modelkit::diff::diff(&a.into_source(), &b.into_source(), depth)?;
    ui.answer(lines(text(&diff, [&args.a, &args.b])), &diff)
}

fn side(name: &str, network: &Network, ui: &Ui) -> anyhow::Result<Found> {
    let (place, name) = match name.split_once("://") {
        None => (Place::Anywhere, name),
        Some(("local", name)) => (Place::Local, name),
        Some(("remote", name)) => (Place::Remote, name),
        Some((other, _)) => {
            return Err(asked_wrongly(format!("`{other}://` is neither local:// nor remote://")));
        }
    };
    let reference: Reference =
        name.parse().map_err(|error| asked_wrongly(format!("{name}: {error}")))?;
    find(&reference.or_latest(), place, network, ui)
}

fn text(diff: &Diff, names: [&str; 2]) -> Vec<String> {
    if diff.identical {
        return vec!["the ModelKits are identical".to_owned()];
    }
    let mut lines = vec![format!("a  {}", names[0]), format!("b  {}", names[1])];
    lines.push(format!("configs are {}", if diff.same_config { "the same" } else { "different" }));
    for (key, pair) in &diff.annotations {
        let value =
            |value: &Option<String>| value.as_deref().map_or_else(|| "–".to_owned(), shortened);
        lines.push(format!("annotation {key}: {} => {}", value(&pair.a), value(&pair.b)));
    }
    for (title, layers) in
        [("shared", &diff.shared), ("only in a", &diff.only_a), ("only in b", &diff.only_b)]
    {
        lines.push(
            format!("layers {title}: {}", if layers.is_empty() { "none" } else { "" })
                .trim_end()
                .to_owned(),
        );
        lines.extend(layers.iter().map(layer));
    }
    for (path, change) in diff.files.iter().flatten() {
        lines.extend(file(path, change));
    }
    lines
}

/// The beginning of a long value: a whole Kitfile may stand in an annotation.
fn shortened(value: &str) -> String {
    let beginning: String = value.chars().take(60).collect();
    if beginning.len() < value.len() { beginning + "…" } else { beginning }
}

fn layer(layer: &LayerInfo) -> String {
    let LayerInfo { section, path, digest, bytes } = layer;
    format!("  {section} {path}  {}  {digest}", human_size(*bytes))
}

fn file(path: &str, change: &FileChange) -> Vec<String> {
    let mark = |a: bool, b: bool| {
        if a && b {
            "~"
        } else if a {
            "-"
        } else {
            "+"
        }
    };
    let mut lines =
        vec![format!("{} {path}", mark(change.file.a.is_some(), change.file.b.is_some()))];
    for (name, pair) in change.tensors.iter().flatten() {
        let shape =
            |tensor: &modelkit::diff::Tensor| format!("{} {:?}", tensor.dtype, tensor.shape);
        let shapes: Vec<String> = [&pair.a, &pair.b].into_iter().flatten().map(shape).collect();
        let shapes =
            if shapes.first() == shapes.last() { shapes[0].clone() } else { shapes.join(" => ") };
        lines.push(format!("    {} {name} {shapes}", mark(pair.a.is_some(), pair.b.is_some())));
    }
    lines
}
