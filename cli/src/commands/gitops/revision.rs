//! What a Git repository holds at a revision, or in its working tree, read without checking anything
//! out. The user's own `git` is asked.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use fs_err as fs;
use gitops::Tree;

use crate::failure::{WithHint as _, asked_wrongly, failure};
use crate::kind::Kind;

/// Larger files are no text that a person wrote, as in [`Tree::read`].
const MAX_FILE: u64 = 4 << 20;
/// How many links may lead to links.
const MAX_HOPS: usize = 8;

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Revision {
    /// A commit, by its id.
    Commit(String),
    /// The files as they lie there, but for what Git is told to ignore.
    WorkTree,
}

/// A repository on this disk.
pub(super) struct Repository {
    dir: PathBuf,
}

impl Repository {
    /// The repository that a folder is in.
    pub(super) fn of(dir: &Path) -> anyhow::Result<Self> {
        let here = Self { dir: dir.to_owned() };
        match here.git(&["rev-parse", "--show-toplevel"]) {
            Ok(top) => Ok(Self { dir: PathBuf::from(top) }),
            // One without a working tree.
            Err(error) => match here.git(&["rev-parse", "--is-bare-repository"]).as_deref() {
                Ok("true") => Ok(here),
                _ => Err(error).hint("run this in a Git repository, or name one with --dir"),
            },
        }
    }

    /// Reads `A..B`, `A...B` (from where both parted to `B`), or `A` (from it to the working tree).
    pub(super) fn range(&self, text: &str) -> anyhow::Result<(Revision, Revision)> {
        let commit = |name: &str| self.commit(if name.is_empty() { "HEAD" } else { name });
        if let Some((a, b)) = text.split_once("...") {
            let (a, b) = (commit(a)?, commit(b)?);
            let base = self
                .git(&["merge-base", &a, &b])
                .map_err(|_| asked_wrongly(format!("{text}: the two have no commit in common")))?;
            return Ok((Revision::Commit(base), Revision::Commit(b)));
        }
        match text.split_once("..") {
            Some((a, b)) => Ok((Revision::Commit(commit(a)?), Revision::Commit(commit(b)?))),
            None => Ok((Revision::Commit(commit(text)?), Revision::WorkTree)),
        }
    }

    fn commit(&self, name: &str) -> anyhow::Result<String> {
        let asked = format!("{name}^{{commit}}");
        self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &asked])
            .map_err(|_| asked_wrongly(format!("{name} is no revision of this repository")))
    }

    /// The branches here and of remotes, by their own names.
    pub(super) fn branches(&self) -> anyhow::Result<BTreeSet<String>> {
        let said =
            self.git(&["for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes"])?;
        let name = |reference: &str| match reference.strip_prefix("refs/heads/") {
            Some(branch) => Some(branch.to_owned()),
            None => {
                let of_remote = reference.strip_prefix("refs/remotes/")?;
                of_remote.split_once('/').map(|(_, branch)| branch.to_owned())
            }
        };
        let mut branches: BTreeSet<String> = said.lines().filter_map(name).collect();
        // Before its first commit, a branch is where HEAD points.
        branches.extend(self.git(&["symbolic-ref", "--short", "--quiet", "HEAD"]).ok());
        Ok(branches)
    }

    /// Reads both sides; what both have is read once.
    pub(super) fn trees(&self, sides: [&Revision; 2]) -> anyhow::Result<[Tree; 2]> {
        let mut listed = Vec::new();
        for side in sides {
            if let Revision::Commit(commit) = side {
                listed.push(self.list(commit)?);
            }
        }
        let blobs = self.blobs(listed.iter().flatten().map(|entry| entry.blob.as_str()))?;
        let mut listed = listed.into_iter();
        let mut tree = |side: &Revision| match side {
            Revision::Commit(_) => of_entries(&listed.next().unwrap_or_default(), &blobs),
            Revision::WorkTree => self.work_tree(),
        };
        Ok([tree(sides[0])?, tree(sides[1])?])
    }

    /// The files and links of a commit.
    fn list(&self, commit: &str) -> anyhow::Result<Vec<Entry>> {
        let said = self.git(&["ls-tree", "-r", "-z", "--full-tree", commit])?;
        let entries = said.split('\0').filter(|line| !line.is_empty()).map(|line| {
            let (facts, path) = line.split_once('\t').context("git ls-tree says no path")?;
            let mut facts = facts.split(' ');
            let mode = facts.next().unwrap_or_default();
            let (kind, blob) = (facts.next().unwrap_or_default(), facts.next().unwrap_or_default());
            // What is no blob is another repository's commit.
            Ok((kind == "blob").then(|| Entry {
                is_link: mode == "120000",
                blob: blob.to_owned(),
                path: path.to_owned(),
            }))
        });
        entries.filter_map(anyhow::Result::transpose).collect()
    }

    /// The texts of blobs; those that are no texts, or too large, are left out.
    fn blobs<'a>(
        &self,
        ids: impl Iterator<Item = &'a str>,
    ) -> anyhow::Result<HashMap<String, String>> {
        let ids: HashSet<&str> = ids.collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let mut command = self.command(&["cat-file", "--batch"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot run git")?;
        let mut asked = child.stdin.take().context("git takes no questions")?;
        let mut said = BufReader::new(child.stdout.take().context("git gives no answers")?);
        let texts = std::thread::scope(|scope| {
            let ids = &ids;
            // Both ways at once: git waits for whoever does not read its answers.
            let asking = scope.spawn(move || {
                ids.iter().try_for_each(|id| asked.write_all(format!("{id}\n").as_bytes()))
            });
            let mut texts = HashMap::new();
            for _ in ids {
                let (id, bytes) = blob(&mut said)?;
                texts.extend(String::from_utf8(bytes).ok().map(|text| (id, text)));
            }
            asking.join().expect("it does not panic").context("git takes no questions")?;
            anyhow::Ok(texts)
        });
        child.wait()?;
        texts.context("cannot read what git has")
    }

    /// The files as they lie there, new ones too, without those that Git ignores.
    pub(super) fn work_tree(&self) -> anyhow::Result<Tree> {
        let root = fs::canonicalize(&self.dir)?;
        let said = self.git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
        let mut tree = Tree::new();
        for path in said.split('\0').filter(|path| !path.is_empty()) {
            read_into(&mut tree, &root, path, MAX_HOPS)?;
        }
        Ok(tree)
    }

    fn git(&self, args: &[&str]) -> anyhow::Result<String> {
        let output = self.command(args).output().context("cannot run git").hint("install git")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(failure(Kind::NotFound, format!("git {}: {said}", args[0])));
        }
        let said = String::from_utf8(output.stdout).context("git names a file that is no text")?;
        Ok(said.trim_end_matches('\n').to_owned())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.dir).args(args);
        command
    }
}

