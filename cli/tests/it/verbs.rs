//! Nothing of the program is left out of the transcripts.

use std::collections::BTreeSet;

use crate::transcript;
use crate::world::World;

/// Each verb once well, once refused, once as JSON.
#[test]
fn every_verb_is_in_the_transcripts_well_refused_and_as_json() {
    let world = World::new();
    let entries: Vec<_> =
        transcript::NAMES.iter().flat_map(|name| transcript::entries(name)).collect();
    let mut missing = Vec::new();
    let verbs = verbs(&world, &[]);
    assert!(verbs.len() > 25, "the program's own help tells its verbs: {verbs:?}");
    for verb in verbs {
        let typed = format!("kit-rs {} ", verb.join(" "));
        let of_verb = || entries.iter().filter(|entry| format!("{} ", entry.line).contains(&typed));
        let mut need = |what: &str, is_there: bool| {
            if !is_there {
                missing.push(format!("{typed}{what}"));
            }
        };
        need("well", of_verb().any(|entry| entry.code == 0));
        need("refused", of_verb().any(|entry| entry.code != 0));
        need(
            "as JSON",
            of_verb().any(|entry| entry.code == 0 && entry.line.contains("--format json")),
        );
    }
    assert!(missing.is_empty(), "the transcripts lack:\n{}", missing.join("\n"));
    let codes: BTreeSet<i32> = entries.iter().map(|entry| entry.code).collect();
    assert_eq!(codes, [0, 1, 2, 130].into(), "all exit codes of the reference, and no other");
}

/// The verbs that do something, by the program's own help.
fn verbs(world: &World, above: &[String]) -> Vec<Vec<String>> {
    let output =
        world.kit_rs().arg("help").args(above).output().expect("the program can be started");
    let help = String::from_utf8(output.stdout).expect("help is UTF-8");
    let Some((_, table)) = help.split_once("\nCommands:\n") else { return vec![above.to_vec()] };
    let table = table.split("\n\n").next().unwrap_or_default();
    // Descriptions that are long go on further to the right.
    let names = table.lines().filter(|line| line.len() > 2 && !line[2..].starts_with(' '));
    let names =
        names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    names.flat_map(|name| verbs(world, &[above, &[name.to_owned()]].concat())).collect()
}
