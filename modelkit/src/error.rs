//! What can go wrong between a folder and a layout.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use registry::Reference;
use registry::content::Digest;

use crate::kit::IndexMember;

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What was being done when it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The callback answered `ControlFlow::Break`.
    #[error("stopped on request")]
    Cancelled,

    /// A file or folder could not be read or written; the cause names it.
    #[error("cannot read or write a file")]
    File(#[from] io::Error),

    /// Whoever looked at what was unpacked does not want it.
    #[error("{reason}")]
    NotTaken {
        /// Why not.
        reason: String,
    },

    /// The layout refused.
    #[error("cannot use the layout")]
    Layout(#[from] registry::Error),

    /// The Kitfile breaks a rule of its schema.
    #[error("the Kitfile is not valid")]
    Kitfile(#[source] kitfile::Problems),

    /// The Kitfile names a path that the context does not have.
    #[error("{kitfile_path}: `{path}` is not in {context}")]
    MissingPath {
        /// Where in the Kitfile the path stands, such as `code[0].path`.
        kitfile_path: String,
        /// The path as written.
        path: String,
        /// The context folder.
        context: PathBuf,
    },

    /// There is not a single file for an entry of the Kitfile.
    #[error("{kitfile_path}: there are no files in `{path}`{}", passed_over(passed))]
    EmptyEntry {
        /// Where in the Kitfile the path stands, such as `code[0].path`.
        kitfile_path: String,
        /// The path as written.
        path: String,
        /// The symbolic links and special files that are there.
        passed: Vec<String>,
    },

    /// A layer's path is something that no layer can hold.
    #[error("{kitfile_path}: `{path}` {problem}")]
    LayerPath {
        /// Where in the Kitfile the path stands, such as `model.path`.
        kitfile_path: String,
        /// The path as written.
        path: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A file has a name that an archive must not carry.
    #[error("cannot pack {path}: {problem}")]
    Name {
        /// The file, with what is not UTF-8 replaced.
        path: String,
        /// What is wrong with its name.
        problem: &'static str,
    },

    /// Two layers have paths that differ only in their case, or in how their characters are
    /// composed.
    #[error("`{}` and `{}` are one place on file systems that fold case or normalise names: rename one of them", paths[0], paths[1])]
    SamePlace {
        /// The two paths.
        paths: [String; 2],
    },

    /// A layer that was said to be in the layout is not there, or is not the one that these files
    /// would make.
    #[error("the layer of `{path}` is not ready in the layout")]
    NotReady {
        /// The layer's path.
        path: String,
    },

    /// A file was written to while it was packed.
    #[error("{path} changed while it was packed")]
    Changed {
        /// The file.
        path: PathBuf,
    },

    /// A line of the ignore file is no pattern.
    #[error("{path}:{line}: `{pattern}` is not a pattern: {problem}")]
    IgnorePattern {
        /// The ignore file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// A time cannot be written as RFC 3339 has it.
    #[error("{seconds} seconds after 1970 are beyond the year 9999")]
    Time {
        /// The time, in seconds since 1970.
        seconds: u64,
    },

    /// An MCP bundle is not what it should be.
    #[error("{path} is not an MCP bundle: {problem}")]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// A filter is not written as `type[,type…][:name[,name…]]`.
    #[error("`{text}` is not a filter: {problem}")]
    Filter {
        /// The filter as written.
        text: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A media type is not one that ModelKits are made of.
    #[error("`{0}` is not a media type of a ModelKit layer")]
    MediaType(String),

    /// A compression is none of those that ModelKits know.
    #[error("`{0}` is not a compression: none, gzip, gzip-fastest or zstd")]
    Compression(String),

    /// A ModelPack's single files are never compressed (model-spec, "Layer media types").
    #[error(
        "a ModelPack of single files cannot be compressed; choose tar layers, or no compression"
    )]
    RawCompression,

    /// A manifest is not that of a ModelKit.
    #[error("{digest} is not a ModelKit: {problem}")]
    NotAModelKit {
        /// The manifest's digest.
        digest: Digest,
        /// What is missing or wrong.
        problem: String,
    },

    /// A manifest is that of an index, whose members are artifacts of their own.
    #[error("{digest} is an index of {} {}, not one itself", members.len(), if *of_modelkits { "ModelKits" } else { "manifests" })]
    Index {
        /// The index's digest.
        digest: Digest,
        /// Whether it is KitOps' own kind of index.
        of_modelkits: bool,
        /// What it lists.
        members: Vec<IndexMember>,
    },

    /// A document does not parse.
    #[error("cannot parse the {what} {digest}")]
    Document {
        /// What it should have been.
        what: &'static str,
        /// Its digest.
        digest: Digest,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },

    /// The config of a ModelKit is not a Kitfile.
    #[error("cannot read the Kitfile of {digest}")]
    Config {
        /// The manifest's digest.
        digest: Digest,
        /// What is wrong with it.
        #[source]
        source: kitfile::Error,
    },

    /// A layer's archive was refused; nothing of it was unpacked.
    #[error("cannot unpack layer {digest}")]
    Layer {
        /// The layer.
        digest: Digest,
        /// Why.
        #[source]
        source: Refused,
    },

    /// What would be unpacked is there already.
    #[error("{path} already exists")]
    Exists {
        /// The path in the target folder.
        path: PathBuf,
    },

    /// Something else than a file or a folder is where one would be unpacked.
    #[error("{path} is {found}, not {expected}")]
    InTheWay {
        /// The path in the target folder.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What it would have to be.
        expected: &'static str,
    },

    /// The Kitfile that is there says something else, and is to stay.
    #[error("{path} is there, and says something else than the ModelKit's own")]
    OtherKitfile {
        /// The Kitfile in the target folder.
        path: PathBuf,
    },

    /// Files would come into a Git repository's own folder, where some are programs that Git runs.
    #[error("{path} is a Git repository's own folder, and the ModelKit has files for it")]
    Repository {
        /// The folder.
        path: PathBuf,
    },

    /// What a process that was killed has begun to place in a folder cannot be taken back.
    #[error(
        "what an interrupted command has begun to place is kept in {path}, and cannot be taken back"
    )]
    Unfinished {
        /// The folder in which the rest of it is.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<Self>,
    },

    /// The context holds what a process that was killed has begun to place in it.
    #[error(
        "{path} is of a command that was interrupted while it placed its files: some of them are there"
    )]
    HalfPlaced {
        /// The folder in which the rest of it is.
        path: PathBuf,
    },

    /// There is less room on the disk than the layers need.
    #[error("the layers need {needed} bytes on the disk of {path}, where {free} are free")]
    NoRoom {
        /// The target folder.
        path: PathBuf,
        /// How many bytes are needed at least.
        needed: u64,
        /// How many there are.
        free: u64,
    },

    /// A ModelKit that this one builds on is not in the layout.
    #[error("ModelKit {reference}, which this one builds on, is not in the layout")]
    MissingParent {
        /// What would have to be pulled.
        reference: Box<Reference>,
    },

    /// A dataset is kept where it cannot be fetched from.
    #[error("dataset `{path}` is kept at {remote}: {problem}")]
    RemoteDataset {
        /// The dataset's path, as written.
        path: String,
        /// Where it is kept.
        remote: String,
        /// Why it cannot be fetched.
        problem: String,
    },

    /// A reference to another ModelKit is none, or leads around in a circle.
    #[error("cannot follow the reference to ModelKit {reference}: {problem}")]
    Reference {
        /// The reference as written.
        reference: String,
        /// What is wrong.
        problem: String,
    },

    /// A layer cannot be part of a runtime image.
    #[error("layer {digest} at `{path}` cannot go into an image: {problem}")]
    ImageLayer {
        /// The layer.
        digest: Digest,
        /// Its path in the ModelKit.
        path: String,
        /// Why not.
        problem: &'static str,
    },

    /// An artifact is not made of files that can be read as a tree.
    #[error("{digest} holds no tree of files: {problem}")]
    NoTree {
        /// The manifest's digest.
        digest: Digest,
        /// What it is instead.
        problem: String,
    },

    /// An image's manifest and config do not belong together.
    #[error("{digest} is not an image: {problem}")]
    NotAnImage {
        /// The manifest's digest.
        digest: Digest,
        /// What is missing or wrong.
        problem: String,
    },
}

