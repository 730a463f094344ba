//! The story's dataset: the tutorial's four sentences, and some hundred of our own.

use serde_json::json;

/// Sentences with their label: 1 is positive, 0 is negative.
pub(crate) type Samples = Vec<(String, usize)>;

/// Sentences that no dataset of the story contains: what the deployed model is asked.
pub(crate) const ASKED: [(&str, usize); 6] = [
    ("I love this keyboard, it is wonderful!", 1),
    ("The lamp is terrible and I regret buying it.", 0),
    ("My sister finds the camera excellent.", 1),
    ("A disappointing charger, cheap and useless.", 0),
    ("What a delightful backpack, it works perfectly.", 1),
    ("The kettle broke at once, an awful purchase.", 0),
];

const TUTORIAL: [(&str, usize); 4] = [
    ("I love this product, it's amazing!", 1),
    ("This is terrible, I hate it.", 0),
    ("The weather is nice today.", 1),
    ("Poor quality, very disappointed.", 0),
];

const THINGS: [&str; 10] = [
    "keyboard", "lamp", "camera", "charger", "backpack", "kettle", "chair", "speaker", "jacket",
    "blender",
];
const PRAISE: [&str; 8] =
    ["wonderful", "excellent", "amazing", "delightful", "great", "fantastic", "superb", "lovely"];
const BLAME: [&str; 8] =
    ["terrible", "awful", "useless", "disappointing", "horrible", "poor", "dreadful", "cheap"];

const FIRST: [(&str, &str); 4] = [
    ("I love this {thing}, it is {word}!", "I hate this {thing}, it is {word}!"),
    ("The {thing} is {word} and works perfectly.", "The {thing} is {word} and broke at once."),
    ("What a {word} {thing}.", "What a {word} {thing}."),
    ("My sister finds the {thing} {word}.", "My sister finds the {thing} {word}."),
];

const LATER: [(&str, &str); 3] = [
    ("A {word} {thing}, I would buy it again.", "A {word} {thing}, I regret buying it."),
    ("We use the {thing} every day, it is {word}.", "We sent the {thing} back, it is {word}."),
    (
        "Such a {word} purchase, the {thing} is a joy.",
        "Such an unhappy purchase, the {thing} is {word}.",
    ),
];

/// What the first model learns from.
pub(crate) fn first() -> Samples {
    let tutorial = TUTORIAL.iter().map(|(text, label)| ((*text).to_owned(), *label));
    tutorial.chain(written(&FIRST)).filter(|(text, _)| !is_asked(text)).collect()
}

/// What the second model learns from: more.
pub(crate) fn more() -> Samples {
    let mut samples = first();
    samples.extend(written(&LATER).filter(|(text, _)| !is_asked(text)));
    samples
}

/// The tutorial's form, `{"samples": [{"text", "label"}]}`, a line for each.
pub(crate) fn document(samples: &Samples) -> String {
    let samples = samples.iter().map(|(text, label)| json!({ "text": text, "label": label }));
    let lines: Vec<String> = samples.map(|sample| sample.to_string()).collect();
    format!("{{\"samples\": [\n{}\n]}}\n", lines.join(",\n"))
}

/// Every thing in every form, each with half of the words, so that there is something left to
/// infer.
fn written<'a>(forms: &'a [(&str, &str)]) -> impl Iterator<Item = (String, usize)> + 'a {
    let pairs = forms
        .iter()
        .enumerate()
        .flat_map(|(f, form)| THINGS.iter().enumerate().map(move |(t, thing)| (f, form, t, thing)));
    pairs.flat_map(|(f, (praise, blame), t, thing)| {
        (0..4).flat_map(move |n| {
            let word = (f + t + 2 * n) % PRAISE.len();
            [(fill(praise, thing, PRAISE[word]), 1), (fill(blame, thing, BLAME[word]), 0)]
        })
    })
}

fn fill(form: &str, thing: &str, word: &str) -> String {
    form.replace("{thing}", thing).replace("{word}", word)
}

fn is_asked(text: &str) -> bool {
    ASKED.iter().any(|(asked, _)| *asked == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_was_never_learnt() {
        let learnt = more();
        assert!(first().len() > 300 && learnt.len() > first().len());
        assert!(ASKED.iter().all(|(asked, _)| !learnt.iter().any(|(text, _)| text == asked)));
    }

    /// What newcomers train on, by the README, is what the story trains on.
    #[test]
    fn the_readmes_dataset_is_the_storys() {
        expect_test::expect_file!["../../../docs/examples/sample_data.json"]
            .assert_eq(&document(&first()));
    }

    #[test]
    fn both_labels_are_as_frequent() {
        let positive = more().iter().filter(|(_, label)| *label == 1).count();
        assert!(positive.abs_diff(more().len() / 2) <= 2);
    }
}
