//! Lists of referrers.

use kit_registry::{Descriptor, MediaType, content};
use serde_json::{Value, json};

use super::{Api, image, index};

async fn list(api: &Api, subject: &Descriptor, query: &str) -> (Vec<Value>, bool) {
    let answer = api.get(&format!("/v2/a/referrers/{}{query}", subject.digest())).await.expect(200);
    assert_eq!(answer.header("content-type"), MediaType::ImageIndex.as_ref());
    let json = answer.json();
    assert_eq!(
        (&json["schemaVersion"], json["mediaType"].as_str()),
        (&json!(2), Some(MediaType::ImageIndex.as_ref()))
    );
    let filtered = answer.headers.get("oci-filters-applied").is_some_and(|it| it == "artifactType");
    (json["manifests"].as_array().unwrap().clone(), filtered)
}

#[tokio::test]
async fn referrers_are_listed_with_their_types_and_annotations() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let subject = Descriptor::new(MediaType::ImageManifest, 7, content::digest(b"not pushed yet"));
    assert_eq!(list(&api, &subject, "").await, (vec![], false));

    let mut signature = image(&config, &[]);
    signature["artifactType"] = json!("application/vnd.signature");
    signature["subject"] = json!(subject);
    signature["annotations"] = json!({"by": "someone"});
    let signature_descriptor = api.push_manifest("a", "sig", &signature).await;
    let mut plain = image(&config, &[]);
    plain["subject"] = json!(subject);
    let plain_descriptor = api.push_manifest("a", "plain", &plain).await;
    let mut listing = index(&[]);
    listing["artifactType"] = json!("application/vnd.listing");
    listing["subject"] = json!(subject);
    api.push_manifest("a", "listing", &listing).await;

    let (all, filtered) = list(&api, &subject, "").await;
    assert_eq!((all.len(), filtered), (3, false));
    let of = |descriptor: &Descriptor| {
        all.iter().find(|it| it["digest"] == descriptor.digest().as_ref()).unwrap().clone()
    };
    let found = of(&signature_descriptor);
    assert_eq!(found["artifactType"], "application/vnd.signature");
    assert_eq!(found["annotations"], json!({"by": "someone"}));
    assert_eq!(found["size"], signature_descriptor.size());
    assert_eq!(
        of(&plain_descriptor)["artifactType"],
        "application/octet-stream",
        "the configuration's type"
    );

    let (some, filtered) = list(&api, &subject, "?artifactType=application/vnd.signature").await;
    assert_eq!((some, filtered), (vec![found], true));
    assert_eq!(list(&api, &subject, "?artifactType=none").await, (vec![], true));

    api.delete(&format!("/v2/a/manifests/{}", signature_descriptor.digest())).await.expect(202);
    assert_eq!(list(&api, &subject, "").await.0.len(), 2);
    api.delete("/v2/a/manifests/plain").await.expect(202);
    assert_eq!(list(&api, &subject, "").await.0.len(), 2, "a deleted tag leaves its manifest");
}

#[tokio::test]
async fn referrers_belong_to_their_repository() {
    let api = Api::new();
    let config = api.push_blob("b", b"{}").await;
    let subject = Descriptor::new(MediaType::ImageManifest, 7, content::digest(b"subject"));
    let mut plain = image(&config, &[]);
    plain["subject"] = json!(subject);
    api.push_manifest("b", "v1", &plain).await;
    assert_eq!(list(&api, &subject, "").await.0, Vec::<Value>::new());
    api.get("/v2/a/referrers/sha256:00").await.expect_error(400, "DIGEST_INVALID");
    api.get("/v2/a/referrers/v1").await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn many_referrers_come_in_pages() {
    let api = Api::new();
    let config = api.push_blob("a", b"{}").await;
    let subject = Descriptor::new(MediaType::ImageManifest, 7, content::digest(b"subject"));
    let dir = api
        .layout
        .root()
        .join(format!("repositories/a/_referrers/sha256/{}", subject.digest().digest()));
    let mut plain = image(&config, &[]);
    plain["subject"] = json!(subject);
    api.push_manifest("a", "v1", &plain).await;
    for n in 0..1500 {
        let mut referrer = content::descriptor(MediaType::ImageManifest, n.to_string().as_bytes());
        referrer.set_artifact_type(Some("application/x y".into()));
        std::fs::write(
            dir.join(format!("sha256-{}", referrer.digest().digest())),
            content::encode(&referrer),
        )
        .unwrap();
    }
    let mut path = format!("/v2/a/referrers/{}?artifactType=application/x%20y", subject.digest());
    let (mut n_found, mut last, mut n_pages) = (0, String::new(), 0);
    loop {
        let page = api.get(&path).await.expect(200);
        assert_eq!(page.header("oci-filters-applied"), "artifactType");
        for found in page.json()["manifests"].as_array().unwrap() {
            let digest = found["digest"].as_str().unwrap().to_owned();
            assert!(digest > last, "sorted, and none twice");
            (n_found, last) = (n_found + 1, digest);
        }
        n_pages += 1;
        let Some(link) = page.headers.get("link") else { break };
        let link = link.to_str().unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        path = link.strip_prefix('<').unwrap().to_owned();
    }
    assert_eq!((n_found, n_pages), (1500, 5));
}
