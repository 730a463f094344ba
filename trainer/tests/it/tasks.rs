//! Several labels at once, figures, pairs, and a single logit, each held to PyTorch and
//! transformers: `testdata/tasks/make.py` wrote down what they compute.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kit_trainer::{
    Classifier, DeviceKind, Encoded, Example, Keep, Scores, Split, Target, Task, TrainConfig,
    Windows, evaluate, train,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fixture::{base, floats, go_on, load, read_tensors, sentences, tiny};

#[derive(Deserialize)]
struct Golden {
    multi: Case,
    regression: Case,
    pairs: Case,
    one: Case,
    windows: WindowsCase,
}

#[derive(Deserialize)]
struct WindowsCase {
    text: String,
    overlap: usize,
    input_ids: Vec<Vec<u32>>,
}

#[derive(Deserialize)]
struct Case {
    examples: Vec<Example>,
    input_ids: Vec<Vec<u32>>,
    token_type_ids: Vec<Vec<u32>>,
    logits: Vec<Vec<f32>>,
    training: Training,
}

#[derive(Deserialize)]
struct Training {
    losses: Vec<f64>,
}

fn testdata(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/tasks").join(name)
}

fn golden() -> Golden {
    let text = fs_err::read(testdata("golden.json")).expect("readable");
    serde_json::from_slice(&text).expect("golden.json")
}

fn cases() -> BTreeMap<&'static str, Case> {
    let Golden { multi, regression, pairs, one, .. } = golden();
    [("multi", multi), ("regression", regression), ("pairs", pairs), ("one", one)].into()
}

const DEVICES: [DeviceKind; 2] = [DeviceKind::Flex, DeviceKind::NdArray];

#[test]
fn tokens_and_their_kinds_are_those_of_transformers() {
    for (name, case) in cases() {
        let texts = load(&testdata(name)).encode(&case.examples).expect("tokenized");
        for (n, text) in texts.iter().enumerate() {
            let [Encoded { ids, kinds, .. }] = &text[..] else { panic!("one sequence") };
            assert_eq!(*ids, case.input_ids[n], "{name} {n}");
            if let Some(theirs) = case.token_type_ids.get(n) {
                assert_eq!(kinds, theirs, "{name} {n}");
            }
        }
        let n_cut = texts.iter().filter(|text| text[0].is_cut).count();
        assert_eq!(n_cut, if case.token_type_ids.is_empty() { 0 } else { 2 }, "{name}");
    }
}

#[test]
fn logits_of_every_task_are_pytorchs() {
    for (name, case) in cases() {
        for device in DEVICES {
            let classifier = Classifier::load(&testdata(name), device).expect("it loads");
            let (_, logits) = evaluate(&classifier, &case.examples, &go_on).expect("measured");
            for (ours, theirs) in logits.iter().flatten().zip(case.logits.iter().flatten()) {
                assert!((ours - theirs).abs() <= 2e-6, "{name} {device}: {ours} {theirs}");
            }
        }
    }
}

fn ten_steps(examples: &[Example]) -> (Split, TrainConfig) {
    let data = Split { train: examples.to_vec(), validation: Vec::new() };
    let config = TrainConfig {
        epochs: 10,
        batch_size: data.train.len(),
        learning_rate: 1e-3,
        warmup: 0.2,
        dropout: Some(0.0),
        ..TrainConfig::default()
    };
    (data, config)
}

