//! The same requests to the tutorial's app and to us; all answers but those with predictions must
//! be the same, byte for byte.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::Stage;
use crate::report::Report;
use crate::serving;
use crate::serving::load::{Answer, Client};
use crate::serving::server::Server;

/// Where we differ on purpose.
const EXTENSIONS: [(&str, &str); 3] = [
    ("a list of texts", r#"{"text":["a","b"]}"#),
    ("inputs, as text-embeddings-inference has it", r#"{"inputs":"a"}"#),
    ("an empty list", r#"{"text":[]}"#),
];

pub(super) fn run(stage: &Stage<'_>, report: &mut Report) {
    report.claim("FastAPI", "gives the same answers, byte for byte, over a real socket", || {
        let theirs = app(stage)?;
        let ours = stage.serve(stage.tiny(), &[])?;
        let recorded =
            fs_err::read_to_string(stage.workspace.join("serve/testdata/fastapi/answers.json"))?;
        let cases: Vec<Value> = serde_json::from_str(&recorded)?;
        let mut differences = Vec::new();
        for case in cases.iter().map(question).chain(slashes().map(Ok)) {
            let (name, question) = case?;
            let (theirs, ours) = (ask(&theirs, &question)?, ask(&ours, &question)?);
            if shown(&theirs) != shown(&ours) {
                differences.push(format!(
                    "{name}\n  theirs {:?}\n  ours   {:?}",
                    shown(&theirs),
                    shown(&ours)
                ));
            }
        }
        ensure!(cases.len() > 70, "only {} cases", cases.len());
        ensure!(
            differences.is_empty(),
            "{} of {}:\n{}",
            differences.len(),
            cases.len(),
            differences.join("\n")
        );
        Ok(())
    });
    report.claim(
        "FastAPI",
        "refuses what our documented extensions answer, and nothing else differs",
        || {
            let theirs = app(stage)?;
            let ours = stage.serve(stage.tiny(), &[])?;
            for (name, body) in EXTENSIONS {
                let question = post(body);
                let (theirs, ours) =
                    (ask(&theirs, &question)?.status, ask(&ours, &question)?.status);
                ensure!((theirs, ours) == (422, 200), "{name}: theirs {theirs}, ours {ours}");
            }
            Ok(())
        },
    );
}

fn app(stage: &Stage<'_>) -> anyhow::Result<Server> {
    let command = serving::script(stage.python()?, stage.workspace, "app.py");
    Server::at_a_free_port(command, |command, port| {
        command.arg("-").arg(port.to_string()).arg("constant");
    })
}

fn post(body: &str) -> Vec<u8> {
    crate::serving::load::request("POST", "/predict", body)
}

/// A recorded case as bytes on the wire.
fn question(case: &Value) -> anyhow::Result<(String, Vec<u8>)> {
    let text = |name: &str| case[name].as_str().with_context(|| format!("a case without {name}"));
    let body = match &case["body"] {
        Value::String(text) => text.clone().into_bytes(),
        bytes => {
            let hex = bytes["hex"].as_str().context("bytes in hexadecimal")?;
            (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16))
                .collect::<Result<_, _>>()?
        }
    };
    let mut question = format!(
        "{} {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
        text("method")?,
        text("path")?
    );
    if let Some(content_type) = case["content_type"].as_str() {
        question += &format!("content-type: {content_type}\r\n");
    }
    if !body.is_empty() {
        question += &format!("content-length: {}\r\n", body.len());
    }
    Ok((text("name")?.to_owned(), [question.as_bytes(), b"\r\n", &body].concat()))
}

/// A slash too many is a redirection.
fn slashes() -> impl Iterator<Item = (String, Vec<u8>)> {
    let paths = ["/predict/", "/predict/?a=b", "/nothing/", "/predict//"];
    let methods = ["GET", "POST"];
    paths.into_iter().flat_map(move |path| methods.map(move |method| (method, path))).map(
        |(method, path)| {
            let question =
                format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            (format!("{method} {path}"), question.into_bytes())
        },
    )
}

fn ask(server: &Server, question: &[u8]) -> anyhow::Result<Answer> {
    Ok(Client::connect(server.address)?.ask(question)?)
}

/// What is compared: predictions only by their form.
fn shown(answer: &Answer) -> (u16, String, String, String, String) {
    let header = |name: &str| answer.header(name).to_owned();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let body = match serde_json::from_str::<Value>(&body) {
        Ok(Value::Array(list)) if answer.status == 200 && list.len() == 1 => {
            let keys: BTreeSet<String> =
                list[0].as_object().into_iter().flat_map(|one| one.keys().cloned()).collect();
            format!("{keys:?}")
        }
        _ => body,
    };
    (answer.status, header("content-type"), header("allow"), header("location"), body)
}
