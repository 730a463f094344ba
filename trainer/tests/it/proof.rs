//! Trainings that are derived again: the honest ones hold, and each kind of a false one is found.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use fs_err as fs;
use kit_trainer::{
    Audited, BrokenRecord, Classifier, Difference, Error, Event, Keep, Link, Record, Report, Split,
    TrainConfig, audit, drawn, retrain, train,
};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::fixture::{flipped, go_on, load, sentences, tiny};

/// Three epochs of five steps, with a link every two steps and at the end of each epoch.
fn small() -> (Split, TrainConfig) {
    let config = TrainConfig {
        epochs: 3,
        batch_size: 8,
        learning_rate: 1e-3,
        record_every: 2,
        ..TrainConfig::default()
    };
    (Split { train: sentences(40), validation: sentences(12) }, config)
}

fn trained(data: &Split, config: &TrainConfig, keep: Option<&Keep>) -> (Classifier, Report) {
    train(load(&tiny()), data, config, keep, &go_on).expect("trained")
}

fn again(data: &Split, record: &Record) -> Result<Option<Difference>, Error> {
    retrain(load(&tiny()), data, record, None, &go_on).map(|it| it.difference)
}

fn steps(record: &Record) -> Vec<usize> {
    record.links.iter().map(|link| link.step).collect()
}

/// The chain as the documentation has it, by another hand.
fn chained(mut record: Record) -> Record {
    let text = |bytes: &[u8]| {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{digits}")
    };
    let mut tip = format!("{}\n", record.form);
    record.inputs.iter().for_each(|(name, value)| tip += &format!("{name}={value}\n"));
    tip = text(&Sha256::digest(&tip));
    for link in &mut record.links {
        let Link { step, epoch, weights, optimizer, losses, .. } = &link;
        let line = format!("{tip}\n{step} {epoch} {weights} {optimizer} {losses}\n");
        tip = text(&Sha256::digest(line));
        link.chain = tip.clone();
    }
    record
}

#[test]
fn a_record_is_the_same_for_any_number_of_threads_and_interruptions() {
    let (data, config) = small();
    let (_, whole) = trained(&data, &config, None);
    let record = whole.record;
    assert_eq!(steps(&record), [0, 2, 4, 5, 6, 8, 10, 12, 14, 15]);
    assert_eq!(record.check(), Ok(()));
    assert_eq!(chained(record.clone()), record);
    for threads in [1, 2, 7] {
        let config = TrainConfig { threads: Some(threads), ..config.clone() };
        assert_eq!(trained(&data, &config, None).1.record, record, "{threads} threads");
    }
    for stop in [1, 5, 11] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keep = |resume| Keep { dir: folder.path().to_owned(), every: 3, resume, states: None };
        let seen = Cell::new(0);
        let cut = train(load(&tiny()), &data, &config, Some(&keep(false)), &|event| {
            seen.set(seen.get() + usize::from(matches!(event, Event::Step { .. })));
            if seen.get() == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(cut, Err(Error::Cancelled)));
        assert_eq!(trained(&data, &config, Some(&keep(true))).1.record, record, "after {stop}");
    }
}

#[test]
fn the_digest_of_weights_is_that_of_the_file() {
    let (data, config) = small();
    let (classifier, report) = trained(&data, &config, None);
    let kept = report.record.kept().expect("an epoch was kept");
    assert_eq!(kept.weights, classifier.weights_digest());
    let folder = tempfile::tempdir().expect("a temporary folder");
    classifier.save(folder.path(), None).expect("saved");
    assert_eq!(load(folder.path()).weights_digest(), kept.weights);
    let bytes = fs::read(folder.path().join("model.safetensors")).expect("readable");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let lines: BTreeMap<&str, String> = file
        .iter()
        .map(|(name, tensor)| {
            let digits = Sha256::digest(tensor.data()).iter().map(|b| format!("{b:02x}")).collect();
            (name, digits)
        })
        .collect();
    let text: String = lines.iter().map(|(name, digest)| format!("{name} {digest}\n")).collect();
    let digits: String = Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(kept.weights, format!("sha256:{digits}"));
}

#[test]
fn an_honest_training_is_derived_again() {
    let (data, config) = small();
    let (classifier, report) = trained(&data, &config, None);
    let retrained =
        retrain(load(&tiny()), &data, &report.record, Some(1), &go_on).expect("trained");
    assert_eq!(retrained.difference, None);
    let digest = retrained.classifier.map(|it| it.weights_digest());
    assert_eq!(digest, Some(classifier.weights_digest()));
}

