//! The same inputs give the same bytes.

use std::cell::{Cell, OnceCell};
use std::ops::ControlFlow;
use std::path::Path;

use kit_trainer::{
    ClassWeights, Classifier, DeviceKind, Error, Event, Keep, Split, TrainConfig, train,
};

use crate::fixture::{base, edited, go_on, load, sentences, split, tiny, with_training};

/// The bytes of the weights that a training with this many threads ends with.
fn trained(dir: &Path, device: DeviceKind, seed: u64, threads: usize) -> Vec<u8> {
    let start = Classifier::load(dir, device).expect("the checkpoint loads");
    let start = start.with_labels(["bad", "good"].map(str::to_owned).to_vec(), seed);
    let config = TrainConfig {
        epochs: 2,
        seed,
        learning_rate: 1e-3,
        threads: Some(threads),
        ..TrainConfig::default()
    };
    let (classifier, _) = train(start, &split(48), &config, None, &go_on).expect("trained");
    let folder = tempfile::tempdir().expect("a temporary folder");
    classifier.save(folder.path(), None).expect("saved");
    fs_err::read(folder.path().join("model.safetensors")).expect("readable")
}

#[test]
fn weights_do_not_depend_on_the_number_of_threads() {
    let one = trained(&tiny(), DeviceKind::Flex, 1, 1);
    assert!(one == trained(&tiny(), DeviceKind::Flex, 1, 2), "one and two threads");
    assert!(one == trained(&tiny(), DeviceKind::Flex, 1, 5), "one and five threads");
    assert!(one != trained(&tiny(), DeviceKind::Flex, 2, 1), "another seed");
    for fixture in with_training() {
        let one = trained(&fixture, DeviceKind::Flex, 1, 1);
        assert!(one == trained(&fixture, DeviceKind::Flex, 1, 2), "{}", fixture.display());
    }
}

#[test]
fn weights_of_matrices_that_threads_share_do_not_depend_on_their_number() {
    let folder = base(128, 512);
    for device in [DeviceKind::Flex, DeviceKind::NdArray] {
        let one = trained(folder.path(), device, 1, 1);
        assert!(one == trained(folder.path(), device, 1, 2), "{device}: one and two threads");
        assert!(one == trained(folder.path(), device, 1, 4), "{device}: one and four threads");
    }
}

/// What a training is held to: everything that changes from step to step is in it.
fn eventful() -> (Split, TrainConfig) {
    let config = TrainConfig {
        epochs: 3,
        batch_size: 8,
        accumulation: 2,
        learning_rate: 1e-3,
        label_smoothing: 0.1,
        class_weights: ClassWeights::Balanced,
        freeze_layers: Some(1),
        ..TrainConfig::default()
    };
    (Split { train: sentences(40), validation: sentences(12) }, config)
}

fn bytes(classifier: &Classifier) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    classifier.save(folder.path(), None).expect("saved");
    fs_err::read(folder.path().join("model.safetensors")).expect("readable")
}

#[test]
fn an_interrupted_training_ends_with_the_same_bytes() {
    let (data, config) = eventful();
    let (whole, whole_report) =
        train(load(&tiny()), &data, &config, None, &go_on).expect("trained");
    // Nine steps: after some of them, with a state every two steps; who asks to stop has one of the
    // last step too.
    for stop in [1, 2, 3, 5, 8] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keep = |resume| Keep { dir: folder.path().to_owned(), every: 2, resume, states: None };
        let n_seen = Cell::new(0);
        let interrupted = train(load(&tiny()), &data, &config, Some(&keep(false)), &|event| {
            n_seen.set(n_seen.get() + usize::from(matches!(event, Event::Step { .. })));
            if n_seen.get() == stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(interrupted, Err(Error::Cancelled)));
        let before = Cell::new(0);
        let (resumed, report) = train(load(&tiny()), &data, &config, Some(&keep(true)), &|event| {
            if let Event::Started { n_done, .. } = event {
                before.set(n_done);
            }
            ControlFlow::Continue(())
        })
        .expect("trained");
        let before = before.get();
        assert!(before <= stop && before + 2 > stop, "{before} of {stop}");
        assert!(bytes(&resumed) == bytes(&whole), "interrupted after step {stop}");
        assert_eq!(
            (report.losses, report.best_epoch),
            (whole_report.losses.clone(), whole_report.best_epoch)
        );
    }
}

