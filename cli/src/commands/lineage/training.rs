//! The training that a ModelKit's weights came out of, and what went into it.

use std::io::ErrorKind;

use fs_err as fs;
use modelkit::ModelKit;
use registry::Reference;
use serde_json::Value;
use trainer::{Classifier, DeviceKind, Record};

use super::Way;
use super::fact::{Fact, Standing};
use super::served::text;
use crate::failure::failure;
use crate::kind::{self, Kind};
use crate::output::n_of;
use crate::steps::found::here;
use crate::steps::model::{self, ModelFolder};
use crate::steps::retrain::{self, Subject};
use crate::steps::training::{RECORD, Recipe};

impl Way<'_> {
    /// By its record where the ModelKit is here and has one, else as its Kitfile tells it.
    pub(super) fn training(
        &self,
        reference: &Reference,
        kit: &ModelKit,
        kitfile: &Value,
        said: &(Standing, String),
    ) -> anyhow::Result<Vec<Fact>> {
        let Some((layout, descriptor)) = here(reference, self.ui)? else {
            self.ui.note(format_args!(
                "{reference} is not in the local layout: its weights are not held against its training record; kit-rs pull brings it"
            ));
            return self.told(kitfile, said);
        };
        if kit.kitfile().model.is_none() {
            return Ok(Vec::new());
        }
        let kit = ModelKit::read(&layout, &descriptor)?;
        let folder = model::unpacked(kit, &layout, reference, &|| self.ui.interrupt().flow());
        let folder = match folder {
            // Not every ModelKit holds a classifier.
            Err(error) if kind::of(&error) == Kind::NotFound => return self.told(kitfile, said),
            folder => folder?,
        };
        let text = match fs::read_to_string(folder.dir.join(RECORD)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return self.told(kitfile, said),
            text => text?,
        };
        let damaged = |why: String| failure(Kind::Damaged, format!("{reference}: {why}"));
        let record: Record = serde_json::from_str(&text)
            .map_err(|error| damaged(format!("its {RECORD} is not valid: {error}")))?;
        record.check().map_err(|error| damaged(format!("its {RECORD} is not valid: {error}")))?;
        Ok(vec![self.recorded(reference, &folder, &record, said)?])
    }

    /// The weights, and beneath them the training that the record tells.
    fn recorded(
        &self,
        reference: &Reference,
        folder: &ModelFolder,
        record: &Record,
        said: &(Standing, String),
    ) -> anyhow::Result<Fact> {
        let device = record.inputs.get("device").map_or("", String::as_str);
        let device: DeviceKind = device.parse().unwrap_or(DeviceKind::Flex);
        let classifier =
            Classifier::load(&folder.dir, device).map_err(|error| folder.unusable(error))?;
        let weights = classifier.weights_digest();
        if record.kept().is_none_or(|link| link.weights != weights) {
            return Err(failure(
                Kind::Damaged,
                format!(
                    "the weights of {reference} are not those that its training record has kept"
                ),
            ));
        }
        let said = match said.0 {
            Standing::Signed => {
                (Standing::Signed, "in the training record, which is signed with it")
            }
            _ => (Standing::Declared, "in the training record"),
        };
        let training = match &self.retrain {
            Some(how) => {
                let subject = Subject::of_modelkit(reference, self.ui)?;
                retrain::run(how, &subject, self.ui)?;
                (Standing::Proven, "trained again here: the same weights came out")
            }
            None => said,
        };
        let last = record.links.last().map_or((0, 0), |link| (link.step, link.epoch));
        let name = format!(
            "of {} in {}, {}",
            n_of(last.0 as u64, "step"),
            n_of(last.1 as u64, "epoch"),
            record.inputs.get("instruction set").map_or("", String::as_str)
        );
        // Derived again, all that went in was what the record names.
        let input = |what: &'static str, key: &str| {
            record
                .inputs
                .get(key)
                .map(|value| Fact::new(what, value, (training.0, training.1.to_owned())))
        };
        // What is no recipe of ours tells nothing of where the checkpoint came from.
        let recipe: Option<Recipe> = serde_json::from_value(record.recipe.clone()).ok();
        let beneath = recipe.as_ref().map(|recipe| self.base(recipe)).transpose()?.flatten();
        let base = input("checkpoint", "base weights").map(|fact| fact.from(beneath));
        let inputs = [
            base,
            input("examples learned from", "training examples"),
            input("examples held out", "held-out examples"),
            input("tokenizer", "tokenizer"),
        ];
        let training = Fact::new("training", name, training).from(inputs.into_iter().flatten());
        let why = (Standing::Proven, "they are those that the training record has kept");
        Ok(Fact::new("weights", weights, why).from([training]))
    }

    /// The ModelKit that a checkpoint was, as far as it is found.
    fn base(&self, recipe: &Recipe) -> anyhow::Result<Option<Fact>> {
        let digest = recipe.base_modelkit.as_ref().and_then(|digest| digest.parse().ok());
        let Some((reference, digest)) = recipe.base.parse::<Reference>().ok().zip(digest) else {
            return Ok(None);
        };
        let reference = reference.with_digest(digest);
        // Its own training was another one, with a checkpoint of its own.
        let beneath = Way { retrain: None, ..self.clone() };
        let found = self.found(&reference, beneath.named(&reference))?;
        let missing = || {
            let why = (Standing::Declared, "it was not found");
            Fact::new("ModelKit", reference.to_string(), why)
        };
        Ok(Some(found.unwrap_or_else(missing)))
    }

    /// As the Kitfile has it.
    fn told(&self, kitfile: &Value, said: &(Standing, String)) -> anyhow::Result<Vec<Fact>> {
        let mut facts = Vec::new();
        let parameters = "/model/parameters";
        let of = |pointer: &str| text(kitfile, &format!("{parameters}{pointer}"));
        if let Some(weights) = of("/base_model/weights") {
            let mut base = Fact::new("checkpoint", weights, said.clone());
            let source = kitfile.pointer(&format!("{parameters}/base_model/source"));
            base = base.from(source.and_then(|source| imported(source, said)));
            facts.push(base);
        }
        if let Some(digest) = of("/dataset/digest") {
            facts.push(Fact::new("examples learned from", digest, said.clone()));
        }
        let source = kitfile.pointer(&format!("{parameters}/source"));
        facts.extend(source.and_then(|source| imported(source, said)));
        Ok(facts)
    }
}

/// A repository that something was imported from.
fn imported(source: &Value, said: &(Standing, String)) -> Option<Fact> {
    let repository = text(source, "/repository")?;
    let commit = text(source, "/commit").unwrap_or("an unknown commit");
    Some(Fact::new("import of", format!("{repository} at {commit}"), said.clone()))
}
