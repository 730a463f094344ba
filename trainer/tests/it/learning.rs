//! Training teaches.

use kit_trainer::{
    About, Error, Event, Example, Report, Split, Target, TrainConfig, evaluate, train,
};
use serde_json::json;
use sha2::Digest as _;

use crate::fixture::{
    base, edited, flipped, go_on, load, read_tensors, sentences, single, split, tiny,
};

#[test]
fn a_base_checkpoint_learns_a_hundred_sentences() {
    let folder = base(32, 64);
    let labels = ["bad", "good"].map(str::to_owned).to_vec();
    let start = load(folder.path()).with_labels(labels, 1);
    let before = evaluate(&start, &sentences(100), &go_on).expect("evaluated").0;
    let before = single(&before).accuracy;
    let config =
        TrainConfig { epochs: 8, batch_size: 8, learning_rate: 2e-3, ..TrainConfig::default() };
    let (trained, report) = train(start, &split(100), &config, None, &go_on).expect("trained");
    let after = evaluate(&trained, &sentences(100), &go_on).expect("evaluated").0;
    assert!(before < 0.75 && single(&after).accuracy >= 0.9, "{before} {after:?}");
    assert_eq!(report.best(), &after, "the weights are those of the best epoch");
    let logits = trained
        .classify(&["a charming and touching film", "a lazy and dull film"])
        .expect("classified");
    assert!(logits[0][1] > logits[0][0] && logits[1][0] > logits[1][1], "{logits:?}");
}

#[test]
fn a_base_checkpoint_does_not_classify() {
    let folder = base(32, 64);
    let error = load(folder.path()).classify(&["a film"]).expect_err("it has no labels");
    assert_eq!(
        error.to_string(),
        "the checkpoint has no labels yet: give it some before it classifies"
    );
}

#[test]
fn the_best_epoch_is_kept() {
    let folder = base(32, 64);
    let start = load(folder.path()).with_labels(["bad", "good"].map(str::to_owned).to_vec(), 1);
    // What is held out says the opposite: the more is learned, the worse it looks.
    let data = Split {
        train: sentences(100),
        validation: sentences(100).into_iter().map(flipped).collect(),
    };
    let config =
        TrainConfig { epochs: 6, batch_size: 8, learning_rate: 2e-3, ..TrainConfig::default() };
    let (trained, report) = train(start, &data, &config, None, &go_on).expect("trained");
    let accuracies: Vec<f64> =
        report.epochs.iter().map(|epoch| single(&epoch.evaluation).accuracy).collect();
    let best = accuracies.iter().copied().fold(0.0, f64::max);
    assert!(accuracies[5] < best, "{accuracies:?}");
    assert_eq!(single(report.best()).accuracy, best);
    assert_eq!(&evaluate(&trained, &data.validation, &go_on).expect("evaluated").0, report.best());
}

#[test]
fn a_report_says_how_the_model_came_to_be() {
    let config = TrainConfig { epochs: 2, seed: 7, ..TrainConfig::default() };
    let data = Split { train: sentences(40), validation: sentences(10) };
    let (_, report) = train(load(&tiny()), &data, &config, None, &go_on).expect("trained");
    assert_eq!(report.losses.len(), 2 * 3, "three steps an epoch");
    assert_eq!(
        (report.train.n_by_label.as_slice(), report.validation.n_examples),
        (&[20, 20][..], 10)
    );
    let weights = fs_err::read(tiny().join("model.safetensors")).expect("readable");
    let digest: String =
        sha2::Sha256::digest(weights).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(report.base_weights, format!("sha256:{digest}"));
    let read: Report = serde_json::from_str(&report.to_json()).expect("a report is JSON");
    assert_eq!((read.config, read.epochs.len(), read.best_epoch), (config, 2, report.best_epoch));
}

#[test]
fn one_label_cannot_be_learned() {
    let start = load(&tiny()).with_labels(vec!["good".to_owned()], 1);
    let data = Split { train: vec![Example::labelled("a film", 0)], validation: Vec::new() };
    let error = train(start, &data, &TrainConfig::default(), None, &go_on).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "there is only one label, \"good\": there is nothing to tell apart"
    );
}

/// A head of one number says yes or no by its sigmoid; its softmax would be right about any text.
#[test]
fn a_single_logit_says_yes_or_no() {
    let folder = edited(|tensors, config| {
        for (name, row) in [("classifier.weight", 32), ("classifier.bias", 1)] {
            let (_, shape, bytes) = tensors.get_mut(name).expect("a head");
            (shape[0], *bytes) = (1, bytes[..4 * row].to_vec());
        }
        config["id2label"] = json!({"0": "score"});
    });
    let classifier = load(folder.path());
    let error = evaluate(&classifier, &sentences(4)[..1], &go_on).expect_err("refused");
    let expected = "there is only one label, \"score\": there is nothing to tell apart";
    assert_eq!(error.to_string(), expected);
    let yes_or_no = |(n, example): (usize, Example)| Example {
        target: Target::Labels((0..n % 2).collect()),
        ..example
    };
    let examples: Vec<Example> = sentences(20).into_iter().enumerate().map(yes_or_no).collect();
    let (evaluation, logits) = evaluate(&classifier, &examples, &go_on).expect("measured");
    let is_right = |(row, example): &(&Vec<f32>, &Example)| {
        (row[0] >= 0.0) == (example.target == Target::Labels(vec![0]))
    };
    let n_right = logits.iter().zip(&examples).filter(is_right).count();
    assert_eq!(evaluation.accuracy(), Some(n_right as f64 / 20.0));
}

