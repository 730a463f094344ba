//! The tutorial's commands are the story's commands.

use std::fs;
use std::path::Path;

/// Every kind of `kit-rs` command that the tutorial shows is typed by the story as well, so that
/// each was seen to work.
#[test]
fn the_story_types_every_command_of_the_tutorial() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let tutorial =
        fs::read_to_string(root.join("docs/guide/tutorial.md")).expect("the tutorial is there");
    let story = told(&root.join("xtask/src/e2e"));
    let blocks = tutorial.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines).filter(|line| !line.contains("xtask"));
    let commands: Vec<String> = lines.filter_map(command).collect();
    assert!(commands.len() > 15, "the tutorial shows commands: {commands:?}");
    for command in commands {
        assert!(story.contains(&command), "the tutorial types `{command} …`, the story does not");
    }
}

/// The words of a `kit-rs` line up to its first value: `kit-rs gitops render`.
fn command(line: &str) -> Option<String> {
    let words = line.split_whitespace().skip_while(|word| *word != "kit-rs");
    let is_verb = |word: &&str| {
        word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
            && !word.starts_with('-')
    };
    let verbs: Vec<&str> = words.take_while(is_verb).take(3).collect();
    let n_words = match verbs.get(1) {
        Some(&("gitops" | "image" | "registry" | "hub")) => 3,
        Some(_) => 2,
        None => return None,
    };
    Some(verbs.into_iter().take(n_words).collect::<Vec<_>>().join(" "))
}

fn told(dir: &Path) -> String {
    let files = fs::read_dir(dir).expect("the story's folder is there");
    files
        .map(|file| fs::read_to_string(file.expect("a file").path()).expect("a source file"))
        .collect()
}
