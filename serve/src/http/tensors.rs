//! Tensors of the Open Inference Protocol: one of texts comes in, or two of pairs; labels, scores and
//! logits go out.

use super::json::{Json, Quoted};
use crate::classify::Classified;
use crate::predictor::Text;

/// The tensors that can be asked for.
const OUTPUTS: [&str; 4] = ["label", "score", "scores", "logits"];

/// What a second tensor of texts is called.
const PAIR: &str = "text_pair";

/// A checked inference request.
pub(super) struct Infer {
    pub(super) id: Option<String>,
    pub(super) texts: Vec<Text>,
    /// The shape of the input, which that of `label` and `score` repeats.
    shape: Vec<usize>,
    outputs: Vec<&'static str>,
}

impl Infer {
    pub(super) fn check(body: &Json, max_texts: usize) -> Result<Self, String> {
        if let Some(unknown) =
            body.unknown(&["id", "inputs", "outputs", "parameters", "model_name"])
        {
            return Err(format!("{unknown:?} is unknown"));
        }
        check_parameters(body)?;
        let id = match body.field("id") {
            None | Some(Json::Null) => None,
            Some(Json::String(id)) => Some(id.clone()),
            Some(_) => return Err("\"id\" is not a string".to_owned()),
        };
        let (texts, shape) = match body.field("inputs") {
            Some(Json::Array(inputs)) => match inputs.as_slice() {
                [input] => {
                    let (texts, shape) = texts(input, max_texts)?;
                    (texts.into_iter().map(Text::from).collect(), shape)
                }
                [input, pair] => pairs(input, pair, max_texts)?,
                _ => {
                    return Err(format!(
                        "{} inputs, but the model takes one tensor of texts, or two of pairs",
                        inputs.len()
                    ));
                }
            },
            _ => return Err("\"inputs\" is not a list of tensors".to_owned()),
        };
        Ok(Self { id, texts, shape, outputs: outputs_asked_for(body)? })
    }

    /// The output tensors, as JSON.
    pub(super) fn write(&self, classified: &Classified) -> String {
        let tensors: Vec<String> =
            self.outputs.iter().map(|name| self.tensor(name, classified)).collect();
        tensors.join(",")
    }

    fn tensor(&self, name: &str, classified: &Classified) -> String {
        let model = &classified.model;
        let labels = model.predictor.labels();
        let n_labels = labels.len();
        let rows = classified.rows.iter().map(|row| row.logits.as_slice());
        let (datatype, per_text, data): (&str, &[usize], Vec<String>) = match name {
            "label" => (
                "BYTES",
                &[],
                rows.map(|row| Quoted(&labels[model.top(row).index]).to_string()).collect(),
            ),
            "score" => {
                ("FP32", &[], rows.map(|row| format!("{:?}", model.top(row).score)).collect())
            }
            "scores" => (
                "FP32",
                &[n_labels],
                rows.flat_map(|row| model.scores(row)).map(|score| format!("{score:?}")).collect(),
            ),
            _ => ("FP32", &[n_labels], rows.flatten().map(|logit| format!("{logit:?}")).collect()),
        };
        let shape: Vec<String> = self.shape.iter().chain(per_text).map(usize::to_string).collect();
        let (shape, data) = (shape.join(","), data.join(","));
        format!(
            "{{\"name\":\"{name}\",\"datatype\":\"{datatype}\",\"shape\":[{shape}],\"data\":[{data}]}}"
        )
    }
}

/// Two tensors of one shape: texts, and under `text_pair` those that they are paired with.
fn pairs(input: &Json, pair: &Json, max_texts: usize) -> Result<(Vec<Text>, Vec<usize>), String> {
    match pair.field("name") {
        Some(Json::String(name)) if name == PAIR => (),
        _ => return Err(format!("the second input is not called {PAIR:?}")),
    }
    let ((first, shape), (second, other)) = (texts(input, max_texts)?, texts(pair, max_texts)?);
    if shape != other {
        return Err(format!("the inputs have the shapes {shape:?} and {other:?}"));
    }
    let pairs = first.into_iter().zip(second);
    Ok((pairs.map(|(text, pair)| Text { text, pair: Some(pair) }).collect(), shape))
}

/// The metadata of the output tensors, as JSON.
pub(super) fn outputs(n_labels: usize) -> String {
    let one = |name: &str| {
        let (datatype, shape) = match name {
            "label" => ("BYTES", "[-1]".to_owned()),
            "score" => ("FP32", "[-1]".to_owned()),
            _ => ("FP32", format!("[-1,{n_labels}]")),
        };
        format!("{{\"name\":\"{name}\",\"datatype\":\"{datatype}\",\"shape\":{shape}}}")
    };
    OUTPUTS.map(one).join(",")
}

