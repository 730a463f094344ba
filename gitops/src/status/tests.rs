//! Golden words: what kstatus of cli-utils 1.2.3 (as in kustomize-controller 1.9.6) says of each;
//! `testdata/status/make.sh` asks it.

use super::*;

/// One object a line: the word that kstatus gives it, then the object.
#[test]
fn every_object_has_the_health_that_kstatus_gives_it() {
    let golden = include_str!("../../testdata/status/expected.txt");
    let mut n = 0;
    for line in golden.lines().filter(|line| !line.starts_with('#')) {
        let (word, object) = line.split_once(' ').unwrap();
        let value = serde_json::from_str(object).unwrap();
        let health = health(&Object::from_value(value).unwrap());
        assert_eq!(health.word(), word, "{health:?} of {object}");
        n += 1;
    }
    assert!(n > 60, "{n} objects only");
}

#[test]
fn a_pod_that_crashes_fails_what_made_it_while_that_is_on_its_way() {
    let pod = |extra: &str| -> Object {
        format!("{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, status: {{phase: Running, {extra}}}}}")
            .parse()
            .unwrap()
    };
    let crashing = "containerStatuses: [{name: c, state: {waiting: {reason: CrashLoopBackOff}}}]";
    let on_its_way = Health::InProgress("0 of 1".to_owned());
    let failed = Health::Failed("1 pods have failed".to_owned());
    assert_eq!(with_pods(on_its_way.clone(), &[pod(crashing), pod("")]), failed);
    assert_eq!(with_pods(on_its_way.clone(), &[pod("")]), on_its_way);
    assert_eq!(with_pods(Health::Current, &[pod(crashing)]), Health::Current);
    let unplaced =
        format!("{crashing}, conditions: [{{type: PodScheduled, reason: Unschedulable}}]");
    assert_eq!(with_pods(on_its_way.clone(), &[pod(&unplaced)]), on_its_way);
}
