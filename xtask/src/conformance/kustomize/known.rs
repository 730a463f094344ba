//! Where ours differs from kustomize on purpose, with the reasons. Everything else that differs is a
//! fault.

use super::sides::Answer;

/// A difference on purpose.
pub(super) struct Known {
    /// The case of the corpus that shows it; the name is `feature/case`. Empty for what generated
    /// trees meet, too.
    case: &'static str,
    /// What stands in our error; empty where ours builds.
    ours: &'static str,
    /// What stands in theirs; empty where they build.
    theirs: &'static str,
    /// What stands in the first difference between what is built; empty where one side builds nothing.
    difference: &'static str,
    /// Why.
    #[expect(dead_code, reason = "for whoever reads the table")]
    reason: &'static str,
}

const TABLE: [Known; 5] = [
    Known {
        case: "",
        ours: "the directive $",
        theirs: "",
        difference: "",
        reason: "kustomize does not know $retainKeys, $setElementOrder and \
                 $deleteFromPrimitiveList and copies them into the object, which no server takes",
    },
    Known {
        case: "",
        ours: "",
        theirs: "panic: ",
        difference: "",
        reason: "no input makes a build break down",
    },
    Known {
        case: "",
        ours: "",
        theirs: "",
        difference: "/$patch: ",
        reason: "where a list is not there that a patch replaces, kustomize leaves the directive in \
                 the object, which no server takes",
    },
    Known {
        case: "file/no-kustomization",
        ours: "",
        theirs: "unable to find one of",
        difference: "",
        reason: "a folder without kustomization is built as Flux builds it, from its YAML files",
    },
    Known {
        case: "file/remote",
        ours: "is remote",
        theirs: "",
        difference: "",
        reason: "nothing is fetched",
    },
];

/// The entry that tells why these answers may differ.
pub(super) fn find(
    name: &str,
    theirs: &Answer,
    ours: &Answer,
    difference: &str,
) -> Option<&'static Known> {
    let fits = |part: &str, error: &str| match part {
        "" => error.is_empty(),
        part => error.contains(part),
    };
    TABLE.iter().find(|known| {
        (known.case.is_empty() || known.case == name)
            && fits(known.ours, &ours.error)
            && fits(known.theirs, &theirs.error)
            && difference.contains(known.difference)
    })
}
