//! What Flux' source-controller makes of the files of a repository.

use super::ignore::{is_left_out, patterns};
use crate::Tree;

/// What is left out of every artifact.
const ALWAYS: &str = ".git/\n.gitignore\n.gitmodules\n.gitattributes\n";

/// What is left out besides where nobody says anything else.
const BY_DEFAULT: &str = "\
*.jpg
*.jpeg
*.gif
*.png
*.wmv
*.flv
*.tar.gz
*.zip
.github/
.circleci/
.travis.yml
.gitlab-ci.yml
appveyor.yml
.drone.yml
cloudbuild.yaml
codeship-services.yml
codeship-steps.yml
**/.goreleaser.yml
**/.sops.yaml
**/.flux.yaml
";

/// The files of a repository that Flux takes: without links, and without what its `.sourceignore`
/// files and the `spec.ignore` of the source leave out. Where there is neither, Flux has a list of
/// its own.
///
/// Source: `fluxcd/pkg/sourceignore`, and `SourceIgnoreFilter` in `fluxcd/pkg/artifact`.
pub fn artifact(repository: &Tree, ignore: Option<&str>) -> Tree {
    let mut written = Vec::new();
    let mut files: Vec<&str> = repository
        .paths()
        .filter(|path| *path == ".sourceignore" || path.ends_with("/.sourceignore"))
        .collect();
    // Those of a folder come before those of the folders in it, which come by their names.
    files.sort_by_key(|path| {
        path.rsplit_once('/').map_or(Vec::new(), |(it, _)| it.split('/').collect())
    });
    for path in files {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        written.extend(patterns(repository.get(path).unwrap_or_default(), folder));
    }
    written.extend(patterns(ignore.unwrap_or_default(), ""));
    let mut all = patterns(ALWAYS, "");
    if written.is_empty() {
        all.extend(patterns(BY_DEFAULT, ""));
    }
    all.extend(written);
    repository.filtered(|path| !is_left_out(&all, path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flux::cases;

    /// `testdata/flux/make.sh` asked Flux' own packages.
    #[test]
    fn files_are_left_out_that_flux_leaves_out() {
        let cases = cases(include_str!("../../testdata/flux/artifact.txt"));
        assert!(cases.len() > 20, "only {} cases", cases.len());
        for (asked, expected) in cases {
            let (mut tree, mut spec) = (Tree::new(), None);
            for line in asked.lines() {
                match line.split_once(": ") {
                    Some(("spec", pattern)) => {
                        let text: &mut String = spec.get_or_insert_default();
                        text.push_str(&format!("{pattern}\n"));
                    }
                    Some((path, pattern)) => {
                        let before = tree.get(path).unwrap_or_default().to_owned();
                        tree.insert(path, format!("{before}{pattern}\n")).unwrap();
                    }
                    None => tree.insert(line, "").unwrap(),
                }
            }
            let kept = artifact(&tree, spec.as_deref());
            let paths: Vec<&str> = kept.paths().collect();
            assert_eq!(paths.join("\n"), expected, "{asked}");
        }
    }

    #[test]
    fn no_link_is_taken() {
        let mut tree = Tree::from_files([("a.yaml", "")]).unwrap();
        tree.insert_link("b.yaml", "a.yaml").unwrap();
        assert_eq!(tree.get("b.yaml"), Some(""));
        assert_eq!(artifact(&tree, None).get("b.yaml"), None);
    }
}