#[test]
fn what_goes_in_has_to_be_what_was_recorded() {
    let (data, config) = small();
    let record = trained(&data, &config, None).1.record;
    let refused = |data: &Split, record: &Record| {
        again(data, record).expect_err("refused").to_string().split(':').next().map(str::to_owned)
    };
    let swapped = |n: usize| {
        let mut data = data.clone();
        data.train.swap(n, n + 1);
        data
    };
    assert_eq!(refused(&swapped(3), &record).as_deref(), Some("training examples here"));
    let mut other = data.clone();
    other.validation.pop();
    assert_eq!(refused(&other, &record).as_deref(), Some("held-out examples here"));
    let with = |name: &str, value: &str| {
        let mut record = record.clone();
        record.inputs.insert(name.to_owned(), value.to_owned());
        chained(record)
    };
    let machine = again(&data, &with("instruction set", "riscv64")).expect_err("refused");
    assert!(matches!(machine, Error::OtherMachine { .. }), "{machine}");
    let build = again(&data, &with("burn", "0.1.0")).expect_err("refused");
    assert!(build.to_string().contains("nothing can be said of it here"), "{build}");
}

#[test]
fn a_changed_record_does_not_hold_together() {
    let (data, config) = small();
    let record = trained(&data, &config, None).1.record;
    let changed = |change: &dyn Fn(&mut Record)| {
        let mut record = record.clone();
        change(&mut record);
        record.check().expect_err("it is found")
    };
    let zeros = format!("sha256:{}", "0".repeat(64));
    assert_eq!(changed(&|it| it.links[3].weights = zeros.clone()), BrokenRecord::Chain(5));
    assert_eq!(changed(&|it| drop(it.links.remove(2))), BrokenRecord::Chain(5));
    assert_eq!(changed(&|it| drop(it.links.remove(0))), BrokenRecord::Start);
    assert_eq!(changed(&|it| it.links.clear()), BrokenRecord::Start);
    assert_eq!(changed(&|it| it.best_epoch = 9), BrokenRecord::Best(9));
    let seed = |it: &mut Record| {
        let options = it.inputs["options"].replace("\"seed\":42", "\"seed\":43");
        it.inputs.insert("options".to_owned(), options);
    };
    assert_eq!(changed(&seed), BrokenRecord::Chain(0));
    // The same text in two ways.
    let ambiguous = |it: &mut Record| {
        it.inputs.insert("a=b\nc".to_owned(), "d".to_owned());
    };
    assert_eq!(changed(&ambiguous), BrokenRecord::Input("a=b\nc".to_owned()));
    // Whoever makes the chain anew cannot leave a link out either.
    let mut shorter = record.clone();
    shorter.links.remove(2);
    assert_eq!(chained(shorter).check(), Err(BrokenRecord::Order(5)));
}

#[test]
fn another_seed_and_other_rows_are_found_where_they_are_passed_off() {
    let (data, config) = small();
    let honest = trained(&data, &config, None).1.record;
    let passed_off = |record: Record| chained(Record { inputs: honest.inputs.clone(), ..record });
    let other = TrainConfig { seed: 43, ..config.clone() };
    let seed = passed_off(trained(&data, &other, None).1.record);
    assert_eq!(again(&data, &seed).expect("compared"), Some(Difference::Loss { step: 1 }));
    let mut rows = data.clone();
    rows.train[7] = flipped(rows.train[7].clone());
    let poisoned = passed_off(trained(&rows, &config, None).1.record);
    let found = again(&data, &poisoned).expect("compared");
    assert!(matches!(found, Some(Difference::Loss { step: 1..=5 })), "{found:?}");
    // Epochs that were left out, and one that was not the best.
    let shorter = TrainConfig { epochs: 2, ..config };
    let mut ended = trained(&data, &shorter, None).1.record;
    ended.links = honest.links[..ended.links.len()].to_vec();
    let ended = passed_off(ended);
    assert_eq!(
        again(&data, &ended).expect("compared"),
        Some(Difference::End { recorded: 10, found: 11 })
    );
    let other = 1 + honest.best_epoch % 3;
    let worse = Record { best_epoch: other, ..honest.clone() };
    assert_eq!(
        again(&data, &worse).expect("compared"),
        Some(Difference::Best { recorded: other, found: honest.best_epoch })
    );
}

/// Changes the state of a training that was interrupted, as whoever wants to poison it would.
fn edit_state(dir: &Path, edit: impl Fn(&mut BTreeMap<String, Vec<u8>>, &mut Value)) {
    let path = dir.join("state.safetensors");
    let bytes = fs::read(&path).expect("readable");
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a header");
    let rest = header.metadata().as_ref().expect("metadata")["rest"].clone();
    let mut rest = serde_json::from_str(&rest).expect("JSON");
    let file = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut tensors: BTreeMap<String, Vec<u8>> =
        file.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect();
    edit(&mut tensors, &mut rest);
    let views = tensors.iter().map(|(name, bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, vec![bytes.len() / 4], bytes);
        (name, view.expect("a tensor"))
    });
    let metadata = Some([("rest".to_owned(), rest.to_string())].into());
    safetensors::serialize_to_file(views, metadata, &path).expect("written");
}