/// A file or a link of a commit.
struct Entry {
    is_link: bool,
    blob: String,
    path: String,
}

/// One answer of `git cat-file --batch`; what is too large is passed over.
fn blob(said: &mut impl std::io::BufRead) -> anyhow::Result<(String, Vec<u8>)> {
    let mut line = String::new();
    said.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(id), Some("blob"), Some(size)) = (words.next(), words.next(), words.next()) else {
        bail!("git cat-file: {}", line.trim());
    };
    let size: u64 = size.parse()?;
    let mut bytes = Vec::new();
    match size > MAX_FILE {
        true => {
            std::io::copy(&mut said.take(size), &mut std::io::sink())?;
            // No text is what this is not.
            bytes.push(0xff);
        }
        false => drop(said.take(size).read_to_end(&mut bytes)?),
    }
    said.read_exact(&mut [0])?;
    Ok((id.to_owned(), bytes))
}

fn of_entries(entries: &[Entry], blobs: &HashMap<String, String>) -> anyhow::Result<Tree> {
    let mut tree = Tree::new();
    let mut links = BTreeMap::new();
    for entry in entries {
        match blobs.get(&entry.blob) {
            Some(target) if entry.is_link => drop(links.insert(&*entry.path, &**target)),
            Some(text) => tree.insert(&entry.path, text.as_str())?,
            None => {}
        }
    }
    // A link may lead to what another one brings.
    for _ in 0..MAX_HOPS {
        let n_before = links.len();
        for (link, target) in std::mem::take(&mut links) {
            if !follow(&mut tree, link, target)? {
                links.insert(link, target);
            }
        }
        if links.len() == n_before {
            break;
        }
    }
    Ok(tree)
}

/// Puts what a link leads to in its place, if that is in the tree.
fn follow(tree: &mut Tree, link: &str, target: &str) -> anyhow::Result<bool> {
    let folder = link.rsplit_once('/').map_or("", |(folder, _)| folder);
    let Some(target) = joined(folder, target) else { return Ok(false) };
    if let Some(text) = tree.get(&target).map(str::to_owned) {
        tree.insert(link, text)?;
        return Ok(true);
    }
    let below = format!("{target}/");
    let files: Vec<(String, String)> = tree
        .iter()
        .filter_map(|(path, text)| {
            let rest = path.strip_prefix(&below)?;
            Some((format!("{link}/{rest}"), text.to_owned()))
        })
        .collect();
    // One that leads to a folder around itself would never end.
    if files.is_empty() || link.starts_with(&below) {
        return Ok(false);
    }
    for (path, text) in files {
        tree.insert(&path, text)?;
    }
    Ok(true)
}

