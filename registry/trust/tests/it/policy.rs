//! What a policy lets through.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use kit_trust::{Clock, Error, Forms, Policy, Verdict, attest, model};
use registry::Reference;
use serde_json::json;

use crate::attacks::certificates;
use crate::world::{World, other};

/// Reads a policy whose keys are called `ours` and `theirs`, and its roots `NAME.pem` as those of
/// the tests of certificates.
fn policy_at(world: &World, text: &str, now: Clock) -> kit_trust::Result<Policy> {
    let keys = [("ours", world.key.public()), ("theirs", other().public())];
    let keys: BTreeMap<&str, String> =
        keys.map(|(name, key)| (name, key.to_pem().expect("written"))).into();
    let open = |name: &str| match keys.get(name) {
        Some(key) => Ok(key.clone()),
        None if name.ends_with(".pem") => Ok(certificates::file(name)),
        None => Err(std::io::Error::other("no such file").into()),
    };
    Policy::parse(text, open, now)
}

/// 2026-06-01, at which the certificates of the tests are valid that are not said to have ended.
fn in_2026() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(certificates::NOW)
}

fn policy(world: &World, text: &str) -> kit_trust::Result<Policy> {
    policy_at(world, text, in_2026)
}

async fn asked(world: &World, text: &str) -> kit_trust::Result<Verdict> {
    let policy = policy(world, text).expect("a policy");
    policy.check(&world.client, &world.reference, world.subject.digest()).await
}

#[tokio::test]
async fn off_asks_nobody_warn_tells_and_enforce_refuses() {
    let world = World::new().await;
    let asked = async |mode: &str| asked(&world, &format!("mode: {mode}\nkeys: [ours]")).await;
    assert!(matches!(asked("off").await, Ok(Verdict::Unasked)));
    let warned = asked("warn").await;
    assert!(matches!(warned, Ok(Verdict::Warned(Error::Unsigned { .. }))), "{warned:?}");
    assert!(matches!(asked("enforce").await, Err(Error::Unsigned { .. })));
    world.sign(&world.subject, &world.key, Forms::default()).await;
    for mode in ["warn", "enforce"] {
        let signed = asked(mode).await;
        let Ok(Verdict::Signed(Some(verified))) = signed else { panic!("{signed:?}") };
        assert_eq!(verified.digest, *world.subject.digest());
    }
}

#[tokio::test]
async fn any_of_the_keys_will_do_and_the_first_rule_that_fits_holds() {
    let world = World::new().await;
    world.sign(&world.subject, &world.key, Forms::default()).await;
    let host = world.reference.registry();
    let rules = |rules: &str| format!("mode: enforce\nkeys: [theirs]\nrules:\n{rules}");
    let both = asked(&world, "mode: enforce\nkeys: [theirs, ours]").await;
    assert!(matches!(both, Ok(Verdict::Signed(_))), "{both:?}");
    let fits = format!("- {{match: '{host}/demo/*', mode: enforce, keys: [ours]}}\n");
    let later = format!("- {{match: '{host}/**', mode: off}}\n");
    let fitting = asked(&world, &rules(&(fits.clone() + &later))).await;
    assert!(matches!(fitting, Ok(Verdict::Signed(_))), "{fitting:?}");
    let first = asked(&world, &rules(&(later + &fits))).await;
    assert!(matches!(first, Ok(Verdict::Unasked)), "{first:?}");
    // One star is one part of a path, and a rule for another repository is none for this one.
    for other in [format!("{host}/*"), format!("{host}/demo"), "demo/kit".to_owned()] {
        let refused = asked(&world, &rules(&format!("- {{match: '{other}', mode: off}}"))).await;
        assert!(matches!(refused, Err(Error::Unsigned { .. })), "{other}: {refused:?}");
    }
}

