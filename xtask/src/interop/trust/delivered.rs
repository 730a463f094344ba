//! A model in each way in which it is delivered, and the objects that `gitops render` writes for it:
//! what the judges of admission are asked about.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::registries::{Registry, Shop, digest_of};
use crate::release::{Release, model, release};

/// What lies in a registry, and the trees that are rendered of it, one for each app.
pub(super) struct Delivered<'a> {
    shop: &'a Shop,
    /// A ModelKit with its own image, by their tags and digests.
    pub(super) release: Release,
    /// The image of the server alone.
    pub(super) server: String,
    /// The same by its digest.
    pub(super) pinned_server: String,
}

impl<'a> Delivered<'a> {
    /// Pushes them; `shop.kit` goes into the images.
    pub(super) fn push(shop: &'a Shop, registry: &Registry) -> anyhow::Result<Self> {
        let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let folder = shop.dir.join("delivered");
        model(&workspace, &folder, "one")?;
        let release = release(shop, &registry.address, &folder, "one", &shop.kit)?;
        shop.kit("home", &format!("image mount-face {} --push", release.kit))?;
        let server = format!("{}/demo/server:one", registry.address);
        let runtime = shop.kit.display();
        shop.kit("home", &format!("image server -t {server} --runtime {runtime}"))?;
        let digest = digest_of(&shop.kit("home", &format!("push {server}"))?)?;
        let pinned_server = server.replace(":one", &format!("@{digest}"));
        Ok(Self { shop, release, server, pinned_server })
    }

    /// The image of the ModelKit by its digest.
    pub(super) fn pinned_image(&self) -> String {
        let Release { image, digest, .. } = &self.release;
        image.replace(":one", &format!("@{digest}"))
    }

    /// Renders an app of an image.
    pub(super) fn render(&self, image: &str, app: &str, flags: &str) -> anyhow::Result<()> {
        let line = format!("gitops render {image} --app {app} --dir tree-{app} {flags}");
        self.shop.kit("home", &line).map(drop)
    }

    /// A file with the objects that a folder of an app's tree stands for.
    pub(super) fn build(&self, app: &str, folder: &str) -> anyhow::Result<PathBuf> {
        let line = format!("gitops build {folder} --dir tree-{app}");
        let objects = self.shop.kit("home", &line)?;
        let name = format!("{}.yaml", folder.replace('/', "-"));
        let file = self.shop.dir.join(name);
        fs_err::write(&file, objects).with_context(|| folder.to_owned())?;
        Ok(file)
    }
}
