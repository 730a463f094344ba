//! Keys, signatures, and what is not taken without them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use fs_err as fs;
use serde_json::Value;

use crate::world::{KIT_RS, World};

fn run(world: &World, line: &str) -> Output {
    world.kit_rs().args(line.split(' ')).output().expect("the program can be started")
}

fn well(world: &World, line: &str) -> String {
    let output = run(world, line);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {said}");
    String::from_utf8(output.stdout).expect("it is UTF-8")
}

/// The failure as a program reads it.
fn refused(world: &World, line: &str, kind: &str) -> Value {
    let output = run(world, &format!("{line} --format json"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{line} is taken");
    let document: Value = serde_json::from_str(said.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(document["kind"], kind, "{line}: {document}");
    document
}

#[test]
fn a_private_key_is_for_its_owner_and_is_never_replaced() {
    let world = World::new();
    let path = |name: &str| world.work().join(name);
    well(&world, "keygen --no-password");
    let mode = fs::metadata(path("kit-rs.key")).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(path("kit-rs.key")).expect("it is there");
    refused(&world, "keygen --no-password", "usage");
    assert_eq!(fs::read(path("kit-rs.key")).expect("it is there"), before);
    // Without a terminal nobody can be asked.
    refused(&world, "keygen --output sealed", "usage");
    assert!(!path("sealed.key").exists() && !path("sealed.pub").exists());
    let mut keygen = world.kit_rs();
    keygen.args(["keygen", "--output", "sealed"]).env("KIT_RS_PASSWORD", "secret");
    assert!(keygen.status().expect("the program can be started").success());
    let sealed = fs::read_to_string(path("sealed.key")).expect("it was made");
    assert!(sealed.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"), "{sealed}");
    refused(&world, "sign ./project --key sealed.key", "refused");
    assert!(!path("project/model.sig").exists());
}

#[test]
fn nothing_unsigned_is_taken_where_a_key_is_required() {
    let world = World::new();
    let there = format!("{}/demo/kit:v1", world.typed_registry());
    well(&world, "keygen --no-password --output ours");
    well(&world, "keygen --no-password --output other");
    well(&world, &format!("pack project -t {there}"));
    well(&world, &format!("push {there}"));
    well(&world, &format!("remove {there}"));
    for line in ["pull", "unpack -d out"] {
        let failed =
            refused(&world, &format!("{line} {there} --require-key ours.pub"), "untrusted");
        assert!(failed["causes"].to_string().contains("has no signature"), "{failed}");
    }
    assert!(!world.work().join("out").exists(), "nothing of it was written");
    assert_eq!(well(&world, "list --format json").trim(), "[]", "nothing of it was kept");
    let signed = well(&world, &format!("sign {there} --key ours.key"));
    assert_eq!(well(&world, &format!("verify {there} --key ours.pub")), signed);
    refused(&world, &format!("verify {there} --key other.pub"), "untrusted");
    refused(&world, &format!("pull {there} --require-key other.pub"), "untrusted");
    refused(&world, &format!("unpack {there} -d out --require-key other.pub"), "untrusted");
    well(&world, &format!("unpack {there} -d out --require-key other.pub --require-key ours.pub"));
    assert!(world.work().join("out/README.md").is_file());
    well(&world, &format!("pull {there} --require-key ours.pub"));
    // What lies here is held to the same, and what nobody can have signed is refused.
    refused(&world, &format!("unpack {there} -d again --require-key other.pub"), "untrusted");
    well(&world, &format!("tag {there} demo/kit:v1"));
    refused(&world, "unpack demo/kit:v1 -d again --require-key ours.pub", "untrusted");
    assert!(!world.work().join("again").exists());
}

#[test]
fn every_verb_that_takes_a_model_asks_for_what_the_policy_says() {
    let world = World::new();
    let there = format!("{}/demo/kit:v1", world.typed_registry());
    let image = format!("{}/demo/image:v1", world.typed_registry());
    well(&world, "keygen --no-password --output ours");
    well(&world, "keygen --no-password --output other");
    let policy = |text: &str| {
        fs::write(world.work().join("trust.yaml"), text).expect("the folder is there");
    };
    well(&world, &format!("pack project -t {there}"));
    well(&world, &format!("push {there}"));
    well(&world, &format!("image build {there} --for volume -t {image}"));
    policy("mode: enforce\nkeys: [ours.pub]\n");
    let lines = [
        format!("pull {there}"),
        format!("unpack {there} -d out"),
        format!("serve {there} --port 0"),
        format!("image build {there} --for volume -t {image}"),
        format!("gitops render {image} --app demo --dir out"),
    ];
    for line in &lines {
        let failed = refused(&world, &format!("{line} --trust-policy trust.yaml"), "untrusted");
        assert!(failed["causes"].to_string().contains("signature"), "{line}: {failed}");
    }
    assert!(!world.work().join("out").exists(), "nothing was written");
    // It holds for what has no flag for it, too.
    let mut evaluate = world.kit_rs();
    evaluate.args(["evaluate", &there, "data.jsonl", "--format", "json"]);
    let failed = evaluate.env("KIT_RS_TRUST_POLICY", "trust.yaml").output().expect("it starts");
    let said: Value = serde_json::from_slice(&failed.stderr).expect("one document of JSON");
    assert_eq!(said["kind"], "untrusted", "{said}");
    // Where it only warns, the model is taken, and --strict takes no warning.
    policy("mode: warn\nkeys: [ours.pub]\n");
    let warned = run(&world, &format!("pull {there} --trust-policy trust.yaml"));
    let said = String::from_utf8_lossy(&warned.stderr);
    assert!(warned.status.success() && said.contains("is taken although"), "{said}");
    refused(&world, &format!("--strict pull {there} --trust-policy trust.yaml"), "strict");
    // Signed by the one key, it is taken by whoever asks for that one only.
    policy("mode: enforce\nkeys: [ours.pub]\n");
    well(&world, &format!("sign {there} --key ours.key"));
    well(&world, &lines[0]);
    well(&world, &format!("{} --trust-policy trust.yaml", lines[1]));
    refused(
        &world,
        &format!("{} --trust-policy trust.yaml --require-key other.pub", lines[0]),
        "untrusted",
    );
    policy("mode: enforce\nkyes: [ours.pub]\n");
    refused(&world, &format!("{} --trust-policy trust.yaml", lines[0]), "invalid");
}

#[test]
fn a_server_takes_the_model_that_is_expected_or_none() {
    let world = World::new();
    well(&world, "pack project -t demo/kit:v1");
    let other = format!("sha256:{}", "0".repeat(64));
    let failed = refused(
        &world,
        &format!("serve demo/kit:v1 --port 0 --expect-digest {other}"),
        "untrusted",
    );
    assert!(failed["message"].to_string().contains(&other), "{failed}");
    well(&world, "keygen --no-password --output ours");
    let failed = refused(&world, "serve ./project --port 0 --require-key ours.pub", "untrusted");
    assert!(failed["causes"].to_string().contains("no model.sig"), "{failed}");
}

#[test]
fn what_is_attested_is_shown_by_its_type() {
    let world = World::new();
    let there = format!("{}/demo/kit:v1", world.typed_registry());
    well(&world, "keygen --no-password --output ours");
    well(&world, &format!("pack project -t {there}"));
    well(&world, &format!("push {there}"));
    fs::write(world.work().join("said.json"), "{\"n\": 1}").expect("the folder is there");
    let verify = format!("verify {there} --key ours.pub --type slsaprovenance1");
    refused(&world, &verify, "untrusted");
    let attest = format!("attest {there} --key ours.key --type slsaprovenance1 --predicate");
    well(&world, &format!("{attest} said.json"));
    assert_eq!(well(&world, &verify), "{\"n\":1}\n");
    refused(&world, &format!("verify {there} --key ours.pub"), "untrusted");
    refused(&world, &format!("{attest} ours.pub"), "usage");
    refused(&world, "verify ./project --key ours.pub --type cyclonedx", "usage");
}

/// The releases 1.0.0, which both environments run, and 1.0.1, which dev runs.
fn two_environments(world: &World) -> impl Fn(&str) -> String {
    let registry = world.typed_registry();
    let kitfile = world.work().join("project/Kitfile");
    let text = fs::read_to_string(&kitfile).expect("it is there");
    let kit = move |version: &str| format!("{registry}/demo/kit:{version}");
    for version in ["1.0.0", "1.0.1"] {
        let text = text.replace("version: 1.0.0", &format!("version: {version}"));
        fs::write(&kitfile, text).expect("it can be written");
        well(world, &format!("pack project -t {}", kit(version)));
        well(world, &format!("push {}", kit(version)));
        let tag = format!("registry.example/runtime:{version}");
        well(world, &format!("image build {} -t {tag} --runtime {KIT_RS}", kit(version)));
    }
    for env in ["dev", "staging"] {
        let url = "https://git.example.com/infra.git --branch main --no-cluster";
        well(world, &format!("gitops bootstrap --path clusters/{env} --url {url} --dir infra"));
        let app = format!("--app demo --layout envs --env {env} --dir infra");
        well(world, &format!("gitops render registry.example/runtime:1.0.0 {app}"));
    }
    let bump = "gitops bump registry.example/runtime:1.0.1 --app demo --env dev --dir infra";
    well(world, bump);
    kit
}

#[test]
fn a_model_is_promoted_by_what_a_key_has_measured() {
    let world = World::new();
    well(&world, "keygen --no-password --output ours");
    well(&world, "keygen --no-password --output other");
    let kit = two_environments(&world);
    let promote = "gitops promote demo --from dev --to staging --no-cluster --dir infra";
    let signed = format!("{promote} --evaluated-by ours.pub");
    let stays = |line: &str, why: &str| {
        let failed = refused(&world, line, "refused");
        assert!(failed["message"].to_string().contains(why), "{failed}");
    };
    stays(promote, "it carries no evaluation");
    stays(&signed, "has no attestation of the type");
    let evaluate = |version: &str, key: &str| {
        let line = format!("evaluate {} project/data/reviews.csv --attest {key}", kit(version));
        well(&world, &line);
    };
    // Another's word does not count, neither of the new model nor of the one that runs there.
    evaluate("1.0.1", "other.key");
    stays(&signed, "has no attestation of the type");
    evaluate("1.0.1", "ours.key");
    evaluate("1.0.0", "other.key");
    stays(&signed, "what staging runs now cannot be compared");
    evaluate("1.0.0", "ours.key");
    let release = world.work().join("infra/apps/demo/overlays/staging/release.yaml");
    let before = fs::read(&release).expect("it was rendered");
    well(&world, &signed);
    assert_ne!(fs::read(&release).expect("it is there"), before);
    fs::write(&release, &before).expect("it can be written");
    well(&world, &format!("{promote} --evaluated-by other.pub --evaluated-by ours.pub"));
    fs::write(&release, before).expect("it can be written");

    // All that the key says counts, whatever it said before.
    let verify = format!("verify {} --key ours.pub --type evaluation", kit("1.0.1"));
    let mut said: Value = serde_json::from_str(&well(&world, &verify)).expect("a statement a line");
    said["metrics"]["accuracy"] = 0.25.into();
    fs::write(world.work().join("said.json"), said.to_string()).expect("the folder is there");
    let attest = format!("attest {} --key ours.key --type evaluation", kit("1.0.1"));
    well(&world, &format!("{attest} --predicate said.json"));
    stays(&signed, "its accuracy is 0.25, and that of the one whose place it takes is 0.5");
    well(&world, &format!("{signed} --margin 0.3"));
    refused(&world, &format!("{promote} --evaluated-by none.pub"), "not-found");
}

#[test]
fn a_training_says_what_it_was_made_of_and_says_the_same_again() {
    let world = World::new();
    let train = |output: &str| {
        well(
            &world,
            &format!(
                "train --model project/model --dataset project/data/reviews.csv --output {output} --epochs 1 --batch-size 4 --validation-fraction 0.25 --no-kitfile"
            ),
        );
        fs::read_to_string(world.work().join(format!("{output}-provenance.json"))).expect("written")
    };
    let first = train("m");
    assert_eq!(train("again/m").replace("again/", ""), first);
    let provenance: Value = serde_json::from_str(&first).expect("JSON");
    let digest = |list: &Value, name: &str| {
        let list = list.as_array().expect("a list");
        let found =
            list.iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        found["digest"]["sha256"].as_str().expect("a digest").to_owned()
    };
    let sha256 = |path: &str| {
        let bytes = fs::read(world.work().join(path)).expect("it is there");
        registry::content::digest(&bytes).digest().to_owned()
    };
    let made = &provenance["runDetails"]["byproducts"];
    for name in ["model.safetensors", "config.json", "tokenizer.json"] {
        assert_eq!(digest(made, name), sha256(&format!("m/{name}")));
    }
    let report = fs::read_to_string(world.work().join("m-report.json")).expect("written");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let sources = &provenance["buildDefinition"]["resolvedDependencies"];
    for (name, pointer) in [
        ("base weights", "/base_weights"),
        ("training examples", "/train/digest"),
        ("held-out examples", "/validation/digest"),
    ] {
        let told = report.pointer(pointer).and_then(Value::as_str).expect("the report tells it");
        assert_eq!(format!("sha256:{}", digest(sources, name)), told);
    }
    let seed = provenance.pointer("/buildDefinition/externalParameters/training/seed");
    assert_eq!(seed, report.pointer("/config/seed"));
    let bom = fs::read_to_string(world.work().join("m-bom.json")).expect("written");
    let bom: Value = serde_json::from_str(&bom).expect("JSON");
    let model = &bom["metadata"]["component"];
    assert_eq!(model["hashes"][0]["content"], sha256("m/model.safetensors"));
    assert_eq!(model["modelCard"]["modelParameters"]["architectureFamily"], "distilbert");
    // Both are statements that can be signed.
    let there = format!("{}/demo/kit:v1", world.typed_registry());
    well(&world, "keygen --no-password --output ours");
    well(&world, &format!("pack project -t {there}"));
    well(&world, &format!("push {there}"));
    for (of_type, file) in [("slsaprovenance1", "m-provenance.json"), ("cyclonedx", "m-bom.json")] {
        well(&world, &format!("attest {there} --key ours.key --type {of_type} --predicate {file}"));
        let said = well(&world, &format!("verify {there} --key ours.pub --type {of_type}"));
        let said: Value = serde_json::from_str(&said).expect("a statement a line");
        assert_eq!(said, if of_type == "cyclonedx" { bom.clone() } else { provenance.clone() });
    }
}

#[test]
fn what_is_copied_is_signed_there_too() {
    let world = World::new();
    let there = format!("{}/demo/kit:v1", world.typed_registry());
    let prod = format!("{}/prod/kit:v1", world.typed_registry());
    well(&world, "keygen --no-password --output ours");
    well(&world, &format!("pack project -t {there}"));
    well(&world, &format!("push {there}"));
    refused(&world, &format!("copy {there} {prod} --require-key ours.pub"), "untrusted");
    well(&world, &format!("sign {there} --key ours.key"));
    let copied = well(&world, &format!("copy {there} {prod} --require-key ours.pub"));
    assert_eq!(well(&world, &format!("verify {prod} --key ours.pub")), copied);
    refused(&world, &format!("copy demo/kit:v1 {prod}"), "usage");
}

#[test]
fn files_are_signed_where_they_lie() {
    let world = World::new();
    well(&world, "keygen --no-password --output ours");
    well(&world, "sign ./project --key ours.key");
    let told = well(&world, "verify ./project --key ours.pub --format json");
    let told: Value = serde_json::from_str(&told).expect("JSON");
    assert!(told["files"].as_u64().is_some_and(|n| n > 3), "{told}");
    fs::write(world.work().join("project/README.md"), "another").expect("the folder is there");
    let failed = refused(&world, "verify ./project --key ours.pub", "damaged");
    assert!(failed["causes"].to_string().contains("README.md was changed"), "{failed}");
    refused(&world, "verify ./project", "usage");
    refused(&world, "verify ./project --key project/README.md", "invalid");
}