#[tokio::test]
async fn who_signs_has_to_say_what_is_asked_for() {
    let world = World::new().await;
    let text = "mode: enforce\nkeys: [ours]\npredicates: [slsaprovenance1]";
    world.sign(&world.subject, &world.key, Forms::default()).await;
    let refused = asked(&world, text).await;
    assert!(matches!(refused, Err(Error::Unattested { .. })), "{refused:?}");
    let of_type = "https://slsa.dev/provenance/v1";
    for (key, is_heard) in [(&other(), false), (&world.key, true)] {
        attest(
            &world.client,
            &world.reference,
            &world.subject,
            key,
            of_type,
            json!({}),
            &world.layout,
        )
        .await
        .expect("said");
        assert_eq!(asked(&world, text).await.is_ok(), is_heard);
    }
}

#[tokio::test]
async fn whoever_a_root_of_the_policy_vouches_for_may_sign_and_nobody_else() {
    let world = World::new().await;
    let by_roots = async |text: &str| asked(&world, &format!("mode: enforce\n{text}")).await;
    world.sign(&world.subject, &certificates::key("signer", "under-other"), Forms::default()).await;
    let refused = by_roots("roots: [root.pem]").await.expect_err("another root vouches for it");
    assert!(matches!(refused, Error::Unsigned { .. }), "{refused:?}");
    assert!(refused.to_string().contains("a certificate under the root SHA256:"), "{refused}");
    world.sign(&world.subject, &certificates::key("signer", "expired"), Forms::default()).await;
    let refused = by_roots("roots: [root.pem]").await.expect_err("it has ended");
    assert!(refused.to_string().contains("valid no more"), "{refused}");
    let signer = certificates::key("signer", "chain");
    world.sign(&world.subject, &signer, Forms::default()).await;
    let host = world.reference.registry();
    for text in [
        "roots: [root.pem]".to_owned(),
        "keys: [theirs]\nroots: [root.pem]".to_owned(),
        "roots: [rsa-root.pem, root.pem]".to_owned(),
        format!(
            "keys: [theirs]\nrules: [{{match: '{host}/demo/*', mode: enforce, roots: [root.pem]}}]"
        ),
    ] {
        let signed = by_roots(&text).await;
        let Ok(Verdict::Signed(Some(verified))) = signed else { panic!("{text}: {signed:?}") };
        let certificate = verified.certificate.expect("it counts by one");
        assert!(certificate.starts_with("\"demo team\""), "{text}: {certificate}");
    }
    let text = "roots: [root.pem]\npredicates: [slsaprovenance1]";
    let of_type = "https://slsa.dev/provenance/v1";
    for (key, is_heard) in [(&world.key, false), (&signer, true)] {
        let (client, reference, subject) = (&world.client, &world.reference, &world.subject);
        let said = attest(client, reference, subject, key, of_type, json!({}), &world.layout).await;
        said.expect("said");
        let checked = by_roots(text).await;
        assert_eq!(checked.is_ok(), is_heard, "{checked:?}");
    }
}

/// A server that follows a tag has read its policy long ago.
#[tokio::test]
async fn a_certificate_that_ends_while_a_policy_holds_counts_no_more() {
    static NOW: AtomicU64 = AtomicU64::new(certificates::NOW);
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.load(Ordering::Relaxed))
    }
    let world = World::new().await;
    let signer = certificates::key("signer", "under-short");
    world.sign(&world.subject, &signer, Forms::default()).await;
    let text = "mode: enforce\nkeys: [theirs]\nroots: [short-root.pem]";
    let policy = policy_at(&world, text, now).expect("a policy");
    let dir = tempfile::tempdir().expect("a place for temporary files");
    let signature = dir.path().join(model::SIGNATURE);
    let bundle = model::sign(dir.path(), "m", &signature, &signer).expect("signed");
    std::fs::write(&signature, bundle).expect("written");
    let checked =
        async || policy.check(&world.client, &world.reference, world.subject.digest()).await;
    assert!(matches!(checked().await, Ok(Verdict::Signed(_))));
    assert!(matches!(policy.check_folder(dir.path()), Ok(Verdict::Signed(None))));
    // 2040: the root ended in 2030, and the certificate under it has not.
    NOW.store(2_209_000_000, Ordering::Relaxed);
    let refused = checked().await.expect_err("its root has ended");
    assert!(matches!(refused, Error::Unsigned { .. }), "{refused:?}");
    let refused = policy.check_folder(dir.path()).expect_err("its root has ended");
    assert!(refused.to_string().contains("none of them is valid at this time"), "{refused}");
}

