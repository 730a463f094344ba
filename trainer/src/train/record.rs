//! What a training can be derived again from, and held against while that happens: digests of all
//! that goes in, and a chain of digests of its state.
//!
//! The chain's lines are plain text, so that a checker needs no more than SHA-256; `docs` has one.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rayon::prelude::*;
use safetensors::View as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::TrainConfig;
use super::learner::Learner;
use crate::classifier::Classifier;
use crate::dataset::{self, Split};
use crate::error::{Error, Result};
use crate::isa::{bits_of, instruction_set};
use crate::report::{sha256_text, versions};
use crate::weights;

/// The form of the document.
pub(crate) const FORM: &str = "kit-rs training record 1";
/// Names of [`Record::inputs`] that decisions hang on.
pub(super) const INSTRUCTION_SET: &str = "instruction set";
pub(super) const OPTIONS: &str = "options";

/// What a training was: who has all that its inputs name can derive its weights again, and compare
/// them at every link. It tells no times, so the same training gives the same record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// `kit-rs training record 1`.
    pub form: String,
    /// All that the weights depend on: digests (`sha256:…`) of weights, configuration, tokenizer and
    /// examples, labels and options as JSON, versions, and the instructions that computed. No value
    /// has a line break.
    pub inputs: BTreeMap<String, String>,
    /// The state at the start, after every [`record_every`](TrainConfig::record_every) steps, and
    /// after the last step of each epoch.
    pub links: Vec<Link>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: usize,
    /// Where whoever trained has found all that went in: a help for those who derive it again, of no
    /// weight, as the inputs say what it has to be.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub recipe: serde_json::Value,
}

/// The state of a training after a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Steps that are done, over all epochs.
    pub step: usize,
    /// The epoch of the last of them, from 1; 0 at the start.
    pub epoch: usize,
    /// [`Classifier::weights_digest`].
    pub weights: String,
    /// `sha256:` of the optimiser's moments, by the same rule as that of weights: `first/NAME` and
    /// `second/NAME`, in the network's own layout and names.
    pub optimizer: String,
    /// The losses of the steps since the link before: the bits of each 32-bit float, as 8
    /// hexadecimal digits.
    pub losses: String,
    /// `sha256:` of the chain of the link before and this link's line.
    pub chain: String,
}

/// A record that does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenRecord {
    /// It is of another form.
    #[error("it is no {FORM}, but {0:?}")]
    Form(String),
    /// A name or a value would be two in the chain's text.
    #[error("the input {0:?} has a line break or a `=` in its name, or a line break in its value")]
    Input(String),
    /// It has no link of the start.
    #[error("it does not begin at step 0")]
    Start,
    /// Somebody changed a link, or what is before it.
    #[error("the chain does not hold at step {0}: the link, or one before it, was changed")]
    Chain(usize),
    /// Links are missing or out of order.
    #[error("steps and epochs do not follow on each other at step {0}")]
    Order(usize),
    /// No epoch is the best one.
    #[error("no link ends epoch {0}, whose weights were kept")]
    Best(usize),
}

impl Record {
    /// The record of a training that is about to begin.
    pub(super) fn new(start: &Classifier, data: &Split, config: &TrainConfig) -> Self {
        let inputs = inputs(start, data, config);
        Self { form: FORM.to_owned(), inputs, ..Self::default() }
    }

    /// Adds the state that a learner is in.
    pub(super) fn add(&mut self, learner: &Learner, start: &Classifier, epoch: usize) {
        let done = self.links.last().map_or(0, |link| link.step);
        let losses = learner.losses[done..].iter().fold(String::new(), |mut text, loss| {
            write!(text, "{:08x}", loss.to_bits()).expect("a string takes everything");
            text
        });
        let mut link = Link {
            step: learner.losses.len(),
            epoch,
            weights: start.digest_of(&learner.network()),
            optimizer: learner.optimizer_digest(),
            losses,
            chain: String::new(),
        };
        link.chain = link.chained(&self.tip());
        self.links.push(link);
    }

    /// The last link's chain; that of the inputs where there is none.
    fn tip(&self) -> String {
        self.links.last().map_or_else(|| self.root(), |link| link.chain.clone())
    }