#[test]
fn ten_steps_of_every_task_are_pytorchs() {
    for (name, case) in cases() {
        for device in DEVICES {
            let (data, config) = ten_steps(&case.examples);
            let start = Classifier::load(&testdata(name), device).expect("it loads");
            let (trained, report) = train(start, &data, &config, None, &go_on).expect("trained");
            for (ours, theirs) in report.losses.iter().zip(&case.training.losses) {
                let distance = (f64::from(*ours) - theirs).abs();
                assert!(distance <= 2e-6 * theirs.max(1.0), "{name} {device}: {ours} {theirs}");
            }
            if report.best_epoch != 10 {
                // The best weights are not the last ones, to which PyTorch's would be compared.
                continue;
            }
            let folder = tempfile::tempdir().expect("a temporary folder");
            trained.save(folder.path(), None).expect("saved");
            let ours = read_tensors(&folder.path().join("model.safetensors"));
            let theirs = read_tensors(&testdata(&format!("{name}-after.safetensors")));
            assert!(ours.keys().eq(theirs.keys()));
            for (tensor, (_, _, bytes)) in &ours {
                let distance = distance(&floats(bytes), &floats(&theirs[tensor].2));
                // The gradients of a key's bias are rounding errors, in PyTorch as here.
                let is_noise = tensor.ends_with("k_lin.bias") || tensor.ends_with("key.bias");
                let bound = if is_noise { 1e-1 } else { 2e-5 };
                assert!(distance <= bound, "{name} {device}: {tensor} {distance:e}");
            }
        }
    }
}

/// The norm of the difference over the norm.
fn distance(ours: &[f32], theirs: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut ours.iter().zip(theirs).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    difference / norm(&mut theirs.iter().map(|v| f64::from(*v)))
}

fn several(n: usize) -> Vec<Example> {
    let is_long = |text: &str| text.contains("from the first");
    let example = |(n, example): (usize, Example)| {
        let mut labels: Vec<usize> = (0..n % 2).collect();
        labels.extend(is_long(&example.text).then_some(1));
        Example { target: Target::Labels(labels), ..example }
    };
    sentences(n).into_iter().enumerate().map(example).collect()
}

fn names() -> Vec<String> {
    ["good", "long"].map(str::to_owned).to_vec()
}

fn config_of(dir: &std::path::Path) -> Value {
    let text = fs_err::read(dir.join("config.json")).expect("readable");
    serde_json::from_slice(&text).expect("JSON")
}

#[test]
fn several_labels_are_learned_and_their_thresholds_are_kept() {
    let folder = base(32, 64);
    let start = load(folder.path()).with_task(Task::MultiLabel, names(), 1);
    let data = Split { train: several(120), validation: several(30) };
    let config =
        TrainConfig { epochs: 8, batch_size: 8, learning_rate: 2e-3, ..TrainConfig::default() };
    let (trained, report) = train(start, &data, &config, None, &go_on).expect("trained");
    let Scores::MultiLabel(multi) = &report.best().scores else { panic!("several labels") };
    assert!(multi.micro.f1 > 0.9, "{multi:?}");
    let out = folder.path().join("out");
    trained.save(&out, None).expect("saved");
    let written = config_of(&out);
    assert_eq!(written["problem_type"], "multi_label_classification");
    assert_eq!(written["id2label"], json!({"0": "good", "1": "long"}));
    let thresholds: Vec<f64> = multi.labels.iter().map(|label| label.threshold).collect();
    assert_eq!(written["label_thresholds"], json!(thresholds));
    let again = load(&out);
    assert_eq!((again.task(), again.thresholds()), (Task::MultiLabel, thresholds));
    let (found, _) = evaluate(&again, &data.validation, &go_on).expect("measured");
    assert_eq!(&found, report.best());
    // Of examples that are learned from nothing is chosen.
    let data = Split { train: several(40), validation: Vec::new() };
    let (trained, _) = train(again, &data, &config, None, &go_on).expect("trained");
    assert_eq!(trained.thresholds(), [0.5, 0.5]);
    trained.save(&out, None).expect("saved");
    assert!(config_of(&out).get("label_thresholds").is_none());
}

