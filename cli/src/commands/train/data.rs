//! What is told of the examples before the first step.

use trainer::{ClassWeights, Classifier, Doubles, Split, Target, Task};

use crate::steps::dataset::{counts, shown, some, tell_doubles};
use crate::ui::Ui;

/// A label with so many times fewer examples than another one is rare.
const RARE: usize = 10;

/// Which labels there are and how often, what is there twice, and what is learned from although it
/// is held out.
pub(super) fn tell(split: &Split, start: &Classifier, weights: &ClassWeights, ui: &Ui) {
    match start.task() {
        Task::Regression => tell_figures(split, ui),
        task => {
            tell_counts(split, start.labels(), task, ui);
            tell_imbalance(split, start.labels(), task, weights, ui);
        }
    }
    let doubles = split.doubles();
    tell_doubles(&doubles, ui);
    let Doubles { n_leaked, .. } = doubles;
    if n_leaked > 0 {
        ui.warn(format_args!(
            "{n_leaked} of the {} held-out texts are learned from too",
            split.validation.len()
        ));
    }
}

fn tell_figures(split: &Split, ui: &Ui) {
    let value =
        |target: &Target| if let Target::Value(value) = target { Some(*value) } else { None };
    let values = || split.train.iter().filter_map(|example| value(&example.target));
    let (least, largest) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let mean = values().sum::<f64>() / split.train.len() as f64;
    ui.note(format_args!("figures from {least} to {largest}, {mean:.4} on average"));
}

/// Says which labels there are, and how often; warns of those that nothing is learned of.
fn tell_counts(split: &Split, labels: &[String], task: Task, ui: &Ui) {
    let learned = counts(&split.train, labels.len());
    let held_out = counts(&split.validation, labels.len());
    let all = labels.iter().zip(learned.iter().zip(&held_out));
    let told = all
        .map(|(label, (learned, held_out))| format!("{} ({})", shown(label), learned + held_out));
    let told = some(told);
    let all = || split.train.iter().chain(&split.validation);
    let n_none = all().filter(|example| example.target.labels().is_empty()).count();
    match (labels, task) {
        ([_], Task::MultiLabel) => {
            ui.note(format_args!("yes or no: {told} of {}", all().count()));
        }
        (_, Task::MultiLabel) => ui.note(format_args!(
            "{} labels, some at once: {told}; {n_none} examples have none",
            labels.len()
        )),
        _ => ui.note(format_args!("{} labels: {told}", labels.len())),
    }
    let absent: Vec<&String> = labels
        .iter()
        .zip(&learned)
        .filter(|(_, count)| **count == 0)
        .map(|(label, _)| label)
        .collect();
    if !absent.is_empty() {
        ui.warn(format_args!(
            "there is no example to learn {} labels from: {}",
            absent.len(),
            some(absent.iter().map(|label| shown(label)))
        ));
    }
}

/// Says which labels are rare, and what to do, where nothing is done yet.
fn tell_imbalance(split: &Split, labels: &[String], task: Task, weights: &ClassWeights, ui: &Ui) {
    let counts = counts(&split.train, labels.len());
    // Of a label that may be right or wrong, what it is not is the other one.
    let most = match task {
        Task::MultiLabel => split.train.len(),
        _ => counts.iter().copied().max().unwrap_or(0),
    };
    let is_rare = |count: usize| count > 0 && count.saturating_mul(RARE) <= most;
    let rare: Vec<String> = labels
        .iter()
        .zip(&counts)
        .filter(|(_, count)| is_rare(**count))
        .map(|(label, count)| format!("{} ({count} of {})", shown(label), split.train.len()))
        .collect();
    if !rare.is_empty() && *weights == ClassWeights::Equal {
        ui.note(format_args!(
            "rare labels: {}; --class-weights balanced lets them count as much as the others",
            some(rare.into_iter())
        ));
    }
}