/// A training whose state was changed after some step; its record holds together.
fn poisoned(
    stop: usize,
    states: &Path,
    edit: impl Fn(&mut BTreeMap<String, Vec<u8>>, &mut Value),
) -> Record {
    let (data, config) = small();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keep = |resume| Keep {
        dir: folder.path().to_owned(),
        every: 100,
        resume,
        states: Some(states.to_owned()),
    };
    let seen = Cell::new(0);
    let cut = train(load(&tiny()), &data, &config, Some(&keep(false)), &|event| {
        seen.set(seen.get() + usize::from(matches!(event, Event::Step { .. })));
        if seen.get() == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(cut, Err(Error::Cancelled)));
    edit_state(folder.path(), edit);
    let record = trained(&data, &config, Some(&keep(true))).1.record;
    assert_eq!(record.check(), Ok(()));
    record
}

/// The lowest bit of one weight.
fn flip(tensors: &mut BTreeMap<String, Vec<u8>>, _: &mut Value) {
    let name = "weight/distilbert.transformer.layer.0.ffn.lin1.weight";
    tensors.get_mut(name).expect("a weight")[0] ^= 1;
}

/// A step that is said to be done and was not.
fn skip(tensors: &mut BTreeMap<String, Vec<u8>>, rest: &mut Value) {
    tensors.get_mut("losses").expect("losses").extend(0.69_f32.to_le_bytes());
    rest["steps_in_epoch"] = (rest["steps_in_epoch"].as_u64().expect("a number") + 1).into();
}

fn audited(data: &Split, record: &Record, states: &Path, segments: &[usize]) -> Vec<Audited> {
    audit(&load(&tiny()), data, record, states, segments, None, &go_on).expect("audited")
}

#[test]
fn a_flipped_bit_and_a_skipped_step_are_found_where_they_happened() {
    let (data, _) = small();
    let states = tempfile::tempdir().expect("a temporary folder");
    // Between steps 7 and 8, so that step 8 learns from other weights.
    let record = poisoned(7, states.path(), flip);
    let found = again(&data, &record).expect("compared");
    let is_there = |it: &Difference| {
        matches!(it, Difference::Loss { step: 8 } | Difference::Steps { first: 7, last: 8 })
    };
    assert!(found.as_ref().is_some_and(is_there), "{found:?}");
    let all: Vec<usize> = (0..record.links.len() - 1).collect();
    let differing: Vec<(usize, usize)> = audited(&data, &record, states.path(), &all)
        .iter()
        .filter(|it| it.difference.is_some())
        .map(|it| (it.from, it.to))
        .collect();
    assert_eq!(differing, [(6, 8)]);

    let states = tempfile::tempdir().expect("a temporary folder");
    let record = poisoned(11, states.path(), skip);
    assert_eq!(again(&data, &record).expect("compared"), Some(Difference::Loss { step: 12 }));
}

#[test]
fn an_audit_finds_as_often_as_was_promised() {
    let (data, config) = small();
    let states = tempfile::tempdir().expect("a temporary folder");
    let record = poisoned(7, states.path(), flip);
    let n_segments = record.links.len() - 1;
    let all: Vec<usize> = (0..n_segments).collect();
    let bad: Vec<bool> = audited(&data, &record, states.path(), &all)
        .iter()
        .map(|it| it.difference.is_some())
        .collect();
    let share = bad.iter().filter(|it| **it).count() as f64 / n_segments as f64;
    assert!(share > 0.0);
    for n_drawn in [1, 3, 8] {
        let n_audits = 4000;
        let finds = |seed: &u64| drawn(&record, n_drawn, *seed).iter().any(|n| bad[*n]);
        let found = (0..n_audits).filter(finds).count() as f64 / n_audits as f64;
        let promised = 1.0 - (1.0 - share).powi(n_drawn as i32);
        let deviation = (promised * (1.0 - promised) / n_audits as f64).sqrt();
        assert!((found - promised).abs() < 4.0 * deviation, "{n_drawn}: {found} and {promised}");
    }
    // A state that somebody changed is no beginning.
    let other = trained(&data, &config, None).1.record;
    assert_ne!(other, record);
    let at = other.links.iter().position(|link| link.step == 8).expect("a link");
    let found = audited(&data, &other, states.path(), &[at]);
    assert_eq!(found[0].difference, Some(Difference::State { step: 8 }));
    fs::remove_file(states.path().join("state-8.safetensors")).expect("removed");
    let gone = audit(&load(&tiny()), &data, &record, states.path(), &[at], None, &go_on);
    assert!(matches!(gone, Err(Error::State { .. })));
}
