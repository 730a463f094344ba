//! A question of text-embeddings-inference, checked: each key is done or refused.

use crate::classify::{Overlong, Side};
use crate::http::json::{Json, Quoted};
use crate::http::protocol::Form;
use crate::predictor::Text;

/// The keys beside the texts.
pub(in crate::http) const OPTIONS: [&str; 5] =
    ["truncate", "truncation_direction", "raw_scores", "parameters", "options"];

/// A checked question.
pub(super) struct Asked {
    pub(super) texts: Vec<Text>,
    pub(super) form: Form,
    pub(super) figures: Figures,
    pub(super) n_best: Option<usize>,
    pub(super) overlong: Overlong,
}

/// What stands as `score`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Figures {
    OfTheModel,
    Softmax,
    Sigmoid,
    Logits,
}

impl Asked {
    pub(super) fn check(body: &Json, max_texts: usize) -> Result<Self, String> {
        let known: Vec<&str> = OPTIONS.into_iter().chain(["inputs"]).collect();
        if let Some(unknown) = body.unknown(&known) {
            return Err(format!("{} is unknown", Quoted(unknown)));
        }
        check_options(body)?;
        let parameters = Parameters::check(body)?;
        let (texts, form) = texts(body)?;
        if texts.len() > max_texts {
            let n_texts = texts.len();
            return Err(format!("batch size {n_texts} > maximum allowed batch size {max_texts}"));
        }
        let figures = match (flag(body, "raw_scores")?, parameters.figures) {
            (Some(true), None | Some(Figures::Logits)) => Figures::Logits,
            (Some(true), Some(_)) => {
                return Err("`raw_scores` and `function_to_apply` contradict each other".to_owned());
            }
            (_, figures) => figures.unwrap_or(Figures::OfTheModel),
        };
        Ok(Self { texts, form, figures, n_best: parameters.n_best, overlong: overlong(body)? })
    }
}

/// What the hub's inference API asks for.
#[derive(Default)]
struct Parameters {
    figures: Option<Figures>,
    n_best: Option<usize>,
}

impl Parameters {
    fn check(body: &Json) -> Result<Self, String> {
        let mut found = Self::default();
        let parameters = match body.field("parameters") {
            None | Some(Json::Null) => return Ok(found),
            Some(Json::Object(entries)) => entries,
            Some(other) => return Err(format!("`parameters` should be an object, not {other}")),
        };
        for (name, value) in parameters.iter().filter(|(_, value)| *value != Json::Null) {
            match (name.as_str(), value) {
                ("function_to_apply", Json::String(function)) => {
                    found.figures = Some(match function.as_str() {
                        "softmax" => Figures::Softmax,
                        "sigmoid" => Figures::Sigmoid,
                        "none" => Figures::Logits,
                        _ => {
                            return Err(format!(
                                "`function_to_apply` should be softmax, sigmoid or none, not {value}"
                            ));
                        }
                    });
                }
                ("top_k", Json::Number(number)) if size(number).is_some() => {
                    found.n_best = size(number);
                }
                ("function_to_apply" | "top_k", _) => {
                    return Err(format!("`{name}` cannot be {value}"));
                }
                _ => return Err(format!("`parameters` has {}, which is unknown", Quoted(name))),
            }
        }
        Ok(found)
    }
}

/// A whole number from 1, which may be written with a point; more than fits is all there is.
fn size(number: &str) -> Option<usize> {
    let digits = number.strip_suffix(".0").unwrap_or(number);
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit()) && digits != "0";
    is_whole.then(|| digits.parse().unwrap_or(usize::MAX))
}

/// What the hub's API is told of waiting and caching changes no answer, and nothing else is known.
fn check_options(body: &Json) -> Result<(), String> {
    match body.field("options") {
        None | Some(Json::Null) => Ok(()),
        Some(options @ Json::Object(_)) => {
            match options.unknown(&["use_cache", "wait_for_model", "use_gpu"]) {
                Some(unknown) => {
                    Err(format!("`options` has {}, which is unknown", Quoted(unknown)))
                }
                None => Ok(()),
            }
        }
        Some(other) => Err(format!("`options` should be an object, not {other}")),
    }
}

pub(super) fn overlong(body: &Json) -> Result<Overlong, String> {
    let cut = match body.field("truncation_direction") {
        None | Some(Json::Null) => Overlong::Cut,
        Some(Json::String(side)) if side.eq_ignore_ascii_case("right") => {
            Overlong::CutAt(Side::End)
        }
        Some(Json::String(side)) if side.eq_ignore_ascii_case("left") => {
            Overlong::CutAt(Side::Beginning)
        }
        Some(other) => {
            return Err(format!(
                "`truncation_direction` should be \"Left\" or \"Right\", not {other}"
            ));
        }
    };
    Ok(if flag(body, "truncate")?.unwrap_or(true) { cut } else { Overlong::Refuse })
}

pub(super) fn flag(body: &Json, name: &str) -> Result<Option<bool>, String> {
    match body.field(name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(format!("`{name}` should be true or false, not {other}")),
    }
}

fn texts(body: &Json) -> Result<(Vec<Text>, Form), String> {
    match body.field("inputs") {
        Some(Json::String(text)) => Ok((vec![text.clone().into()], Form::One)),
        Some(Json::Array(items)) if matches!(items.first(), Some(Json::Array(_))) => {
            Ok((items.iter().map(sequence).collect::<Result<_, _>>()?, Form::List))
        }
        Some(flat @ Json::Array(_)) => Ok((vec![sequence(flat)?], Form::One)),
        _ => Err("`inputs` should be a text or a list of lists of one or two texts".to_owned()),
    }
}

fn sequence(item: &Json) -> Result<Text, String> {
    match item {
        Json::Array(items) => match items.as_slice() {
            [Json::String(text)] => Ok(text.clone().into()),
            [Json::String(text), Json::String(pair)] => {
                Ok(Text { text: text.clone(), pair: Some(pair.clone()) })
            }
            _ => Err("a sequence is a list of one or two texts".to_owned()),
        },
        _ => Err("a batch is a list of lists of one or two texts".to_owned()),
    }
}
