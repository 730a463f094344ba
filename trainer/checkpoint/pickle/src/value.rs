//! What a pickle makes: values that are looked at, and nothing that does anything.

use std::rc::Rc;

/// What a pickle has made, and all that it is made of.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) value: Value,
    pub(crate) heap: Heap,
}

/// The items of all containers. They lie side by side and not in each other, so that no depth
/// overflows the stack; a pickle fills containers after it has put them elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Heap(Vec<Vec<Value>>);

/// A container's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Items(usize);

impl Heap {
    pub(crate) fn put(&mut self, items: Vec<Value>) -> Items {
        self.0.push(items);
        Items(self.0.len() - 1)
    }

    pub(crate) fn of(&self, items: Items) -> &[Value] {
        &self.0[items.0]
    }

    pub(crate) fn extend(&mut self, items: Items, more: Vec<Value>) {
        self.0[items.0].extend(more);
    }
}

/// A value.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    None,
    Int(i64),
    /// What nobody here looks at: fractions, bytes, yes and no.
    Other,
    Text(Rc<str>),
    Tuple(Items),
    List(Items),
    /// Keys, each with its value behind it.
    Dict(Items),
    Global(Global),
    Storage(Rc<Storage>),
    Tensor(Rc<Tensor>),
}

/// The names that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Element),
}

/// What storages are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

/// Elements one after the other, somewhere in the file.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) element: Element,
    pub(crate) key: Rc<str>,
}

/// Some of a storage's elements.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) storage: Rc<Storage>,
    /// In elements.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

impl Global {
    /// The one of a name, or that it is not to be executed.
    pub(crate) fn named(module: &str, name: &str) -> Result<Self, String> {
        const STORAGES: [(&str, Element); 10] = [
            ("DoubleStorage", Element::F64),
            ("FloatStorage", Element::F32),
            ("HalfStorage", Element::F16),
            ("BFloat16Storage", Element::Bf16),
            ("LongStorage", Element::I64),
            ("IntStorage", Element::I32),
            ("ShortStorage", Element::I16),
            ("CharStorage", Element::I8),
            ("ByteStorage", Element::U8),
            ("BoolStorage", Element::Bool),
        ];
        let element =
            STORAGES.into_iter().find_map(|(known, element)| (known == name).then_some(element));
        match (module, name, element) {
            ("collections", "OrderedDict", _) => Ok(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2", _) => Ok(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter", _) => Ok(Self::RebuildParameter),
            ("torch", _, Some(element)) => Ok(Self::Storage(element)),
            _ => Err(format!(
                "it would call {module}.{name}, which is no part of a dictionary of tensors"
            )),
        }
    }
}

impl Element {
    /// In bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }
}

impl Value {
    pub(crate) fn size(&self) -> Result<usize, String> {
        match self {
            Self::Int(n) => usize::try_from(*n).map_err(|_| format!("{n} is no size")),
            _ => Err("a size is no number".to_owned()),
        }
    }

    pub(crate) fn sizes(&self, heap: &Heap) -> Result<Vec<usize>, String> {
        match self {
            Self::Tuple(items) | Self::List(items) => {
                heap.of(*items).iter().map(Self::size).collect()
            }
            _ => Err("a shape is no list of sizes".to_owned()),
        }
    }
}
