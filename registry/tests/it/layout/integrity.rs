//! Nothing but what was promised gets in, and what is damaged is named.

use std::io::Write;

use kit_registry::content::{self, Hasher, MAX_DOCUMENT_SIZE};
use kit_registry::{ContentError, Descriptor, Digest, Error, Layout, LayoutError, MediaType};

use super::{files, layer, new_layout, put_image, put_index};

fn write(layout: &Layout, content: &[u8], expected: &Descriptor) -> Result<(Digest, u64), Error> {
    let mut writer = layout.writer().unwrap();
    writer.write_all(content).unwrap();
    writer.commit(Some(expected))
}

#[test]
fn content_other_than_promised_is_refused_and_leaves_nothing() {
    let (dir, layout) = new_layout();
    let expected = layer("promised");
    let before = files(dir.path());
    for wrong in ["short", "promised and more", "Promised"] {
        let error = write(&layout, wrong.as_bytes(), &expected).unwrap_err();
        match wrong.len() == "promised".len() {
            true => assert!(
                matches!(error, Error::Content(ContentError::WrongDigest { .. })),
                "{error}"
            ),
            false => {
                assert!(matches!(error, Error::Content(ContentError::WrongSize { .. })), "{error}")
            }
        }
        assert!(!layout.contains(expected.digest()));
        assert_eq!(files(dir.path()), before);
    }
    write(&layout, b"promised", &expected).unwrap();
    assert_eq!(layout.read(&expected).unwrap(), b"promised");
}

