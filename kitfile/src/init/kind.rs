//! What a file is, by its name and by what it begins with.

use super::FileInfo;
use super::header::Weights;

/// What a file is, by its name and its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Not for packing: a Kitfile, hidden files, what tools leave behind.
    Ignored,
    Prompt,
    McpServer,
    Readme,
    License,
    Model,
    /// Belongs to the model if there is one, else to the datasets.
    Metadata,
    Docs,
    Dataset,
    Code,
    Unknown,
}

/// What file managers leave behind. Hidden files are passed over anyway.
const IGNORED: [&str; 5] = ["kitfile", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin"];

/// Folders that tools keep for themselves.
const IGNORED_FOLDERS: [&str; 2] = ["__pycache__", "node_modules"];

/// Hidden files and folders that nobody misses in a ModelKit.
const IDLE: [&str; 17] = [
    ".applesingle",
    ".appledouble",
    ".cache",
    ".ds_store",
    ".git",
    ".gitattributes",
    ".gitignore",
    ".gitmodules",
    ".huggingface",
    ".idea",
    ".ipynb_checkpoints",
    ".kitfile",
    ".kitignore",
    ".lsoverride",
    ".spotlight-v100",
    ".trashes",
    ".vscode",
];

const PROMPTS: [&str; 3] = ["agents.md", "skill.md", "claude.md"];

const CODE_NAMES: [&str; 6] = [
    "requirements.txt",
    "dockerfile",
    "makefile",
    "pyproject.toml",
    "environment.yml",
    "environment.yaml",
];

/// Suffixes and what they say, the first that fits.
const SUFFIXES: [(Kind, &[&str]); 6] = [
    (
        Kind::Model,
        &[
            ".safetensors",
            ".gguf",
            ".onnx",
            ".pkl",
            ".joblib",
            ".pth",
            ".pt",
            ".mar",
            ".pt2",
            ".ptl",
            ".pb",
            ".ckpt",
            ".tflite",
            ".tfrecords",
            ".npy",
            ".npz",
            ".keras",
            ".h5",
            ".caffemodel",
            ".pmml",
            ".coreml",
            ".ggml",
            ".ggmf",
            ".llamafile",
            ".mpk",
            ".msgpack",
            ".ot",
            ".mlmodel",
            ".engine",
            ".plan",
            ".bin",
        ],
    ),
    (
        Kind::Metadata,
        &[
            ".json",
            ".yaml",
            ".yml",
            ".xml",
            ".txt",
            ".model",
            ".jinja",
            ".tiktoken",
            ".spm",
            ".vocab",
        ],
    ),
    (
        Kind::Docs,
        &[
            ".md", ".adoc", ".rst", ".html", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".svg",
            ".webp",
        ],
    ),
    (
        Kind::Dataset,
        &[
            ".tar",
            ".zip",
            ".parquet",
            ".csv",
            ".tsv",
            ".jsonl",
            ".ndjson",
            ".arrow",
            ".feather",
            ".orc",
            ".json.gz",
            ".csv.gz",
            ".jsonl.gz",
            ".tar.gz",
        ],
    ),
    (Kind::McpServer, &[".mcpb"]),
    (
        Kind::Code,
        &[
            ".py", ".ipynb", ".sh", ".rs", ".go", ".js", ".ts", ".java", ".c", ".cpp", ".h", ".r",
            ".jl", ".toml", ".sql",
        ],
    ),
];

/// Whether a file is passed over without a loss.
pub(super) fn is_idle(path: &str) -> bool {
    path.to_lowercase().split('/').any(|part| {
        IDLE.contains(&part)
            || IGNORED.contains(&part)
            || IGNORED_FOLDERS.contains(&part)
            || part.starts_with(".kit-rs-")
    })
}

impl Kind {
    pub(super) fn of(file: &FileInfo) -> Self {
        let (folders, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
        let is_own = |part: &str| part.starts_with('.') || IGNORED_FOLDERS.contains(&part);
        let name = name.to_lowercase();
        if IGNORED.contains(&&*name) || name.starts_with('.') || folders.split('/').any(is_own) {
            return Self::Ignored;
        }
        if PROMPTS.contains(&&*name) || name.contains(".prompt") {
            return Self::Prompt;
        }
        if name.starts_with("readme") {
            return Self::Readme;
        }
        if name.starts_with("license") || name.starts_with("licence") {
            return Self::License;
        }
        if CODE_NAMES.contains(&&*name) {
            return Self::Code;
        }
        Self::by_content(file, &name).unwrap_or_else(|| Self::by_suffix(&name))
    }

    /// What the first bytes say, where they say more than the name.
    fn by_content(file: &FileInfo, name: &str) -> Option<Self> {
        if Weights::of(file).is_some() {
            return Some(Self::Model);
        }
        let is_table = file.head.starts_with(b"PAR1") || file.head.starts_with(b"ARROW1");
        // Everything may be called so, weights mostly.
        let is_bin = name.ends_with(".bin") && !name.contains("pytorch_model");
        let is_code = is_bin && (is_program(&file.head) || is_text(&file.head));
        is_table.then_some(Self::Dataset).or(is_code.then_some(Self::Unknown))
    }

    fn by_suffix(name: &str) -> Self {
        let fits = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
        SUFFIXES
            .iter()
            .find(|(_, suffixes)| fits(suffixes))
            .map_or(Self::Unknown, |(kind, _)| *kind)
    }

    /// What a folder's name says of all that lies in it.
    pub(super) fn of_folder(name: &str) -> Option<Self> {
        match name {
            "docs" | "doc" => Some(Self::Docs),
            "src" | "pkg" | "lib" | "build" | "code" | "scripts" => Some(Self::Code),
            "data" | "dataset" | "datasets" => Some(Self::Dataset),
            "prompts" => Some(Self::Prompt),
            _ => None,
        }
    }
}

/// Whether a file is something to run.
fn is_program(head: &[u8]) -> bool {
    const MAGIC: [&[u8]; 6] =
        [b"\x7fELF", b"MZ", b"#!", b"\xfe\xed\xfa\xcf", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];
    MAGIC.iter().any(|magic| head.starts_with(magic))
}

/// Whether a file is for people to read.
fn is_text(head: &[u8]) -> bool {
    let is_shown = |c: char| !c.is_control() || c.is_ascii_whitespace();
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The beginning may end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.len() > 16 && text.chars().all(is_shown)
}
