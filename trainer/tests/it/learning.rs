//! Training teaches.

use kit_trainer::{Example, Report, Split, TrainConfig, evaluate, train};
use sha2::Digest as _;

use crate::fixture::{base, go_on, load, sentences, split, tiny};

#[test]
fn a_base_checkpoint_learns_a_hundred_sentences() {
    let folder = base(32, 64);
    let labels = ["bad", "good"].map(str::to_owned).to_vec();
    let start = load(folder.path()).with_labels(labels, 1);
    let before = evaluate(&start, &sentences(100)).expect("evaluated").accuracy;
    let config = TrainConfig { epochs: 8, batch_size: 8, learning_rate: 2e-3, ..TrainConfig::default() };
    let (trained, report) = train(start, &split(100), &config, &mut go_on).expect("trained");
    let after = evaluate(&trained, &sentences(100)).expect("evaluated");
    assert!(before < 0.75 && after.accuracy >= 0.9, "{before} {}", after.accuracy);
    assert_eq!(report.best(), &after, "the weights are those of the best epoch");
    let logits = trained.classify(&["a charming and touching film", "a lazy and dull film"]).expect("classified");
    assert!(logits[0][1] > logits[0][0] && logits[1][0] > logits[1][1], "{logits:?}");
}

#[test]
fn a_base_checkpoint_does_not_classify() {
    let folder = base(32, 64);
    let error = load(folder.path()).classify(&["a film"]).expect_err("it has no labels");
    assert_eq!(error.to_string(), "the checkpoint has no labels yet: give it some before it classifies");
}

#[test]
fn the_best_epoch_is_kept() {
    let folder = base(32, 64);
    let start = load(folder.path()).with_labels(["bad", "good"].map(str::to_owned).to_vec(), 1);
    // What is held out says the opposite: the more is learned, the worse it looks.
    let flipped = |example: Example| Example { label: 1 - example.label, ..example };
    let data = Split { train: sentences(100), validation: sentences(100).into_iter().map(flipped).collect() };
    let config = TrainConfig { epochs: 6, batch_size: 8, learning_rate: 2e-3, ..TrainConfig::default() };
    let (trained, report) = train(start, &data, &config, &mut go_on).expect("trained");
    let accuracies: Vec<f64> = report.epochs.iter().map(|epoch| epoch.evaluation.accuracy).collect();
    let best = accuracies.iter().copied().fold(0.0, f64::max);
    assert!(accuracies[5] < best, "{accuracies:?}");
    assert_eq!(report.best().accuracy, best);
    assert_eq!(&evaluate(&trained, &data.validation).expect("evaluated"), report.best());
}

#[test]
fn a_report_says_how_the_model_came_to_be() {
    let config = TrainConfig { epochs: 2, seed: 7, ..TrainConfig::default() };
    let data = Split { train: sentences(40), validation: sentences(10) };
    let (_, report) = train(load(&tiny()), &data, &config, &mut go_on).expect("trained");
    assert_eq!(report.losses.len(), 2 * 3, "three steps an epoch");
    assert_eq!((report.train.n_by_label.as_slice(), report.validation.n_examples), (&[20, 20][..], 10));
    let weights = fs_err::read(tiny().join("model.safetensors")).expect("readable");
    let digest: String = sha2::Sha256::digest(weights).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report.base_weights, format!("sha256:{digest}"));
    let read: Report = serde_json::from_str(&report.to_json()).expect("a report is JSON");
    assert_eq!((read.config, read.epochs.len(), read.best_epoch), (config, 2, report.best_epoch));
}

#[test]
fn one_label_cannot_be_learned() {
    let start = load(&tiny()).with_labels(vec!["good".to_owned()], 1);
    let data = Split { train: vec![Example { text: "a film".to_owned(), label: 0 }], validation: Vec::new() };
    let error = train(start, &data, &TrainConfig::default(), &mut go_on).expect_err("refused");
    assert_eq!(error.to_string(), "there is only one label, \"good\": nothing can be learned");
}