#[test]
fn figures_are_learned() {
    let folder = base(32, 64);
    let rated = |n: usize| -> Vec<Example> {
        let figure = |(n, example): (usize, Example)| {
            let value = (n % 2) as f64 * 2.0 - 1.0;
            Example { target: Target::Value(value), ..example }
        };
        sentences(n).into_iter().enumerate().map(figure).collect()
    };
    let start = load(folder.path()).with_task(Task::Regression, vec!["LABEL_0".to_owned()], 1);
    let data = Split { train: rated(100), validation: rated(20) };
    let config =
        TrainConfig { epochs: 8, batch_size: 8, learning_rate: 2e-3, ..TrainConfig::default() };
    let (trained, report) = train(start, &data, &config, None, &go_on).expect("trained");
    let Scores::Regression(regression) = &report.best().scores else { panic!("figures") };
    assert!(regression.r2.is_some_and(|r2| r2 > 0.5), "{regression:?}");
    assert_eq!(report.train.figures.map(|figures| figures.variance), Some(1.0));
    let out = folder.path().join("out");
    trained.save(&out, None).expect("saved");
    assert_eq!(config_of(&out)["problem_type"], "regression");
    let (found, _) = evaluate(&load(&out), &data.validation, &go_on).expect("measured");
    assert_eq!(&found, report.best());
}

#[test]
fn what_means_nothing_for_a_task_is_refused() {
    let refused = |task, targets: &dyn Fn(usize) -> Target, config: TrainConfig| {
        let names = if task == Task::Regression { vec!["LABEL_0".to_owned()] } else { names() };
        let start = load(&tiny()).with_task(task, names, 1);
        let examples = (0..4).map(|n| Example::of(format!("film {n}"), targets(n))).collect();
        let data = Split { train: examples, validation: Vec::new() };
        train(start, &data, &config, None, &go_on).expect_err("refused").to_string()
    };
    let labels = |n: usize| Target::Labels(vec![n % 2]);
    let figures = |n: usize| Target::Value(n as f64);
    let plain = TrainConfig::default;
    let smoothed = TrainConfig { label_smoothing: 0.1, ..plain() };
    let expected =
        "cannot train with label_smoothing: it is for classifiers of which one label is right";
    assert_eq!(refused(Task::MultiLabel, &labels, smoothed.clone()), expected);
    assert_eq!(refused(Task::Regression, &figures, smoothed), expected);
    let balanced = TrainConfig { class_weights: kit_trainer::ClassWeights::Balanced, ..plain() };
    let expected = "cannot train with class_weights: a figure has no classes";
    assert_eq!(refused(Task::Regression, &figures, balanced), expected);
    let expected = "the same is right for all examples: there is nothing to learn from them";
    assert_eq!(refused(Task::Regression, &|_| Target::Value(2.0), plain()), expected);
    assert_eq!(refused(Task::MultiLabel, &|_| Target::Labels(vec![]), plain()), expected);
    let expected = "what is right for the examples does not fit a classifier of regression";
    assert_eq!(refused(Task::Regression, &labels, plain()), expected);
}

/// Weights, thresholds and figures of a training that was stopped after some steps and went on.
#[test]
fn a_training_of_several_labels_goes_on_and_does_not_depend_on_threads() {
    let folder = base(32, 64);
    let data = Split { train: several(40), validation: several(12) };
    let run = |threads: usize, stop_after: Option<usize>| {
        let config = TrainConfig {
            epochs: 3,
            batch_size: 8,
            learning_rate: 2e-3,
            threads: Some(threads),
            ..TrainConfig::default()
        };
        let state = tempfile::tempdir().expect("a temporary folder");
        let keep = Keep { dir: state.path().join("state"), every: 1, resume: true };
        let start = || load(folder.path()).with_task(Task::MultiLabel, names(), 1);
        if let Some(last) = stop_after {
            let stop = |event| match event {
                kit_trainer::Event::Step { step, .. } if step == last => {
                    std::ops::ControlFlow::Break(())
                }
                _ => std::ops::ControlFlow::Continue(()),
            };
            train(start(), &data, &config, Some(&keep), &stop).expect_err("stopped");
        }
        let (trained, _) = train(start(), &data, &config, Some(&keep), &go_on).expect("trained");
        let out = state.path().join("out");
        trained.save(&out, None).expect("saved");
        ["model.safetensors", "config.json"].map(|name| fs_err::read(out.join(name)).expect("read"))
    };
    let whole = run(1, None);
    assert!(whole == run(3, None), "one and three threads");
    assert!(whole == run(2, Some(12)), "stopped in the third epoch");
}

