//! What clients can make a registry or a hub hold: every bound, in one place. The guide's page on
//! security tells them.

use std::time::Duration;

// Connections.

/// How many connections there are at once, unless the process may open fewer files.
pub(crate) const MAX_CONNECTIONS: usize = 1024;
/// File descriptors that are left for everything else.
pub(super) const DESCRIPTORS_APART: usize = 64;
/// How long a connection may take to say what it wants: its TLS handshake, and the head of each
/// request.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long whoever reads an answer may stand still.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that is slower than [`SLOW`] for so long makes room for a new one when there is no
/// other.
pub(super) const MEASURE: Duration = Duration::from_secs(1);
/// How often those that wait are looked at while nothing else happens, and how often at most all
/// connections are measured for them.
pub(super) const ROUND: Duration = Duration::from_millis(100);
/// Bytes a second, in both directions together.
pub(super) const SLOW: u64 = 8 * 1024;
/// How much is read from, and kept for, a connection at a time, in bytes: below what the C library
/// gives back to the system at once. The head of a request must fit.
pub(super) const BUFFER: usize = 96 * 1024;

// Answers.

/// The largest answer that is made in memory, in bytes: lists go on by `Link`, what is larger is
/// sent from the disk piece by piece.
pub(crate) const MAX_IN_MEMORY: u64 = 64 * 1024;
/// How many items of a list are looked at for one answer; the shortest that there are fill it.
pub(super) const MAX_LISTED: usize = 16 * 1024;
/// How much of a message, which may quote what the client sent, is said, in bytes.
pub(super) const MAX_MESSAGE: usize = 1024;

/// How many rows a table of a page for people has.
pub(super) const MAX_ROWS: usize = 100;
/// How much such a page shows of a name or an annotation, in bytes.
pub(super) const MAX_CELL: usize = 512;

// What is taken in.

/// How many manifests that are larger than [`MAX_IN_MEMORY`] are taken in at once.
pub(super) const MAX_LARGE_MANIFESTS: usize = 4;
/// The longest type of an artifact that is listed, in bytes (RFC 6838 §4.2: 127 on each side).
pub(super) const MAX_MEDIA_TYPE: usize = 255;
/// The largest index of a layout to which manifests and tags are added, in bytes: some 100,000.
pub(super) const MAX_INDEX: u64 = 32 * 1024 * 1024;
/// How many changes of what repositories hold have a thread, most of them to wait for each other.
pub(super) const MAX_CHANGES: usize = 64;
/// How much of all uploads may wait for the disk, in KiB.
pub(super) const MAX_WAITING_KIB: usize = 64 * 1024;
/// How many pieces of one upload may wait for the disk.
pub(super) const MAX_WAITING: usize = 16;
/// Uploads whose hash is kept in memory; that of others is computed anew when they go on.
pub(super) const MAX_SESSIONS: usize = 4096;

/// Of how many manifests it is remembered that no image can be made of them.
pub(super) const MAX_REFUSED: usize = 4096;
/// For how long: what is damaged may be pushed again.
pub(super) const REFUSED: Duration = Duration::from_secs(10 * 60);

// Users.

/// How many logins may wait for the check of their password. The newest is checked first.
pub(super) const MAX_LOGINS: usize = 256;
/// The largest file of users, in bytes.
pub(super) const MAX_USERS_FILE: u64 = 1024 * 1024;
/// How long what a user has under way goes on after the user was taken out of the file.
pub(super) const RECHECK: Duration = Duration::from_millis(250);

// The hub.

/// Entries on a page of a listing.
pub(crate) const MAX_HUB_PAGE: usize = 1000;
/// How many paths of a repository may be asked for at once.
pub(crate) const MAX_HUB_PATHS: usize = 1000;
/// The largest body of a request to the hub, in bytes.
pub(crate) const MAX_HUB_BODY: usize = 256 * 1024;
/// How long the body of a request to the hub may take.
pub(crate) const HUB_BODY_TIMEOUT: Duration = Duration::from_secs(30);
