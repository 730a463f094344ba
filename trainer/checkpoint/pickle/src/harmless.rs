//! The names that make values and nothing else, whatever they are called with.
//!
//! The list allows: what is not on it is told. A name stands here only if calling it runs no code
//! but its own and that of other names here.

/// Modules, and what of them is harmless.
const NAMES: [(&[&str], &[&str]); 10] = [
    (&["collections"], &["OrderedDict", "deque", "Counter"]),
    (
        &["builtins", "__builtin__"],
        &[
            "bool",
            "bytearray",
            "bytes",
            "complex",
            "dict",
            "float",
            "frozenset",
            "int",
            "list",
            "object",
            "range",
            "set",
            "slice",
            "str",
            "tuple",
            "xrange",
        ],
    ),
    // Makes bytes of a text, for the protocols that have none.
    (&["_codecs"], &["encode"]),
    // Makes an empty object of a class, which is a name of its own.
    (&["copyreg", "copy_reg"], &["_reconstructor"]),
    (&["datetime"], &["date", "datetime", "time", "timedelta", "timezone"]),
    (&["pathlib"], &["PosixPath", "PurePosixPath", "PureWindowsPath", "WindowsPath"]),
    (&["numpy.core.multiarray", "numpy._core.multiarray"], &["_reconstruct", "scalar"]),
    (&["numpy.core.numeric", "numpy._core.numeric"], &["_frombuffer"]),
    (&["numpy"], &["dtype", "ndarray"]),
    (
        &["torch._utils"],
        &["_rebuild_parameter", "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_qtensor"],
    ),
];

/// Of `torch`: the types of elements and storages, sizes and devices.
fn is_of_torch(name: &str) -> bool {
    const TYPES: [&str; 18] = [
        "Size",
        "device",
        "bfloat16",
        "bool",
        "complex128",
        "complex64",
        "float16",
        "float32",
        "float64",
        "int16",
        "int32",
        "int64",
        "int8",
        "uint8",
        "qint8",
        "quint8",
        "qint32",
        "half",
    ];
    const STORAGES: [&str; 11] = [
        "BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half", "Int", "Long", "Short",
        "Untyped",
    ];
    let storage = name.strip_suffix("Storage");
    TYPES.contains(&name) || storage.is_some_and(|of| STORAGES.contains(&of))
}

/// Whether a name, `module.name`, makes values and nothing else.
pub(crate) fn is_harmless(name: &str) -> bool {
    let Some((module, name)) = name.rsplit_once('.') else { return false };
    let is_listed =
        |(modules, names): &(&[&str], &[&str])| modules.contains(&module) && names.contains(&name);
    NAMES.iter().any(is_listed)
        || (matches!(module, "torch" | "torch.storage") && is_of_torch(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_calls_others_is_not_harmless() {
        for name in ["collections.OrderedDict", "torch.FloatStorage", "numpy.dtype", "builtins.set"]
        {
            assert!(is_harmless(name), "{name}");
        }
        for name in [
            "builtins.eval",
            "builtins.getattr",
            "posix.system",
            "torch.load",
            "numpy.load",
            "torch.StorageStorage",
            "collections.defaultdict",
            "functools.partial",
            "os.OrderedDict",
            "set",
        ] {
            assert!(!is_harmless(name), "{name}");
        }
    }
}