#[test]
fn a_dropped_writer_leaves_nothing() {
    let (dir, layout) = new_layout();
    let before = files(dir.path());
    let mut writer = layout.writer().unwrap();
    writer.write_all(b"half").unwrap();
    assert_ne!(files(dir.path()), before);
    drop(writer);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn only_digests_of_known_algorithms_become_paths_cve_2024_37032() {
    let (dir, layout) = new_layout();
    std::fs::write(dir.path().join("secret"), "x").unwrap();
    for text in
        ["foo:bar", "sha256.x:secret", &format!("sha384:{}", "a".repeat(96)), "multihash+base58:Qm"]
    {
        let digest: Digest = text.parse().unwrap();
        assert!(
            matches!(
                layout.blob_path(&digest),
                Err(Error::Content(ContentError::InvalidDigest { .. }))
            ),
            "{text}"
        );
        assert!(!layout.contains(&digest));
        let descriptor = Descriptor::new("text/plain".into(), 1, digest);
        assert!(
            matches!(
                layout.open(&descriptor),
                Err(Error::Content(ContentError::InvalidDigest { .. }))
            ),
            "{text}"
        );
        assert!(
            matches!(
                write(&layout, b"x", &descriptor),
                Err(Error::Content(ContentError::InvalidDigest { .. }))
            ),
            "{text}"
        );
    }
    for text in ["sha256:../../secret", "sha256:..%2f", "../x:00"] {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}

#[test]
fn a_manifest_that_names_missing_content_is_refused_with_its_name() {
    let (_dir, layout) = new_layout();
    let config = layout.put(MediaType::EmptyJSON, b"{}").unwrap();
    let text = |size: u64| {
        let layer = Descriptor::new("text/plain".into(), size, content::digest(b"layer"));
        let [config, layer] =
            [&config, &layer].map(|it| String::from_utf8(content::encode(it)).unwrap());
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#)
    };
    let error = layout.put_manifest(MediaType::ImageManifest, text(5).as_bytes()).unwrap_err();
    assert!(
        matches!(&error, Error::Layout(LayoutError::MissingBlob { digest, .. }) if *digest == content::digest(b"layer")),
        "{error}"
    );

    layout.put("text/plain", b"layer").unwrap();
    let error = layout.put_manifest(MediaType::ImageManifest, text(6).as_bytes()).unwrap_err();
    assert!(
        matches!(error, Error::Content(ContentError::WrongSize { expected: 6, found: 5, .. })),
        "{error}"
    );
    layout.put_manifest(MediaType::ImageManifest, text(5).as_bytes()).unwrap();
}

#[test]
fn documents_keep_their_bytes() {
    let (_dir, layout) = new_layout();
    let config =
        String::from_utf8(content::encode(&layout.put(MediaType::EmptyJSON, b"{}").unwrap()))
            .unwrap();
    let text = format!(
        "{{ \"schemaVersion\": 2,\n \"zzz\": 1.0, \"config\": {config}, \"layers\": [],\n \"aaa\": null }}\n"
    );
    let descriptor = layout.put_manifest(MediaType::ImageManifest, text.as_bytes()).unwrap();
    assert_eq!(layout.read(&descriptor).unwrap(), text.as_bytes());
    assert_eq!(*descriptor.digest(), content::digest(text.as_bytes()));
}

#[test]
fn the_size_of_a_descriptor_is_checked_before_anything_is_read() {
    let (_dir, layout) = new_layout();
    layout.put("text/plain", b"five!").unwrap();
    let wrong = |size| Descriptor::new("text/plain".into(), size, content::digest(b"five!"));
    assert!(matches!(layout.read(&wrong(4)), Err(Error::Content(ContentError::WrongSize { .. }))));
    assert!(matches!(layout.open(&wrong(6)), Err(Error::Content(ContentError::WrongSize { .. }))));
    assert!(matches!(
        layout.read(&wrong(MAX_DOCUMENT_SIZE + 1)),
        Err(Error::Content(ContentError::TooLarge { .. }))
    ));
    assert!(matches!(
        layout.read(&wrong(u64::MAX)),
        Err(Error::Content(ContentError::TooLarge { .. }))
    ));
}

#[test]
fn verify_names_every_bad_blob_and_its_path() {
    let (_dir, layout) = new_layout();
    let image = put_image(&layout, &["good", "flipped", "lost", "cut"]);
    let index = put_index(&layout, std::slice::from_ref(&image));
    let verified = layout.verify(&index).unwrap();
    assert_eq!((verified.checked.len(), verified.problems.len()), (7, 0));

    let path = |text: &str| layout.blob_path(layer(text).digest()).unwrap();
    std::fs::write(path("flipped"), "flapped").unwrap();
    std::fs::remove_file(path("lost")).unwrap();
    std::fs::write(path("cut"), "c").unwrap();
    let verified = layout.verify(&index).unwrap();
    assert_eq!(verified.checked.len(), 4, "index, manifest, configuration, one layer");
    let problems: Vec<_> = verified.problems.iter().map(ToString::to_string).collect();
    for (problem, text) in problems.iter().zip(["flipped", "lost", "cut"]) {
        assert!(problem.contains(&path(text).display().to_string()), "{problem}");
        assert!(problem.contains(layer(text).digest().digest()), "{problem}");
    }
    assert_eq!(problems.len(), 3);
}

#[test]
fn content_can_be_named_by_sha512() {
    let (_dir, layout) = new_layout();
    let mut hasher = Hasher::new(&content::DigestAlgorithm::Sha512).unwrap();
    hasher.update(b"long");
    let expected = Descriptor::new("text/plain".into(), 4, hasher.finish());
    assert!(write(&layout, b"lang", &expected).is_err());
    let (digest, size) = write(&layout, b"long", &expected).unwrap();
    assert_eq!((&digest, size), (expected.digest(), 4));
    assert!(layout.blob_path(&digest).unwrap().parent().unwrap().ends_with("blobs/sha512"));
    assert!(layout.verify(&expected).unwrap().problems.is_empty());
}

#[cfg(unix)]
#[test]
fn files_are_as_readable_as_the_umask_allows() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, layout) = new_layout();
    let blob = layout.put("text/plain", b"x").unwrap();
    std::fs::write(dir.path().join("ordinary"), "x").unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    let ordinary = mode(&dir.path().join("ordinary"));
    assert_eq!(mode(&layout.blob_path(blob.digest()).unwrap()), ordinary);
    assert_eq!(mode(&dir.path().join("index.json")), ordinary);
}
