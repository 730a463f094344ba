use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use fs_err as fs;
use kitfile::FileInfo;
use serde_json::Value;

use crate::env;
use crate::failure::asked_wrongly;
use crate::ui::Ui;

/// How much of each file is looked at, in bytes: a safetensors or GGUF header's beginning, a model card's front matter.
const HEAD: u64 = 64 * 1024;

/// The longest header of a safetensors file that is read, in bytes: those of the largest models have some MB.
const MAX_HEADER: u64 = 16 << 20;

/// Write a Kitfile for the files of a folder
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder
    path: PathBuf,
    /// Name of the package [default: the folder's]
    #[arg(long)]
    name: Option<String>,
    /// What the package is for
    #[arg(long)]
    desc: Option<String>,
    /// Who made it
    #[arg(long)]
    author: Option<String>,
    /// Replace a Kitfile that is there
    #[arg(short, long)]
    force: bool,
    /// So many levels of folders become entries file by file; a negative number: all of them, for raw layers
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    depth: i64,
    /// Where the Kitfile is written [default: PATH/Kitfile; `-`: only to stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: Args, ui: &Ui) -> anyhow::Result<()> {
    if !args.path.is_dir() {
        return Err(asked_wrongly(format!("{} is not a folder", args.path.display())));
    }
    let output = args.output.clone().unwrap_or_else(|| args.path.join("Kitfile"));
    let to_stdout = output == Path::new("-");
    if !to_stdout && !args.force && output.exists() {
        return Err(asked_wrongly(format!("{} is there already: --force replaces it", output.display())));
    }
    let name = args.name.clone().or_else(|| env::folder_name(&args.path)).unwrap_or_default();
    let depth = usize::try_from(args.depth).unwrap_or(usize::MAX);
    let mut kitfile = kitfile::init_to_depth(&name, &survey(&args.path)?, depth);
    if let Some(description) = args.desc {
        kitfile.package.description = description;
    }
    kitfile.package.authors.extend(args.author);
    let yaml = kitfile.to_yaml();
    if !to_stdout {
        fs::write(&output, &yaml)?;
        ui.note(format_args!("wrote {}", output.display()));
    }
    ui.answer(yaml.trim_end(), &serde_json::from_str::<Value>(&kitfile.to_json())?)
}

/// Every file beneath a folder with its size and its beginning, in the order of the paths.
pub(super) fn survey(dir: &Path) -> anyhow::Result<Vec<FileInfo>> {
    let mut found = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(look(dir, &entry.path())?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn look(dir: &Path, path: &Path) -> anyhow::Result<FileInfo> {
    let relative = path.strip_prefix(dir).expect("the walk stays inside");
    let name = relative.to_str().with_context(|| format!("{} is not valid UTF-8", relative.display()))?;
    let file = fs::File::open(path)?;
    let size = file.metadata()?.len();
    let mut head = Vec::new();
    let mut file = file.take(HEAD);
    file.read_to_end(&mut head)?;
    file.set_limit(rest_of_header(&head, size));
    file.read_to_end(&mut head)?;
    Ok(FileInfo { path: name.to_owned(), size, head })
}

/// How much more of a file must be read to have the whole header, if it is one of a safetensors file: a length, then JSON.
fn rest_of_header(head: &[u8], size: u64) -> u64 {
    let Some((length, rest)) = head.split_first_chunk() else { return 0 };
    let header = u64::from_le_bytes(*length).saturating_add(8);
    let is_header = rest.first() == Some(&b'{') && header <= size.min(MAX_HEADER);
    if is_header { header.saturating_sub(HEAD) } else { 0 }
}