#[test]
fn texts_that_are_cut_are_counted() {
    let long = Example::labelled("a film ".repeat(100), 1);
    let data = Split { train: vec![long.clone(), sentences(2)[0].clone()], validation: vec![long] };
    let n_cut = std::cell::Cell::new(0);
    let (_, report) = train(
        load(&tiny()),
        &data,
        &TrainConfig { epochs: 1, ..TrainConfig::default() },
        None,
        &|event| {
            if let Event::Started { n_cut: n, .. } = event {
                n_cut.set(n);
            }
            go_on(event)
        },
    )
    .expect("trained");
    assert_eq!((n_cut.get(), report.best().n_cut), (2, 1));
    let (evaluation, _) = evaluate(&load(&tiny()), &data.train, &go_on).expect("evaluated");
    assert_eq!((evaluation.n_cut, evaluation.n_examples), (1, 2));
}

#[test]
fn examples_of_one_label_teach_nothing() {
    let data = Split { train: vec![sentences(1)[0].clone(); 4], validation: Vec::new() };
    let error = train(load(&tiny()), &data, &TrainConfig::default(), None, &go_on);
    assert!(matches!(error, Err(Error::OneLabel { .. })), "{error:?}");
}

#[test]
fn batches_whose_gradients_are_added_are_one_batch() {
    let config = TrainConfig {
        epochs: 1,
        batch_size: 40,
        dropout: Some(0.0),
        warmup: 0.0,
        ..TrainConfig::default()
    };
    let (_, whole) = train(load(&tiny()), &split(40), &config, None, &go_on).expect("trained");
    let config = TrainConfig { batch_size: 8, accumulation: 5, ..config };
    let (_, parts) = train(load(&tiny()), &split(40), &config, None, &go_on).expect("trained");
    assert_eq!((whole.losses.len(), parts.losses.len()), (1, 1));
    assert!(
        (whole.losses[0] - parts.losses[0]).abs() < 1e-5,
        "{} {}",
        whole.losses[0],
        parts.losses[0]
    );
    let loss = |report: &Report| report.best().loss;
    assert!((loss(&whole) - loss(&parts)).abs() < 1e-5, "{} {}", loss(&whole), loss(&parts));
}

#[test]
fn frozen_layers_stay_as_they_are() {
    let config = TrainConfig {
        epochs: 1,
        learning_rate: 1e-2,
        warmup: 0.0,
        freeze_layers: Some(1),
        ..TrainConfig::default()
    };
    let (trained, _) = train(load(&tiny()), &split(32), &config, None, &go_on).expect("trained");
    let folder = tempfile::tempdir().expect("a temporary folder");
    trained.save(folder.path(), None).expect("saved");
    let [before, after] =
        [tiny(), folder.path().to_owned()].map(|dir| read_tensors(&dir.join("model.safetensors")));
    for (name, tensor) in &before {
        let is_frozen = name.contains("embeddings") || name.contains("layer.0.");
        assert_eq!(after[name] == *tensor, is_frozen, "{name}");
    }
}

#[test]
fn training_ends_when_nothing_becomes_better() {
    let start =
        load(base(32, 64).path()).with_labels(["bad", "good"].map(str::to_owned).to_vec(), 1);
    let data = Split {
        train: sentences(60),
        validation: sentences(60).into_iter().map(flipped).collect(),
    };
    let config = TrainConfig {
        epochs: 30,
        batch_size: 8,
        learning_rate: 2e-3,
        patience: Some(2),
        ..TrainConfig::default()
    };
    let (_, report) = train(start, &data, &config, None, &go_on).expect("trained");
    assert!(report.epochs.len() < 30);
    assert_eq!(report.epochs.len(), report.best_epoch + 2);
}

#[test]
fn the_page_shows_everything_and_loads_nothing() {
    let data = Split {
        train: sentences(40),
        validation: vec![
            Example::labelled("<script>alert(1)</script> & film", 0),
            Example::labelled("<i>x", 1),
        ],
    };
    let (_, mut report) = train(
        load(&tiny()),
        &data,
        &TrainConfig { epochs: 2, ..TrainConfig::default() },
        None,
        &go_on,
    )
    .expect("trained");
    report.about = Some(About {
        model: "<b>mine".to_owned(),
        checkpoint: "a&b".to_owned(),
        dataset: "data.csv".to_owned(),
        validation: None,
        day: "2026-11-28".to_owned(),
    });
    let page = report.to_html();
    let about =
        "<b>&lt;b&gt;mine</b>, trained on 2026-11-28 from <b>a&amp;b</b> with <b>data.csv</b>.";
    assert!(page.contains(about), "{page}");
    for part in [
        "Loss by step",
        "Learning rate by step",
        "Measured by epoch: accuracy and macro F1",
        "Confusion",
        "Calibration",
        "Most confidently wrong",
        &report.train.digest,
    ] {
        assert!(page.contains(part), "{part}");
    }
    for part in ["<script", "<i>", "http", "url(", "@import", " src="] {
        assert!(!page.contains(part), "{part}");
    }
    assert_eq!(
        report.best().mistakes.len(),
        report.best().n_examples - (single(report.best()).accuracy * 2.0) as usize
    );
    assert_eq!(report.learning_rates.len(), report.losses.len());
}
