//! Renders a repository that Flux could watch, checks it, and builds what Flux would apply.

use kit_gitops::{Bootstrap, Release, Tree, bootstrap, check, kustomize, render};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What is to run: an image, named by digest.
    let image = "ghcr.io/acme/sentiment:1.0.0@sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
    let mut release = Release::new("distilbert".parse()?, image.parse()?);
    release.weight_bytes = 268_000_000; // the memory request follows

    // The repository: what Flux watches, and the application.
    let mut tree: Tree =
        bootstrap(&Bootstrap::new("https://git.example.org/acme/ml-infra.git".parse()?));
    tree.merge(render(&release));
    assert!(check(&tree, Some("main"))?.is_empty(), "nothing would go wrong");

    // What Flux makes of it.
    let objects = kustomize::build(&tree, "apps/distilbert")?;
    let kinds: Vec<&str> = objects.iter().map(|object| object.kind()).collect();
    assert_eq!(kinds, ["Namespace", "ServiceAccount", "Service", "Deployment"]);
    Ok(())
}