#[tokio::test]
async fn a_name_without_a_registry_cannot_be_signed() {
    let world = World::new().await;
    let local: Reference = "demo/kit:v1".parse().expect("a name");
    let asked = |text: &str| policy(&world, text).expect("a policy").check_local(&local);
    assert!(matches!(asked("mode: enforce\nkeys: [ours]"), Err(Error::Local { .. })));
    assert!(matches!(asked("mode: enforce\nkeys: [ours]\nlocal: off"), Ok(Verdict::Unasked)));
    let warned = asked("mode: off\nlocal: warn");
    assert!(matches!(warned, Ok(Verdict::Warned(Error::Local { .. }))), "{warned:?}");
    let asks = |text: &str| policy(&world, text).expect("a policy").asks_of(&local);
    assert!(asks("mode: off\nlocal: warn"));
    assert!(!asks("mode: enforce\nkeys: [ours]\nlocal: off"));
}

#[tokio::test]
async fn a_registry_that_cannot_be_asked_is_no_answer_under_any_mode() {
    let world = World::new().await;
    let policy = policy(&world, "mode: warn\nkeys: [ours]").expect("a policy");
    // Nobody listens at the first port.
    let nobody: Reference = "127.0.0.1:1/demo/kit:v1".parse().expect("a name");
    let checked = policy.check(&world.client, &nobody, world.subject.digest()).await;
    assert!(matches!(checked, Err(Error::Registry(_))), "{checked:?}");
}

#[tokio::test]
async fn a_folder_is_as_one_of_the_keys_has_signed_it() {
    let world = World::new().await;
    let dir = tempfile::tempdir().expect("a place for temporary files");
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("config.json"), "{}").expect("written");
    let enforced = policy(&world, "mode: enforce\nkeys: [theirs, ours]").expect("a policy");
    let refused = |expected: &str| {
        let error = enforced.check_folder(dir.path()).expect_err("not as signed");
        assert!(matches!(error, Error::UnsignedFolder { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    refused("no model.sig");
    let signature = at(model::SIGNATURE);
    let bundle = model::sign(dir.path(), "m", &signature, &world.key).expect("signed");
    std::fs::write(&signature, bundle).expect("written");
    let signed = enforced.check_folder(dir.path());
    assert!(matches!(signed, Ok(Verdict::Signed(None))), "{signed:?}");
    std::fs::write(at("more"), "").expect("written");
    refused("more was not signed");
}

#[tokio::test]
async fn a_policy_is_understood_as_a_whole() {
    let world = World::new().await;
    for (text, expected) in [
        ("", "missing field `mode`"),
        ("mode: strict", "unknown variant `strict`"),
        ("mode: enforce", "the top names no keys"),
        ("mode: warn", "the top names no keys"),
        ("mode: off\nkyes: [ours]", "unknown field `kyes`"),
        ("mode: off\nrules: [{match: x, mode: warn}]", "the rule for x names no keys"),
        ("mode: off\nrules: [{match: '[', mode: off}]", "error parsing glob"),
        ("mode: enforce\nkeys: [ours]\npredicates: [slsa]", "slsa is no type"),
        ("mode: enforce\nkeys: [missing]", "no such file"),
        ("mode: enforce\nroots: [missing]", "no such file"),
        ("mode: enforce\nkeys: [root.pem]", "this is no public key"),
        ("mode: enforce\nroots: [ours]", "the roots ours: this is no chain of certificates"),
        ("mode: enforce\nkeys: [ours]\nroots: [expired.pem]", "none of them is valid at this time"),
    ] {
        let error = policy(&world, text).expect_err("it is not understood").to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
    assert!(policy(&world, "mode: off").expect("a policy").takes_all());
    assert!(!policy(&world, "mode: off\nlocal: enforce").expect("a policy").takes_all());
}