#[test]
fn a_training_of_every_architecture_goes_on_where_it_was() {
    let (data, config) = eventful();
    for fixture in with_training() {
        // Some share their first layer's weights with the second.
        let config = TrainConfig { freeze_layers: None, epochs: 1, ..config.clone() };
        let start = || load(&fixture).with_labels(["bad", "good"].map(str::to_owned).to_vec(), 1);
        let (whole, _) = train(start(), &data, &config, None, &go_on).expect("trained");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keep = |resume| Keep { dir: folder.path().to_owned(), every: 1, resume, states: None };
        let interrupted = train(start(), &data, &config, Some(&keep(false)), &|event| {
            let is_step = matches!(event, Event::Step { .. });
            if is_step { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(matches!(interrupted, Err(Error::Cancelled)));
        let (resumed, _) =
            train(start(), &data, &config, Some(&keep(true)), &go_on).expect("trained");
        assert!(bytes(&resumed) == bytes(&whole), "{}", fixture.display());
    }
}

#[test]
fn another_training_is_not_gone_on_with() {
    let (data, config) = eventful();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keep = Keep { dir: folder.path().to_owned(), every: 1, resume: true, states: None };
    train(load(&tiny()), &data, &config, Some(&keep), &go_on).expect("trained");
    let refused = |data: &Split, config: &TrainConfig| {
        let error = train(load(&tiny()), data, config, Some(&keep), &go_on)
            .expect_err("refused")
            .to_string();
        error.rsplit("another ").next().unwrap_or_default().to_owned()
    };
    assert_eq!(refused(&data, &TrainConfig { seed: 1, ..config.clone() }), "set of options");
    assert_eq!(refused(&split(40), &config), "dataset");
    let more_threads = TrainConfig { threads: Some(1), ..config };
    train(load(&tiny()), &data, &more_threads, Some(&keep), &go_on)
        .expect("threads change nothing");
}

#[test]
fn what_is_left_of_another_training_is_not_used() {
    let (data, config) = eventful();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keep = |resume| Keep { dir: folder.path().to_owned(), every: 1, resume, states: None };
    let faster = TrainConfig { learning_rate: 1e-2, ..config.clone() };
    train(load(&tiny()), &data, &faster, Some(&keep(false)), &go_on).expect("trained");
    fs_err::remove_file(folder.path().join("state.safetensors")).expect("removed");
    fs_err::write(folder.path().join("notes.txt"), "not ours").expect("written");
    let whole = train(load(&tiny()), &data, &config, None, &go_on).expect("trained").0;
    let resumed =
        train(load(&tiny()), &data, &config, Some(&keep(true)), &go_on).expect("trained").0;
    assert!(bytes(&resumed) == bytes(&whole));
    assert!(keep(true).is_begun());
    keep(true).remove().expect("removed");
    assert_eq!(fs_err::read_dir(folder.path()).expect("a folder").count(), 1, "the notes stay");
}

#[test]
fn two_trainings_do_not_share_a_state() {
    let (data, config) = eventful();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keep = Keep { dir: folder.path().to_owned(), every: 1, resume: false, states: None };
    let second = OnceCell::new();
    train(load(&tiny()), &data, &config, Some(&keep), &|event| {
        if matches!(event, Event::Step { .. }) {
            second.get_or_init(|| train(load(&tiny()), &data, &config, Some(&keep), &go_on));
        }
        ControlFlow::Continue(())
    })
    .expect("the first goes on");
    assert!(matches!(second.get(), Some(Err(Error::TrainingUnderWay { .. }))));
}

#[test]
fn a_tokenizer_that_changed_meanwhile_is_told() {
    let (data, config) = eventful();
    let (folder, model) = (tempfile::tempdir().expect("a folder"), edited(|_, _| ()));
    let keep = Keep { dir: folder.path().to_owned(), every: 1, resume: true, states: None };
    train(load(model.path()), &data, &config, Some(&keep), &go_on).expect("trained");
    let path = model.path().join("tokenizer.json");
    let text = fs_err::read_to_string(&path).expect("readable");
    fs_err::write(&path, text + " ").expect("written");
    let error =
        train(load(model.path()), &data, &config, Some(&keep), &go_on).expect_err("refused");
    assert!(error.to_string().ends_with("another tokenizer"), "{error}");
}

#[test]
fn another_instruction_set_is_refused() {
    let config = TrainConfig { isa: Some("abacus".to_owned()), ..TrainConfig::default() };
    let error = train(load(&tiny()), &split(8), &config, None, &go_on).expect_err("refused");
    assert!(matches!(error, Error::InstructionSet { .. }), "{error}");
    let (_, report) = train(
        load(&tiny()),
        &split(8),
        &TrainConfig { epochs: 1, ..TrainConfig::default() },
        None,
        &go_on,
    )
    .expect("trained");
    let config =
        TrainConfig { epochs: 1, isa: Some(report.instruction_set), ..TrainConfig::default() };
    train(load(&tiny()), &split(8), &config, None, &go_on).expect("a report's own is pinned");
}