/// Why an archive or a layer was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// An entry's name leaves the folder, or could be read in two ways.
    #[error("the entry `{name}` {problem}")]
    Entry {
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// An entry lies where its layer was not announced.
    #[error("the entry `{name}` lies outside of `{path}`, which is all that the layer may hold")]
    Outside {
        /// The name, escaped.
        name: String,
        /// The path that the Kitfile, or the manifest, has for the layer.
        path: String,
    },

    /// The stream is not a tar archive that all readers read alike.
    #[error("the archive is not well-formed: {0}")]
    Malformed(&'static str),

    /// More came out than the limits allow.
    #[error("more comes out than is allowed: {what} is limited to {limit}")]
    Limit {
        /// What was counted.
        what: &'static str,
        /// The limit that was reached.
        limit: u64,
    },

    /// The bytes are not those that the digest names.
    #[error("the {what} is {found}, not {expected}")]
    Digest {
        /// Which of the two digests: `digest` or `diffId`.
        what: &'static str,
        /// What the bytes hash to.
        found: String,
        /// What they should hash to.
        expected: String,
    },

    /// There are more or fewer bytes than the descriptor says.
    #[error("the size is {found} bytes, not {expected}")]
    Size {
        /// How many there are.
        found: u64,
        /// How many there should be.
        expected: u64,
    },

    /// Reading the layer or writing its files failed.
    #[error("reading the layer or writing its files failed")]
    Io(#[from] io::Error),
}

/// The error in which a listener's `Break` travels through readers and writers.
#[derive(Debug, thiserror::Error)]
#[error("stopped on request")]
struct Cancelled;

/// Turns a listener's answer into what readers and writers understand.
pub(crate) fn go_on(answer: ControlFlow<()>) -> io::Result<()> {
    if answer.is_break() { Err(io::Error::other(Cancelled)) } else { Ok(()) }
}

/// Whether an error is a listener's `Break` that came through a reader or a writer.
pub(crate) fn is_cancelled(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Cancelled>())
}

/// Says what lay where files were looked for.
fn passed_over(passed: &[String]) -> String {
    match passed {
        [] => String::new(),
        [first, others @ ..] => {
            let others = match others.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            format!(", only what is no file: {first}{others}")
        }
    }
}
