//! What keeps several pods apart.

use crate::yaml::scalar;
use crate::{Release, Spread};

/// Where there are several pods, they go to different nodes if there are some, and to different zones
/// where that is asked for.
pub(super) fn apart(release: &Release) -> String {
    let name = scalar(release.name.as_str());
    let zones = match release.spread {
        Spread::Nodes => String::new(),
        Spread::Zones => format!(
            "      # A zone that goes takes its share of the pods with it, not all. The pods of each rollout are
      # counted by themselves.
      topologySpreadConstraints:
        - topologyKey: topology.kubernetes.io/zone
          maxSkew: 1
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: {name}
          matchLabelKeys:
            - pod-template-hash
"
        ),
    };
    format!(
        "      affinity:
        podAntiAffinity:
          # A node that goes takes one of the pods with it, not all.
          preferredDuringSchedulingIgnoredDuringExecution:
            - weight: 100
              podAffinityTerm:
                topologyKey: kubernetes.io/hostname
                labelSelector:
                  matchLabels:
                    app.kubernetes.io/name: {name}
{zones}"
    )
}