/// Where a relative link leads, if it stays inside.
fn joined(folder: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Reads a file, or what a link leads to inside of the root.
fn read_into(tree: &mut Tree, root: &Path, path: &str, hops: usize) -> anyhow::Result<()> {
    let place = root.join(path);
    // What Git knows and is not there any more is gone.
    let Ok(metadata) = fs::symlink_metadata(&place) else { return Ok(()) };
    let is_inside = || fs::canonicalize(&place).is_ok_and(|target| target.starts_with(root));
    if metadata.is_symlink() && (hops == 0 || !is_inside()) {
        return Ok(());
    }
    let Ok(metadata) = fs::metadata(&place) else { return Ok(()) };
    if metadata.is_dir() {
        // A folder is listed where a link stands for it, or another repository.
        if !fs::symlink_metadata(&place)?.is_symlink() && hops == MAX_HOPS {
            return Ok(());
        }
        for entry in fs::read_dir(&place)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if name != ".git" {
                read_into(tree, root, &format!("{path}/{name}"), hops - 1)?;
            }
        }
        return Ok(());
    }
    if metadata.len() <= MAX_FILE
        && let Ok(text) = String::from_utf8(fs::read(&place)?)
    {
        tree.insert(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A repository with one commit of what `fill` puts into its folder.
    fn repository(fill: impl Fn(&Path)) -> (tempfile::TempDir, Repository) {
        let dir = tempfile::tempdir().expect("there is a place for temporary files");
        let here = Repository { dir: dir.path().to_owned() };
        here.git(&["init", "--quiet", "--initial-branch=main"]).expect("git is there");
        fill(dir.path());
        commit(&here);
        (dir, here)
    }

    fn commit(here: &Repository) {
        here.git(&["add", "--all"]).expect("it can be added");
        let who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
        let commit = [&who[..], &["commit", "--quiet", "--no-gpg-sign", "--message=x"]].concat();
        here.git(&commit).expect("it can be committed");
    }

    fn write(dir: &Path, path: &str, bytes: impl AsRef<[u8]>) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("it can be made");
        fs::write(path, bytes).expect("it can be written");
    }

    #[test]
    fn a_commit_is_read_as_its_working_tree_is() {
        let outside = tempfile::tempdir().expect("there is a place for temporary files");
        write(outside.path(), "secret", "outside");
        let (dir, here) = repository(|dir| {
            write(dir, "base/a.yaml", "a: 1\n");
            write(dir, "base/ü b.yaml", "");
            write(dir, "base/sub/c.txt", "c");
            write(dir, "binary", [0xff, 0xfe]);
            write(dir, "large.yaml", vec![b'x'; 5 << 20]);
            write(dir, ".gitignore", "ignored\n");
            write(dir, "ignored", "x");
            symlink("base/a.yaml", dir.join("file-link")).expect("a link can be made");
            symlink("../base", dir.join("base/../link-to-nowhere")).expect("a link can be made");
            fs::create_dir(dir.join("overlay")).expect("it can be made");
            symlink("../base", dir.join("overlay/base")).expect("a link can be made");
            symlink(outside.path().join("secret"), dir.join("out")).expect("a link can be made");
            symlink("missing", dir.join("dangling")).expect("a link can be made");
        });
        let (head, here_now) = here.range("HEAD").expect("there is a commit");
        assert_eq!(here_now, Revision::WorkTree);
        let [committed, lying] = here.trees([&head, &here_now]).expect("both can be read");
        assert_eq!(committed, lying);
        let paths: Vec<&str> = committed.paths().collect();
        assert_eq!(
            paths,
            [
                ".gitignore",
                "base/a.yaml",
                "base/sub/c.txt",
                "base/ü b.yaml",
                "file-link",
                "overlay/base/a.yaml",
                "overlay/base/sub/c.txt",
                "overlay/base/ü b.yaml",
            ]
        );
        write(dir.path(), "new.yaml", "new");
        fs::remove_file(dir.path().join("base/a.yaml")).expect("it is there");
        let [committed, lying] = here.trees([&head, &here_now]).expect("both can be read");
        assert!(committed.get("new.yaml").is_none() && lying.get("new.yaml").is_some());
        assert!(committed.get("base/a.yaml").is_some() && lying.get("base/a.yaml").is_none());
    }

    #[test]
    fn revisions_are_those_that_git_knows() {
        let (dir, here) = repository(|dir| write(dir, "a", "1"));
        let first = here.git(&["rev-parse", "HEAD"]).expect("there is a commit");
        here.git(&["switch", "--quiet", "--create", "side"]).expect("a branch can be made");
        write(dir.path(), "b", "2");
        commit(&here);
        let side = here.git(&["rev-parse", "HEAD"]).expect("there is a commit");
        here.git(&["switch", "--quiet", "main"]).expect("it is there");
        write(dir.path(), "c", "3");
        commit(&here);
        let main = here.git(&["rev-parse", "HEAD"]).expect("there is a commit");
        let of = |text: &str| here.range(text).expect("there are such commits");
        let commits = |a: &str, b: &str| (Revision::Commit(a.into()), Revision::Commit(b.into()));
        assert_eq!(of("side..main"), commits(&side, &main));
        assert_eq!(of("main...side"), commits(&first, &side));
        assert_eq!(of("HEAD~1.."), commits(&first, &main));
        assert_eq!(of("..side"), commits(&main, &side));
        assert_eq!(of("side"), (Revision::Commit(side), Revision::WorkTree));
        for wrong in ["nothing", "main..nothing", "--output=x", "HEAD:a", ""] {
            let error = here.range(wrong).err();
            let is_usage = error.is_some_and(|error| crate::kind::of(&error) == Kind::Usage);
            assert!(is_usage || wrong.is_empty(), "{wrong}");
        }
        let branches = here.branches().expect("there are branches");
        assert_eq!(branches, ["main".to_owned(), "side".to_owned()].into());
    }
}