/// Parameters of a request, an input or an output, such as the classification extension's, which is
/// not announced. What is asked of binary data changes the form of an answer and not what it says.
fn check_parameters(of: &Json) -> Result<(), String> {
    match of.field("parameters") {
        None | Some(Json::Null) => Ok(()),
        Some(parameters @ Json::Object(_)) => {
            match parameters.unknown(&["binary_data", "binary_data_output"]) {
                Some(unknown) => Err(format!("the parameter {unknown:?} is not supported")),
                None => Ok(()),
            }
        }
        Some(_) => Err("\"parameters\" is not an object".to_owned()),
    }
}

fn texts(input: &Json, max_texts: usize) -> Result<(Vec<String>, Vec<usize>), String> {
    if let Some(unknown) = input.unknown(&["name", "datatype", "shape", "data", "parameters"]) {
        return Err(format!("the input's {unknown:?} is unknown"));
    }
    check_parameters(input)?;
    match input.field("name") {
        Some(Json::String(_)) => {}
        _ => return Err("the input has no \"name\"".to_owned()),
    }
    match input.field("datatype") {
        Some(Json::String(datatype)) if datatype == "BYTES" => {}
        _ => return Err("the input's \"datatype\" is not \"BYTES\"".to_owned()),
    }
    let Some(Json::Array(shape)) = input.field("shape") else {
        return Err("the input has no \"shape\"".to_owned());
    };
    let dimension = |json: &Json| match json {
        // A whole number may be written with a point.
        Json::Number(number) => number
            .strip_suffix(".0")
            .unwrap_or(number)
            .parse::<usize>()
            .ok()
            .filter(|size| *size <= max_texts.max(1)),
        _ => None,
    };
    let shape: Option<Vec<usize>> = shape.iter().map(dimension).collect();
    let shape = shape.filter(|shape| !shape.is_empty() && shape.len() <= 8);
    let shape = shape
        .ok_or_else(|| format!("the input's \"shape\" is not a list of sizes up to {max_texts}"))?;
    let Some(data @ Json::Array(_)) = input.field("data") else {
        return Err("the input has no \"data\"".to_owned());
    };
    let mut texts = Vec::new();
    flatten(data, &mut texts)?;
    let n_texts = shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    if n_texts != Some(texts.len()) {
        return Err(format!("the input has {} texts, which is not its shape", texts.len()));
    }
    if texts.len() > max_texts {
        return Err(format!(
            "{} texts are more than the {max_texts} that one request may have",
            texts.len()
        ));
    }
    Ok((texts, shape))
}

/// Data may be nested or flat. The reader has bounded the depth.
fn flatten(data: &Json, texts: &mut Vec<String>) -> Result<(), String> {
    match data {
        Json::Array(items) => items.iter().try_for_each(|item| flatten(item, texts)),
        Json::String(text) => {
            texts.push(text.clone());
            Ok(())
        }
        other => Err(format!("the input's \"data\" has {other} where a text is expected")),
    }
}

fn outputs_asked_for(body: &Json) -> Result<Vec<&'static str>, String> {
    let asked = match body.field("outputs") {
        None | Some(Json::Null) => return Ok(OUTPUTS.to_vec()),
        Some(Json::Array(asked)) if asked.is_empty() => return Ok(OUTPUTS.to_vec()),
        Some(Json::Array(asked)) => asked,
        Some(_) => return Err("\"outputs\" is not a list of tensors".to_owned()),
    };
    for output in asked {
        if let Some(unknown) = output.unknown(&["name", "parameters", "datatype", "shape"]) {
            return Err(format!("an output's {unknown:?} is unknown"));
        }
        check_parameters(output)?;
    }
    let name = |output: &Json| match output.field("name") {
        Some(Json::String(name)) => OUTPUTS
            .into_iter()
            .find(|known| known == name)
            .ok_or_else(|| format!("unknown output {name:?}: there are {}", OUTPUTS.join(", "))),
        _ => Err("an output has no \"name\"".to_owned()),
    };
    if asked.len() > OUTPUTS.len() {
        return Err(format!(
            "{} outputs are asked for, but there are {}",
            asked.len(),
            OUTPUTS.len()
        ));
    }
    asked.iter().map(name).collect()
}
