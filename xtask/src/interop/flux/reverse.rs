//! The real `flux` and `kubectl`, asking our cluster.

use std::process::Command;

use anyhow::ensure;
use fs_err as fs;

use super::world::World;
use super::{PEER, cases};
use crate::kube::Programs;
use crate::peers::run_quietly;
use crate::report::Report;

pub(super) fn run(world: &World, programs: &Programs, report: &mut Report) {
    report.claim(
        PEER,
        "`flux get`, `reconcile` and `events`, and `kubectl annotate`, with our cluster",
        || asked(world, programs),
    );
}

fn asked(world: &World, programs: &Programs) -> anyhow::Result<()> {
    let file = world.shop.dir.join("ours.kubeconfig");
    let server = world.ours.url();
    fs::write(
        &file,
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: o, cluster: {{server: '{server}'}}}}]\n\
             users: [{{name: o, user: {{}}}}]\ncontexts: [{{name: o, context: {{cluster: o, user: o}}}}]\n\
             current-context: o\n"
        ),
    )?;
    let (flux, kubectl) = (programs.flux()?, programs.kubernetes("kubectl")?);
    let ask = |program: &std::path::Path, line: &str| {
        let mut command = Command::new(program);
        command.args(line.split(' ')).env("KUBECONFIG", &file).env("HOME", &world.shop.dir);
        run_quietly(&mut command)
    };
    world.repository.write("clusters/dev/asked.yaml", &cases::map("asked", "default", ""))?;
    let revision = world.push()?;
    let shown = ask(&flux, "get kustomizations -n flux-system")?;
    ensure!(shown.contains(&revision[..15]), "{shown}");
    for line in ["reconcile source git flux-system", "reconcile kustomization flux-system"] {
        ask(&flux, &format!("{line} --timeout=30s"))?;
    }
    let events = ask(&flux, "events -n flux-system")?;
    ensure!(events.contains("ConfigMap/default/asked created"), "{events}");
    ask(&kubectl, "annotate configmap asked -n default seen=yes")?;
    let shown =
        ask(&kubectl, "get configmap asked -n default -o jsonpath={.metadata.annotations}")?;
    ensure!(shown.contains("\"seen\":\"yes\""), "{shown}");
    Ok(())
}
