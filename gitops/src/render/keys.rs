//! Public keys where Flux and the server look for them, and what the server is told to check.

use super::head;
use super::policies::block;
use crate::render::deployment::{CONTAINER, pod_patch};
use crate::yaml::scalar;
use crate::{Delivery, MODELKIT_DIGEST_ANNOTATION, Release};

/// Where the server finds the keys.
const FOLDER: &str = "/etc/kit-rs/keys";
/// What a key is called in there: Flux takes every entry that ends like this.
const END: &str = "pub";

/// The name of the Secret with the keys by which Flux checks the source.
pub(super) fn secret_name(release: &Release) -> String {
    format!("{}-keys", release.app)
}

/// The keys by which Flux checks the artifact that the application comes from.
pub(super) fn secret(release: &Release) -> String {
    let (name, entries) = (secret_name(release), entries(release));
    format!(
        "# Public keys; Flux wants them in a Secret.
apiVersion: v1
kind: Secret
metadata:
  name: {name}
  namespace: flux-system
type: Opaque
stringData:
{entries}"
    )
}

/// The keys by which the server checks the files of its model.
pub(super) fn config_map(release: &Release) -> String {
    let (head, entries) = (head(release), entries(release));
    format!(
        "apiVersion: v1
kind: ConfigMap
{head}data:
{entries}"
    )
}

/// The patch of the Deployment by which the server checks the model that it finds.
pub(super) fn patch(release: &Release) -> String {
    let name = scalar(release.name.as_str());
    let digest = match expects_digest(release) {
        true => format!(
            "            # By the annotation, which `gitops bump` and `promote` change along with the image.
            - name: KIT_RS_EXPECT_DIGEST
              valueFrom:
                fieldRef:
                  fieldPath: metadata.annotations['{MODELKIT_DIGEST_ANNOTATION}']
"
        ),
        false => String::new(),
    };
    let (keys, mounts) = match release.trust.keys.len() {
        0 => (String::new(), String::new()),
        n => {
            let files: Vec<String> = (1..=n).map(|n| format!("{FOLDER}/{n}.{END}")).collect();
            let files = files.join(",");
            (
                format!(
                    "            # The files of the model have to be signed by one of these, in their `model.sig`.
            - name: KIT_RS_REQUIRE_KEY
              value: {files}
          volumeMounts:
            - name: keys
              mountPath: {FOLDER}
              readOnly: true
"
                ),
                format!(
                    "      volumes:
        - name: keys
          configMap:
            name: {name}
"
                ),
            )
        }
    };
    let spec = format!(
        "      containers:
        - name: {CONTAINER}
          env:
{digest}{keys}{mounts}"
    );
    pod_patch(release, &spec)
}

/// Whether the patch says which ModelKit it has to be: every other delivery says so by itself, but
/// the one that follows a tag, of which nobody knows it.
pub(super) fn expects_digest(release: &Release) -> bool {
    release.delivery == Delivery::Baked
}

fn entries(release: &Release) -> String {
    let entry = |(n, key): (usize, &String)| format!("  {}.{END}: |\n{}", n + 1, block(key, 4));
    release.trust.keys.iter().enumerate().map(entry).collect()
}