    /// `sha256:` of the form and of a line `NAME=VALUE` for each input.
    fn root(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("{}\n", self.form));
        for (name, value) in &self.inputs {
            hasher.update(format!("{name}={value}\n"));
        }
        sha256_text(hasher)
    }

    /// Whether it holds together. What it says is only as true as whoever signed it.
    pub fn check(&self) -> Result<(), BrokenRecord> {
        if self.form != FORM {
            return Err(BrokenRecord::Form(self.form.clone()));
        }
        let is_plain = |(name, value): &(&String, &String)| {
            !name.contains(['=', '\n']) && !value.contains('\n')
        };
        if let Some((name, _)) = self.inputs.iter().find(|input| !is_plain(input)) {
            return Err(BrokenRecord::Input(name.clone()));
        }
        let mut before: Option<&Link> = None;
        for link in &self.links {
            let (tip, step, epoch) = match before {
                Some(before) => (before.chain.clone(), before.step, before.epoch),
                None if link.step == 0 && link.epoch == 0 => (self.root(), 0, 0),
                None => return Err(BrokenRecord::Start),
            };
            if link.chained(&tip) != link.chain {
                return Err(BrokenRecord::Chain(link.step));
            }
            let follows = before.is_none()
                || (link.step > step && (link.epoch == epoch || link.epoch == epoch + 1));
            if !follows || link.losses.len() != (link.step - step).saturating_mul(8) {
                return Err(BrokenRecord::Order(link.step));
            }
            before = Some(link);
        }
        match (before, self.kept()) {
            (None, _) => Err(BrokenRecord::Start),
            (_, None) => Err(BrokenRecord::Best(self.best_epoch)),
            _ => Ok(()),
        }
    }

    /// The link whose weights were kept: the last one of the best epoch.
    #[must_use]
    pub fn kept(&self) -> Option<&Link> {
        self.links.iter().rev().find(|link| link.epoch == self.best_epoch && link.epoch > 0)
    }

    /// The document, ready for a file.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a record becomes JSON") + "\n"
    }

    /// The options of the training.
    pub fn config(&self) -> Result<TrainConfig> {
        let options = self.inputs.get(OPTIONS).map_or("", String::as_str);
        serde_json::from_str(options).map_err(|source| Error::RecordedOptions { source })
    }

    /// Refuses inputs that are not those of the record, by name; and a machine or a build that
    /// computes other bits, as nothing could be said there.
    pub fn check_inputs(&self, start: &Classifier, data: &Split) -> Result<()> {
        let found = inputs(start, data, &self.config()?);
        // What cannot compute the same comes before what is not the same.
        let machine = [INSTRUCTION_SET, "device", "kit-trainer", "burn"];
        let rest = found.keys().chain(self.inputs.keys()).map(String::as_str);
        for name in machine.into_iter().chain(rest) {
            let [recorded, found] = [&self.inputs, &found].map(|inputs| inputs.get(name).cloned());
            if recorded != found {
                let [recorded, found] = [recorded, found].map(Option::unwrap_or_default);
                let name = name.to_owned();
                return Err(match machine.contains(&name.as_str()) {
                    true => Error::OtherMachine { what: name, recorded, found },
                    false => Error::OtherInput { what: name, recorded, found },
                });
            }
        }
        Ok(())
    }
}

impl Link {
    /// `sha256:` of the link before's chain and this link's line.
    fn chained(&self, before: &str) -> String {
        let Self { step, epoch, weights, optimizer, losses, .. } = self;
        let mut hasher = Sha256::new();
        hasher.update(format!("{before}\n{step} {epoch} {weights} {optimizer} {losses}\n"));
        sha256_text(hasher)
    }

    /// The bits of the losses that it tells.
    pub fn loss_bits(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        let digits = self.losses.as_bytes().chunks(8);
        digits.map(|digits| u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
    }
}

impl Classifier {
    /// `sha256:` of a line `NAME SHA-256` for each tensor of the `model.safetensors` that
    /// [`save`](Self::save) writes, sorted by name; the SHA-256 is that of the tensor's bytes there.
    #[must_use]
    pub fn weights_digest(&self) -> String {
        self.digest_of(&self.network)
    }

    /// The same for other weights of this kind.
    pub(super) fn digest_of(&self, network: &crate::distilbert::DistilBertClassifier) -> String {
        let tensors = weights::saved(network);
        let lines = tensors.par_iter().map(|(name, tensor)| {
            (self.config.architecture.tensor_name(name), Sha256::digest(tensor.data()))
        });
        digest_of_lines(lines.collect())
    }
}

/// `sha256:` of a line for each name and SHA-256.
pub(super) fn digest_of_lines<T: AsRef<[u8]>>(digests: BTreeMap<String, T>) -> String {
    let mut hasher = Sha256::new();
    for (name, digest) in digests {
        let mut line = format!("{name} ");
        for byte in digest.as_ref() {
            write!(line, "{byte:02x}").expect("a string takes everything");
        }
        hasher.update(line + "\n");
    }
    sha256_text(hasher)
}

/// All that the weights depend on, each on one line.
pub(super) fn inputs(
    start: &Classifier,
    data: &Split,
    config: &TrainConfig,
) -> BTreeMap<String, String> {
    // The number of threads changes nothing, and a pinned instruction set is the one that computes.
    let config = TrainConfig { threads: None, isa: None, ..config.clone() };
    let mut inputs = versions();
    inputs.extend([
        ("base weights".to_owned(), start.loaded.clone()),
        ("config.json".to_owned(), {
            let mut hasher = Sha256::new();
            hasher.update(start.config.to_json());
            sha256_text(hasher)
        }),
        ("tokenizer".to_owned(), start.tokenizer_digest()),
        ("task".to_owned(), start.task().name().to_owned()),
        ("labels".to_owned(), serde_json::to_string(start.labels()).expect("texts become JSON")),
        ("training examples".to_owned(), dataset::digest(&data.train)),
        ("held-out examples".to_owned(), dataset::digest(&data.validation)),
        (OPTIONS.to_owned(), serde_json::to_string(&config).expect("options become JSON")),
        ("device".to_owned(), start.kind.to_string()),
        (INSTRUCTION_SET.to_owned(), bits_of(start.kind, instruction_set()).to_owned()),
    ]);
    inputs
}