#[test]
fn heads_of_another_task_are_drawn_anew() {
    let logits = |classifier: &Classifier| classifier.classify(&["a film"]).expect("classified");
    let tiny = || load(&tiny());
    let own = tiny().labels().to_vec();
    assert_eq!(logits(&tiny().with_task(Task::SingleLabel, own.clone(), 3)), logits(&tiny()));
    assert_ne!(logits(&tiny().with_task(Task::MultiLabel, own, 3)), logits(&tiny()));
    // A single logit stays what it is, whatever its label is called.
    let one = load(&testdata("one"));
    let before = logits(&one);
    let regression = one.with_task(Task::Regression, vec!["LABEL_0".to_owned()], 3);
    assert_eq!((logits(&regression), regression.task()), (before, Task::Regression));
}

#[test]
fn windows_are_those_of_transformers() {
    let WindowsCase { text, overlap, input_ids } = golden().windows;
    let windows = Windows { overlap: Some(overlap), most: 100 };
    let classifier = load(&testdata("multi")).with_windows(windows).expect("room");
    let found = classifier.encode(&[Example::labelled(text, 0)]).expect("tokenized").remove(0);
    let ids: Vec<Vec<u32>> = found.into_iter().map(|window| window.ids).collect();
    assert!(ids.len() > 3);
    assert_eq!(ids, input_ids);
}

#[test]
fn windows_of_a_long_text_are_combined_and_a_short_text_is_as_without() {
    let long = "the music and the camera make every scene of this long film a joy ".repeat(12);
    let classifier = load(&tiny());
    let windows = Windows { overlap: Some(10), most: 32 };
    let windowed = classifier.clone().with_windows(windows).expect("room for an overlap");
    assert_eq!(
        windowed.classify(&["a wonderful film"]).expect("classified"),
        classifier.classify(&["a wonderful film"]).expect("classified")
    );
    let examples = [Example::labelled(&long, 1), Example::labelled("short", 0)];
    let texts = windowed.encode(&examples).expect("tokenized");
    assert!(texts[0].len() > 3 && texts[1].len() == 1, "{texts:?}");
    // By hand: each window on its own, weighted by its tokens but [CLS] and [SEP].
    let each: Vec<(f64, Vec<f32>)> = texts[0]
        .iter()
        .map(|window| {
            let words = window.ids[1..window.ids.len() - 1].iter().map(|id| word(*id));
            let text = words.collect::<Vec<_>>().join(" ");
            let ids = classifier.tokenize(&[&text]).expect("tokenized");
            assert_eq!(ids[0], window.ids, "{text}");
            let logits = classifier.classify(&[&text]).expect("classified").remove(0);
            ((window.ids.len() - 2) as f64, logits)
        })
        .collect();
    let total: f64 = each.iter().map(|(weight, _)| weight).sum();
    let (evaluation, logits) = evaluate(&windowed, &examples, &go_on).expect("measured");
    for label in 0..2 {
        let mean: f64 = each.iter().map(|(weight, row)| weight * f64::from(row[label])).sum();
        assert!((f64::from(logits[0][label]) - mean / total).abs() < 1e-6);
    }
    assert_eq!(evaluation.n_cut, 0);
    let few = classifier.clone().with_windows(Windows { most: 2, ..windows }).expect("allowed");
    assert_eq!(evaluate(&few, &examples, &go_on).expect("measured").0.n_cut, 1);
    assert!(classifier.with_windows(Windows { overlap: Some(62), most: 2 }).is_err());
}

/// A token of the tiny checkpoint by its number.
fn word(id: u32) -> String {
    let text = fs_err::read(tiny().join("tokenizer.json")).expect("readable");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    let vocab = document["model"]["vocab"].as_object().expect("a vocabulary");
    vocab.iter().find(|(_, number)| **number == json!(id)).expect("a token").0.clone()
}
